// Package swap renames files of handlers into their directory and out of it, all of them or none, and puts
// back what was there before.
package swap

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/andrestc/go-plugserver/internal/file/atomicfile"
	"github.com/andrestc/go-plugserver/internal/file/signature"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
)

// Swap is of a directory, and of a folder in it, which the daemon passes over: what comes is staged there, and
// what goes is kept there until that is for good.
type Swap struct {
	dir, staged string
	placed      map[string]os.FileInfo // by handler
}

// In returns that of an entry.
func In(dir, entry string) *Swap {
	return &Swap{dir, filepath.Join(dir, ".sync", entry), make(map[string]os.FileInfo)}
}

// former is the folder of what was there before.
const former = "former"

// Stage is where the file of an action lies before it is placed. It has its own name there, by
// which it is checked.
func (s *Swap) Stage(a syncplan.Action) string {
	return filepath.Join(s.staged, a.Want.File.Version(), a.Handler+".so")
}

// Path is where a handler's file is.
func (s *Swap) Path(handler string) string { return filepath.Join(s.dir, handler+".so") }

func (s *Swap) former(handler string) string {
	return filepath.Join(s.staged, former, handler+".so")
}

// Do carries changes out. Where one fails, those before are undone.
func (s *Swap) Do(changes []syncplan.Action) error {
	if err := os.RemoveAll(filepath.Join(s.staged, former)); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.staged, former), 0o700); err != nil {
		return err
	}
	for i, a := range changes {
		if err := s.do(a); err != nil {
			return errors.Join(err, s.Back(changes[:i+1]))
		}
	}
	return atomicfile.SyncDir(s.dir)
}

// do carries one out. The signature goes first, for what is new is then signed when it is seen.
func (s *Swap) do(a syncplan.Action) error {
	path, was := s.Path(a.Handler), s.former(a.Handler)
	for _, suffix := range []string{"", signature.Suffix} {
		if err := keep(path+suffix, was+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("keep what is there: %w", err)
		}
	}
	if a.Kind == syncplan.Remove {
		return errors.Join(os.Remove(path), gone(path+signature.Suffix))
	}
	var err error
	if a.Want.Signature.Digest != "" {
		err = os.Rename(s.Stage(a)+signature.Suffix, path+signature.Suffix)
	} else {
		err = gone(path + signature.Suffix)
	}
	if err != nil || a.Was == a.Want.File.Digest {
		return err
	}
	if s.placed[a.Handler], err = os.Lstat(s.Stage(a)); err != nil {
		return err
	}
	return os.Rename(s.Stage(a), path)
}

// Ours reports whether the file of a handler is still the one that Do has placed, or left.
func (s *Swap) Ours(handler string) bool {
	was := s.placed[handler]
	if was == nil {
		return true
	}
	now, err := os.Lstat(s.Path(handler))
	return err == nil && os.SameFile(was, now)
}

// keep gives a file another name, or a copy of it, where the file system has no links, or we may make none to it: it is
// another user's.
func keep(path, as string) error {
	err := os.Link(path, as)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(as, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Chmod(0o644), to.Sync(), to.Close())
}

// gone removes a file that need not be there.
func gone(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Back puts back what was there before changes that Do was asked for. What was placed is staged again. What somebody
// else has put there since is left.
func (s *Swap) Back(changes []syncplan.Action) (err error) {
	for _, a := range changes {
		path, was := s.Path(a.Handler), s.former(a.Handler)
		if _, err := os.Lstat(path); a.Kind == syncplan.Remove && err == nil || err == nil && !s.Ours(a.Handler) {
			continue
		}
		for _, suffix := range []string{signature.Suffix, ""} {
			if a.Kind == syncplan.Place && a.Was != a.Want.File.Digest {
				os.Link(path+suffix, s.Stage(a)+suffix) // else it has to come again
			}
			e := os.Rename(was+suffix, path+suffix)
			if errors.Is(e, fs.ErrNotExist) && a.Kind == syncplan.Place { // there was none
				e = gone(path + suffix)
			}
			if e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, fmt.Errorf("put back what was there before: %w", e))
			}
		}
	}
	return errors.Join(err, atomicfile.SyncDir(s.dir))
}

// Discard deletes all that is staged.
func (s *Swap) Discard() {
	os.RemoveAll(s.staged)
	os.Remove(filepath.Dir(s.staged)) // where no other entry has anything there
}

// Tidy deletes what is not needed any more, now that all has been done: what was pulled stays for as long as it is wanted and not placed.
func (s *Swap) Tidy(all []syncplan.Action) {
	wanted := make(map[string]bool)
	for _, a := range all {
		if a.Kind == syncplan.Place || a.Kind == syncplan.Refuse {
			wanted[a.Want.File.Version()] = true
		}
	}
	files, _ := os.ReadDir(s.staged)
	for _, f := range files {
		folder := filepath.Join(s.staged, f.Name())
		if !wanted[f.Name()] {
			os.RemoveAll(folder)
		}
		os.Remove(folder) // if it is empty
	}
	os.Remove(s.staged)
	os.Remove(filepath.Dir(s.staged))
}
