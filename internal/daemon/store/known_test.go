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

	"github.com/andrestc/go-plugserver/internal/daemon/known"
)

func state(dev, ino uint64, size, mtime, ctime int64) State {
	return State{Dev: dev, Ino: ino, Size: size, Mtime: mtime, Ctime: ctime}
}

// damage changes the copy as a disk does: nothing in its state tells.
func damage(t *testing.T, s *Store, v Version) {
	t.Helper()
	if err := errors.Join(os.Chmod(v.Path, 0o600), os.WriteFile(v.Path, []byte("rotten"), 0), os.Chmod(v.Path, 0o400)); err != nil {
		t.Fatal(err)
	}
	s.Learn(State{}, v)
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
	from := state(1, 2, 3, 4, 5)
	v := put("content", from)
	other := put("other", state(1, 3, 5, 4, 5))
	check := func(when string, want bool) {
		t.Helper()
		if got, ok := s.Known(from); ok != want || ok && got != v {
			t.Errorf("%s: %+v, %v", when, got, ok)
		}
	}
	check("at once", true)
	again()
	check("to the next daemon", true)
	if _, ok := s.Known(state(1, 2, 3, 4, 6)); ok {
		t.Error("a changed file is known")
	}

	text, err := os.ReadFile(filepath.Join(s.dir, known.File))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"of another boot": bytes.ReplaceAll(text, bytes.Fields(text)[0], []byte("b")),
		"torn":            text[:bytes.IndexByte(text, '\n')-1],
		"nonsense":        []byte("nonsense\n\x00\n"),
	} {
		if err := os.WriteFile(filepath.Join(s.dir, known.File), text, 0o600); err != nil {
			t.Fatal(err)
		}
		again()
		check(name, false)
	}
	if err := os.WriteFile(filepath.Join(s.dir, known.File), text, 0o600); err != nil {
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
	if err := s.Delete(map[string]bool{v.Sum: true}); err != nil {
		t.Fatal(err)
	}
	check("deleted", false)
	if _, ok := s.known.Sum(from); ok || s.known.Has(v.Sum) || !s.known.Has(other.Sum) {
		t.Errorf("of the deleted one something is known, %v, or of the other nothing", ok)
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
		s.Learn(state(1, uint64(n), 3, 4, 5), v)
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
	if got, ok := s.Known(state(1, 0, 3, 4, 5)); !ok || got != all[0] {
		t.Errorf("the first: %+v, %v", got, ok)
	}
	if got := names(t, s); !slices.Equal(got, []string{filepath.Base(all[0].Path), known.File}) {
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
