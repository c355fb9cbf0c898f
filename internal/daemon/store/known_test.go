package store

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// damage changes the copy as a disk does: nothing in its state tells.
func damage(t *testing.T, s *Store, v Version) {
	t.Helper()
	if err := errors.Join(os.Chmod(v.Path, 0o600), os.WriteFile(v.Path, []byte("rotten"), 0), os.Chmod(v.Path, 0o400)); err != nil {
		t.Fatal(err)
	}
	s.known.mu.Lock()
	defer s.known.mu.Unlock()
	e := s.known.copies[v.Sum]
	var err error
	if e.copy, err = stateOf(v.Path); err != nil {
		t.Fatal(err)
	}
	s.known.set(v.Sum, e)
	s.known.write(v.Sum, e)
}

// What was copied is known without being read, by this daemon and the next, until the
// file, the copy, or the machine has changed.
func TestKnown(t *testing.T) {
	s := newStore(t)
	put := func(text string, from State) Version {
		t.Helper()
		v, err := s.Put(strings.NewReader(text), 100)
		if err != nil {
			t.Fatal(err)
		}
		s.Learn(from, v)
		return v
	}
	again := func() {
		t.Helper()
		var err error
		if s, err = Open(s.dir); err != nil {
			t.Fatal(err)
		}
	}
	from := State{1, 2, 3, 4, 5}
	v := put("content", from)
	other := put("other", State{1, 3, 5, 4, 5})
	check := func(when string, want bool) {
		t.Helper()
		if got, ok := s.Known(from); ok != want || ok && got != v {
			t.Errorf("%s: %+v, %v", when, got, ok)
		}
	}
	check("at once", true)
	again()
	check("to the next daemon", true)
	if _, ok := s.Known(State{1, 2, 3, 4, 6}); ok {
		t.Error("a changed file is known")
	}

	text, err := os.ReadFile(s.known.path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"of another boot": bytes.ReplaceAll(text, []byte(s.known.boot), []byte("b")),
		"torn":            text[:bytes.IndexByte(text, '\n')-1],
		"nonsense":        []byte("nonsense\n\x00\n"),
	} {
		if err := os.WriteFile(s.known.path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		again()
		check(name, false)
	}
	if err := os.WriteFile(s.known.path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	again()
	check("as it was", true)
	if err := os.Link(v.Path, filepath.Join(t.TempDir(), "lent")); err != nil {
		t.Fatal(err)
	}
	check("by another name, too", true)

	if err := errors.Join(os.Chmod(v.Path, 0o600), os.WriteFile(v.Path, []byte("changed"), 0)); err != nil {
		t.Fatal(err)
	}
	check("its copy was changed", false)
	v = put("content", from)
	check("copied again", true)
	if err := s.Keep(map[string]bool{other.Sum: true}); err != nil {
		t.Fatal(err)
	}
	check("deleted", false)
	if len(s.known.copies) != 1 || len(s.known.sums) != 1 {
		t.Errorf("%d copies and %d files are known", len(s.known.copies), len(s.known.sums))
	}
}

// What is written down does not grow with what has been.
func TestKnownIsCompacted(t *testing.T) {
	s := newStore(t)
	v, err := s.Put(strings.NewReader("content"), 100)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5000 {
		s.Learn(State{1, 2, 3, 4, int64(n)}, v)
	}
	if info, err := os.Stat(s.known.path); err != nil || info.Size() > 300_000 {
		t.Errorf("%v, %v", info, err)
	}
	if s, err = Open(s.dir); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Known(State{1, 2, 3, 4, 4999}); !ok {
		t.Error("the last is not known")
	}
}

// What is taken on trust is read, one day.
func TestCheck(t *testing.T) {
	s := newStore(t)
	var all []Version
	for n := range 3 {
		v, err := s.Put(bytes.NewReader(content(uint64(n), 1000)), 1000)
		if err != nil {
			t.Fatal(err)
		}
		s.Learn(State{1, uint64(n), 3, 4, 5}, v)
		all = append(all, v)
	}
	damage(t, s, all[1])
	s, err := Open(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find(all[1].Sum); err != nil {
		t.Fatalf("what is known was read: %v", err)
	}
	if err := os.Remove(all[2].Path); err != nil { // nobody needs it any more
		t.Fatal(err)
	}
	var damaged []string
	s.Check(context.Background(), 0, func(sum string) { damaged = append(damaged, sum) })
	if !slices.Equal(damaged, []string{all[1].Sum}) {
		t.Errorf("damaged: %q", damaged)
	}
	if _, err := s.Find(all[1].Sum); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the damaged one: %v", err)
	}
	if got, ok := s.Known(State{1, 0, 3, 4, 5}); !ok || got != all[0] {
		t.Errorf("the first: %+v, %v", got, ok)
	}
	if got := names(t, s); !slices.Equal(got, []string{filepath.Base(all[0].Path), knownFile}) {
		t.Errorf("there are %q", got)
	}
	s.Check(context.Background(), 0, func(string) { t.Error("read twice") })
}

// What others may have written to is read, whatever is known of it, and by the next daemon, too.
func TestDoubt(t *testing.T) {
	s := newStore(t)
	from := State{Ino: 7, Size: 4}
	v, err := s.Put(strings.NewReader("text"), 100)
	if err != nil {
		t.Fatal(err)
	}
	s.Learn(from, v)
	if _, ok := s.Known(from); !ok {
		t.Fatal("it is not known")
	}
	if err := s.Doubt(); err != nil {
		t.Fatal(err)
	}
	s.Learn(from, v)
	next, err := Open(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Store{s, next} {
		if _, ok := s.Known(from); ok {
			t.Error("it is believed without being read")
		}
	}
	damage(t, s, v)
	if _, err := s.Find(v.Sum); !errors.Is(err, errDamaged) {
		t.Errorf("found, changed as it is: %v", err)
	}
}
