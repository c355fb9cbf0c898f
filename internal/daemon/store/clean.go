package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// loose are the copies of which the saved history names none: those alone may be needed by nobody.
type loose struct {
	named map[string]int // in how many records each sum stands
	sums  map[string]bool
}

// placed takes in that there is a copy.
func (l *loose) placed(sum string) {
	if l.named[sum] == 0 {
		l.sums[sum] = true
	}
}

// renamed takes in that a record of the saved history names other versions than before.
func (l *loose) renamed(before, now []Served) {
	for _, v := range now {
		l.named[v.Sum]++
		delete(l.sums, v.Sum)
	}
	for _, v := range before {
		if l.named[v.Sum]--; l.named[v.Sum] == 0 {
			delete(l.named, v.Sum)
			l.sums[v.Sum] = true
		}
	}
}

// Loose returns the sums of the copies that the saved history does not name; there may be some among them of which there is no
// copy. They are the caller's.
func (s *Store) Loose() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.loose.sums)
}

// Delete deletes copies that are loose, and what Discard could not. The caller sees to it that none of them is what a
// Put in progress, or one whose result is not looked at yet, may return. What cannot be deleted stays loose.
func (s *Store) Delete(sums map[string]bool) error {
	errs := []error{s.discarded()}
	for sum := range sums {
		s.known.Forget(sum)
		if err := s.erase(s.path(sum)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("clean store: %w", err))
			continue
		}
		s.mu.Lock()
		delete(s.loose.sums, sum)
		s.mu.Unlock()
	}
	return errors.Join(errs...)
}

// remove deletes the files that unwanted picks.
func (s *Store) remove(unwanted func(name string) bool) error {
	d, err := os.Open(s.dir)
	if err != nil {
		return fmt.Errorf("read store: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("read store: %w", err)
	}
	var errs []error
	for _, name := range names {
		if !unwanted(name) {
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("clean store: %w", err))
		}
	}
	return errors.Join(errs...)
}

// removeDamaged deletes a copy, unless place has given its name to another meanwhile.
func (s *Store) removeDamaged(f *os.File) (removed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, err := f.Stat()
	if err != nil {
		return false, err
	}
	if is, err := os.Lstat(f.Name()); err != nil || !os.SameFile(was, is) {
		return false, err
	}
	return true, os.Remove(f.Name())
}

// Discard deletes a file of the store that nobody needs any more: one that Lead has named, say. Where it
// cannot be deleted now, Delete does.
func (s *Store) Discard(path string) error {
	err := s.erase(path)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		delete(s.litter, path)
		return nil
	}
	s.litter[path] = true
	return err
}

// discarded tries again what Discard could not do.
func (s *Store) discarded() error {
	s.mu.Lock()
	paths := slices.Collect(maps.Keys(s.litter))
	s.mu.Unlock()
	var errs []error
	for _, path := range paths {
		errs = append(errs, s.Discard(path))
	}
	return errors.Join(errs...)
}
