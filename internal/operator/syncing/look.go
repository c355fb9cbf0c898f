package syncing

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/file/signature"
	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/deploy"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
)

// plan decides by what is in the directory now.
func (r *run) plan() error {
	there := make(map[string]syncplan.There)
	for _, names := range []map[string]bool{keys(r.record.Desired), keys(r.record.Placed)} {
		for name := range names {
			var err error
			if there[name], err = r.there(name); err != nil {
				return err
			}
		}
	}
	in := syncplan.Input{
		Dir: r.daemon.Handlers, Platform: platform, Desired: r.record.Desired, Lacking: r.record.Lacking, Others: r.others,
		Placed: r.record.Placed, There: there, Refused: r.record.Refused, Now: r.began, Replace: r.o.Replace,
	}
	if r.o.Every > 0 {
		in.Wait = refusedWait
	}
	r.all = syncplan.Decide(in)
	return nil
}

func keys[V any](m map[string]V) map[string]bool {
	all := make(map[string]bool)
	for k := range maps.Keys(m) {
		all[k] = true
	}
	return all
}

// unchanged decides once more, now that nobody else syncs, and nothing may be other than it was.
func (r *run) unchanged() error {
	before := r.all
	records, _ := synced.All(r.daemon.SyncFolder)
	r.note(records)
	if err := r.plan(); err != nil {
		return err
	}
	for i, a := range before {
		now := &r.all[i]
		if a.Kind == syncplan.Refuse { // it was vetted
			*now = a
		}
		if now.Kind != a.Kind || !reflect.DeepEqual(now.Want, a.Want) {
			return fmt.Errorf("somebody has changed %s meanwhile; try again", filepath.Join(r.daemon.Handlers, a.Handler+".so"))
		}
	}
	return nil
}

// there is what is under a handler's name.
func (r *run) there(name string) (t syncplan.There, err error) {
	t.Source = deploy.SourceThere(r.daemon.Handlers, name)
	path := filepath.Join(r.daemon.Handlers, name+".so")
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return t, nil
	case err != nil:
		return t, err
	case !info.Mode().IsRegular():
		t.Odd = true
		return t, nil
	}
	t.State = synced.StateOf(info)
	if p := r.record.Placed[name]; p.State == t.State {
		t.File = p.File.Digest
	} else if t.File, err = digest(path); err != nil {
		return t, err
	}
	text, _, err := signature.Read(path)
	if err == nil {
		t.Signature = artifact.Blob("", []byte(text)).Digest
	} else if !errors.Is(err, signature.ErrNone) {
		t.Signature = "none" // it is no signature, and so another
	}
	return t, nil
}

// digest is that of a file's content.
func digest(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", fmt.Errorf("read %q: %w", path, err)
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}
