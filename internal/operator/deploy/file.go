package deploy

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/file/atomicfile"
	"github.com/andrestc/go-plugserver/internal/file/signature"
	"github.com/andrestc/go-plugserver/internal/operator/signing"
)

// place puts a copy of src at dst, which appears whole or not at all. version
// is what src was found to be.
func place(ctx context.Context, dst, src, version string) error {
	in, err := os.OpenFile(src, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	// The daemon passes over a name that begins with a dot.
	// Whatever the umask: the daemon is another user.
	f, err := atomicfile.Create(filepath.Dir(dst), "."+filepath.Base(dst)+".", 0o644)
	if err != nil {
		return err
	}
	defer f.Discard()
	have, err := f.Fill(ctx, in)
	if err != nil {
		return err
	}
	if have[:12] != version {
		return fmt.Errorf("%q changed meanwhile; try again once it is built", src)
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	// First, for what is new is then signed when it is seen.
	text, err := os.ReadFile(src + signature.Suffix)
	if err == nil {
		err = signing.Put(dst, text)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = unsign(dst)
	}
	if err != nil {
		return err
	}
	return f.Commit(dst)
}

// unsign takes away the signature of the file at path, if it has one.
func unsign(path string) error {
	if err := os.Remove(path + signature.Suffix); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// former is the file that an installation takes the place of.
type former struct {
	link    string // another name of it; "" if there was none
	version string
	// signature is the text of what lay beside it; "" if there was none.
	signature string
}

// resign puts the signature back.
func (f former) resign(path string) error {
	if f.signature == "" {
		return unsign(path)
	}
	return signing.Put(path, []byte(f.signature))
}

// keep gives the file at path another name, which the daemon passes over.
func keep(path string) (was former, err error) {
	was.signature, _, _ = signature.Read(path) // one that is none is not put back
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return was, nil
	}
	was.version = "-" // it stays in place whatever comes
	if err != nil || !info.Mode().IsRegular() {
		return was, err
	}
	version, err := versionOf(path)
	if err != nil {
		return was, nil
	}
	was.version = version
	if link := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text()[:8]); os.Link(path, link) == nil { // some file systems have none
		was.link = link
	}
	return was, nil
}

// versionOf is the version of the file at path, as the daemon tells it.
func versionOf(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil))[:12], nil
}

// forget deletes the other name.
func (f former) forget() {
	if f.link != "" {
		os.Remove(f.link)
	}
}

// deleteFiles deletes the handler's files, those that one command can put back:
// a folder of source may be all there is of it.
func deleteFiles(dir, name string) (deleted []string, err error) {
	for _, file := range []string{name + ".so", name + ".go"} {
		switch err := os.Remove(filepath.Join(dir, file)); {
		case err == nil:
			deleted = append(deleted, file)
			unsign(filepath.Join(dir, file)) // it is nobody's any more
		case !errors.Is(err, fs.ErrNotExist):
			return deleted, err
		}
	}
	if len(deleted) > 0 {
		return deleted, nil
	}
	folder := filepath.Join(dir, name)
	if st, err := os.Lstat(folder); err == nil && st.IsDir() {
		return nil, fmt.Errorf("%q is a folder of source; delete it yourself, if there is a copy of it: rm -r %s", folder, folder)
	}
	return nil, fmt.Errorf("there is no %s.so or %s.go in %q", name, name, dir)
}
