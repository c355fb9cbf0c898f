// Package syncdir tells what is in the handlers directory, for a sync to decide by, and undoes there what one that was
// interrupted has changed.
package syncdir

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/file/signature"
	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/renaming"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
)

// Look tells what is in the directory under a handler's name. What was placed is not read again where it has not changed.
func Look(dir, name string, placed synced.Placed) (t syncplan.There, err error) {
	t.Source = renaming.SourceThere(dir, name)
	path := filepath.Join(dir, name+".so")
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
	if placed.State == t.State {
		t.File = placed.File.Digest
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

// LookAll looks under the names of all handlers that were placed, and of others, which may be among them.
func LookAll(dir string, placed map[string]synced.Placed, others ...string) (map[string]syncplan.There, error) {
	names := slices.Concat(others, slices.Collect(maps.Keys(placed)))
	slices.Sort(names)
	all := make(map[string]syncplan.There)
	for _, name := range slices.Compact(names) {
		var err error
		if all[name], err = Look(dir, name, placed[name]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// digest is that of a file's content.
func digest(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	d, err := artifact.ReadBlob("", f)
	if err != nil {
		return "", fmt.Errorf("read %q: %w", path, err)
	}
	return d.Digest, nil
}
