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
	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
)

// Swap is of a directory, and of a folder in it, which the daemon passes over: what comes is staged there, and
// what goes is kept there until that is for good.
type Swap struct {
	dir, staged string
	placed      map[string]os.FileInfo // what is ours there, by handler; nil where it is that there is none
	save        func(path, as string) error
}

// In returns that of an entry.
func In(dir, entry string) *Swap {
	return &Swap{dir, filepath.Join(dir, ".sync", entry), make(map[string]os.FileInfo), keep}
}

// former is the folder of what was there before. It appears whole: keeping is its name until it is.
const former, keeping = "former", "former.new"

// Stage is where the file of an action lies before it is placed. It has its own name there, by
// which it is checked.
func (s *Swap) Stage(a syncplan.Action) string {
	return filepath.Join(s.staged, a.Want.File.Version(), a.Handler+".so")
}

// Path is where a handler's file is.
func (s *Swap) Path(handler string) string { return filepath.Join(s.dir, handler+".so") }

// Kept is where a handler's file is that was there before; there is none where none was.
func (s *Swap) Kept(handler string) string {
	return filepath.Join(s.staged, former, handler+".so")
}

// Keeps reports whether all that was there before is kept: nothing is changed before.
func (s *Swap) Keeps() bool {
	_, err := os.Lstat(filepath.Join(s.staged, former))
	return err == nil
}

// Forget deletes what was there before.
func (s *Swap) Forget() error { return os.RemoveAll(filepath.Join(s.staged, former)) }

// Do carries changes out. Where one fails, those before are undone; nothing is changed before
// all that may have to come back is kept.
func (s *Swap) Do(changes []syncplan.Action) error {
	if err := s.keep(changes); err != nil {
		return err
	}
	for i, a := range changes {
		if _, err := s.same(a); err != nil {
			return errors.Join(err, s.Back(changes[:i]))
		}
		if err := s.do(a); err != nil {
			return errors.Join(err, s.Back(changes[:i+1]))
		}
	}
	return atomicfile.SyncDir(s.dir)
}

// keep keeps what is there, all of it or nothing.
func (s *Swap) keep(changes []syncplan.Action) error {
	in := filepath.Join(s.staged, keeping)
	if err := errors.Join(os.RemoveAll(in), s.Forget(), os.MkdirAll(in, 0o700)); err != nil {
		return err
	}
	for _, a := range changes {
		for _, suffix := range []string{"", signature.Suffix} {
			if err := s.save(s.Path(a.Handler)+suffix, filepath.Join(in, a.Handler+".so"+suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("keep what is there: %w", err)
			}
		}
		// It is looked at after that, so that what is kept is what was looked at.
		info, err := s.same(a)
		if err != nil {
			return err
		}
		s.placed[a.Handler] = info
	}
	if err := atomicfile.SyncDir(in); err != nil {
		return err
	}
	return errors.Join(os.Rename(in, filepath.Join(s.staged, former)), atomicfile.SyncDir(s.staged))
}

// same returns the file that is there, nil for none, where it is the one that was decided on.
func (s *Swap) same(a syncplan.Action) (os.FileInfo, error) {
	path := s.Path(a.Handler)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) && a.Was == "" {
		return nil, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil && a.Was != "" {
		now := synced.StateOf(info)
		if now.Ctime = a.State.Ctime; now == a.State { // a link to it is another time
			return info, nil
		}
	}
	return nil, fmt.Errorf("somebody has changed %s meanwhile; try again", path)
}

// do carries one out. The signature goes first, for what is new is then signed when it is seen.
func (s *Swap) do(a syncplan.Action) error {
	path := s.Path(a.Handler)
	if a.Kind == syncplan.Remove {
		if err := os.Remove(path); err != nil {
			return err
		}
		s.placed[a.Handler] = nil
		return gone(path + signature.Suffix)
	}
	var err error
	if a.Want.Signature.Digest != "" {
		err = os.Rename(s.Stage(a)+signature.Suffix, path+signature.Suffix)
	} else {
		err = gone(path + signature.Suffix)
	}
	if err != nil || !a.Comes() {
		return err
	}
	info, err := os.Lstat(s.Stage(a))
	if err != nil {
		return err
	}
	if err := os.Rename(s.Stage(a), path); err != nil {
		return err
	}
	s.placed[a.Handler] = info
	return nil
}

// Ours reports whether the file of a handler is still the one that Do has placed, or left.
func (s *Swap) Ours(handler string) bool {
	was, known := s.placed[handler]
	now, err := os.Lstat(s.Path(handler))
	switch {
	case !known:
		return true
	case was == nil || err != nil:
		return was == nil && errors.Is(err, fs.ErrNotExist)
	}
	return os.SameFile(was, now) && was.Size() == now.Size() && was.ModTime().Equal(now.ModTime())
}

// keep gives a file another name, or a copy of it, where the file system has no links, or we may make none to it: it is
// another user's. What is half copied is no file of that name.
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
	to, err := atomicfile.Create(filepath.Dir(as), ".copy.", 0o644)
	if err != nil {
		return err
	}
	defer to.Discard()
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.Commit(as)
}

// gone removes a file that need not be there.
func gone(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Back puts back what was there before changes that Do was asked for. What was placed is staged again. What somebody
// else has put there since is left. It may be done again where it was interrupted.
func (s *Swap) Back(changes []syncplan.Action) (err error) {
	for _, a := range changes {
		if !s.Ours(a.Handler) {
			continue
		}
		path, was := s.Path(a.Handler), s.Kept(a.Handler)
		for _, suffix := range []string{signature.Suffix, ""} {
			if a.Comes() {
				os.Link(path+suffix, s.Stage(a)+suffix) // else it has to come again
			}
			e := restore(was+suffix, path+suffix)
			if errors.Is(e, fs.ErrNotExist) && a.Kind == syncplan.Place && (suffix != "" || a.Was == "") { // there was none
				e = gone(path + suffix)
			}
			if e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, fmt.Errorf("put back what was there before: %w", e))
			}
		}
	}
	return errors.Join(err, atomicfile.SyncDir(s.dir))
}

// restore renames a file to path, and leaves it where it was, too, where the file system has links.
func restore(was, path string) error {
	link := was + ".link"
	if err := errors.Join(gone(link), os.Link(was, link)); err != nil {
		return os.Rename(was, path)
	}
	return errors.Join(os.Rename(link, path), gone(link)) // a file that is there already keeps both names
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
