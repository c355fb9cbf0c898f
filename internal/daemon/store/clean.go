package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Keep deletes every copy whose sum is not in sums, and what Discard could not. The caller sees to it that
// sums has what a Put in progress, or one whose result is not looked at yet,
// may return.
func (s *Store) Keep(sums map[string]bool) error {
	s.known.mu.Lock()
	for sum := range s.known.copies {
		if !sums[sum] {
			s.known.forget(sum)
		}
	}
	s.known.mu.Unlock()
	return errors.Join(s.discarded(), s.remove(func(name string) bool {
		sum, ok := strings.CutSuffix(name, copySuffix)
		return ok && isSum(sum) && !sums[sum]
	}))
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
// cannot be deleted now, Keep does.
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
