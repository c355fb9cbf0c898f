// Package disabled knows which handlers are not to be served though their files are there:
// those that an operator has disabled, which a file keeps from one start to the next, and those
// of which the settings say so.
//
// Any goroutine may call its methods.
package disabled

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/andrestc/go-plugserver/internal/file/atomicfile"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

// Set is the one of a daemon.
type Set struct {
	path string

	mu       sync.Mutex
	own      map[string]bool
	settings func(handler string) (where string) // "" where they do not say so
}

// Open reads the set that the file at path keeps; none where it is not there yet. settings say in
// which line of which file a handler is disabled, "" where it is not.
func Open(path string, settings func(handler string) (where string)) (*Set, error) {
	s := &Set{path: path, own: make(map[string]bool), settings: settings}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read who is disabled: %w", err)
	}
	for name := range strings.FieldsSeq(string(text)) {
		if handlerdir.ValidName(name) {
			s.own[name] = true
		}
	}
	return s, nil
}

// Configure puts other settings in force.
func (s *Set) Configure(settings func(handler string) (where string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings = settings
}

// Has reports whether a handler is disabled.
func (s *Set) Has(handler string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.own[handler] || s.settings(handler) != ""
}

// Put disables a handler, or enables it, and returns once that outlives the machine's end. The
// error says why it does not, or who else has it disabled; then all is as it was.
func (s *Set) Put(handler string, disable bool) error {
	if !handlerdir.ValidName(handler) {
		return fmt.Errorf("%q cannot name a handler", handler)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if where := s.settings(handler); where != "" && !disable {
		return fmt.Errorf("enable: %q is disabled by the settings, in %s: take that line away, and reload", handler, where)
	}
	if s.own[handler] == disable {
		return nil
	}
	next := maps.Clone(s.own)
	if next[handler] = true; !disable {
		delete(next, handler)
	}
	if err := s.save(slices.Sorted(maps.Keys(next))); err != nil {
		return fmt.Errorf("keep who is disabled: %w", err)
	}
	s.own = next
	return nil
}

func (s *Set) save(names []string) error {
	f, err := atomicfile.Create(filepath.Dir(s.path), ".disabled-", 0o600)
	if err != nil {
		return err
	}
	defer f.Discard()
	text := strings.Join(append(names, ""), "\n")
	if _, err := f.Fill(context.Background(), strings.NewReader(text)); err != nil {
		return err
	}
	return f.Commit(s.path)
}
