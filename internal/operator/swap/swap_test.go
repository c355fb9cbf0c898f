package swap

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
)

// content is what is in a folder, by name.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !f.IsDir() {
			text, _ := os.ReadFile(filepath.Join(dir, f.Name()))
			all[f.Name()] = string(text)
		}
	}
	return all
}

func want(hex string, signed bool) synced.Want {
	w := synced.Want{File: synced.Blob{Digest: "sha256:" + hex}}
	if signed {
		w.Signature.Digest = "sha256:s"
	}
	return w
}

// swap has a directory, and an entry that is to replace a, whose signature changes hands, to add b, which is signed, to
// remove c, and to sign d anew.
func swap(t *testing.T) (s *Swap, changes []syncplan.Action, before map[string]string) {
	s = In(t.TempDir(), "shop")
	before = map[string]string{"a.so": "a1", "a.so.minisig": "s1", "c.so": "c1", "c.so.minisig": "s3", "d.so": "d1", "mine.so": "m"}
	for name, text := range before {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	changes = []syncplan.Action{
		{Handler: "a", Kind: syncplan.Place, Want: want("a2", false), Was: "sha256:a1"}, {Handler: "b", Kind: syncplan.Place, Want: want("b2", true)},
		{Handler: "c", Kind: syncplan.Remove, Was: "sha256:c1"}, {Handler: "d", Kind: syncplan.Place, Want: want("d1", true), Was: "sha256:d1"},
	}
	for i, a := range changes {
		if a.Was != "" {
			changes[i].State = state(t, s.Path(a.Handler))
		}
		if a.Kind == syncplan.Remove {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(s.Stage(a)), 0o700); err != nil {
			t.Fatal(err)
		}
		if a.Was != a.Want.File.Digest {
			stage(t, s.Stage(a), a.Want.File.Version())
		}
		if a.Want.Signature.Digest != "" {
			stage(t, s.Stage(a)+".minisig", "s2")
		}
	}
	return s, changes, before
}

// state is a file's.
func state(t *testing.T, path string) synced.State {
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return synced.StateOf(info)
}

// theirs is put in the place of a file, as a copy that is renamed is.
func theirs(t *testing.T, s *Swap, name string) {
	t.Helper()
	stage(t, filepath.Join(s.dir, ".new"), "theirs")
	if err := os.Rename(filepath.Join(s.dir, ".new"), filepath.Join(s.dir, name)); err != nil {
		t.Fatal(err)
	}
}

func stage(t *testing.T, path, text string) {
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// All of it is there at once, and nothing else is left.
func TestDo(t *testing.T) {
	s, changes, _ := swap(t)
	if err := s.Do(changes); err != nil {
		t.Fatal(err)
	}
	after := map[string]string{"a.so": "a2", "b.so": "b2", "b.so.minisig": "s2", "d.so": "d1", "d.so.minisig": "s2", "mine.so": "m"}
	if got := content(t, s.dir); !maps.Equal(got, after) {
		t.Errorf("there is %q", got)
	}
	s.Tidy(changes)
	if _, err := os.Lstat(filepath.Dir(s.staged)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something is staged: %v", err)
	}
}

// What was there is there again, also where that is done again, and what was pulled need not be again.
func TestBack(t *testing.T) {
	s, changes, before := swap(t)
	if err := errors.Join(s.Do(changes), s.Back(changes), s.Back(changes)); err != nil {
		t.Fatal(err)
	}
	if got := content(t, s.dir); !maps.Equal(got, before) {
		t.Errorf("there is %q", got)
	}
	s.Tidy(changes)
	if got := content(t, filepath.Dir(s.Stage(changes[1]))); got["b.so"] != "b2" || got["b.so.minisig"] != "s2" {
		t.Errorf("staged is %q", got)
	}
	s.Discard()
	if _, err := os.Lstat(filepath.Dir(s.staged)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something is staged: %v", err)
	}
}

// What somebody else has put there meanwhile stays.
func TestTheirs(t *testing.T) {
	s, changes, before := swap(t)
	if err := s.Do(changes); err != nil || !s.Ours("a") || !s.Ours("d") {
		t.Fatal(err)
	}
	for _, name := range []string{"a.so", "c.so", "d.so"} {
		theirs(t, s, name)
	}
	if s.Ours("a") || s.Ours("c") || s.Ours("d") || !s.Ours("b") {
		t.Error("theirs is ours, or ours theirs")
	}
	if err := s.Back(changes); err != nil {
		t.Fatal(err)
	}
	want := maps.Clone(before)
	want["a.so"], want["c.so"], want["d.so"] = "theirs", "theirs", "theirs"
	want["d.so.minisig"] = "s2"  // which came
	delete(want, "a.so.minisig") // which went as the file came
	delete(want, "c.so.minisig")
	if got := content(t, s.dir); !maps.Equal(got, want) {
		t.Errorf("there is %q", got)
	}
}

// One that fails undoes those before.
func TestHalf(t *testing.T) {
	s, changes, before := swap(t)
	if err := os.Remove(s.Stage(changes[1])); err != nil {
		t.Fatal(err)
	}
	if err := s.Do(changes); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a staged file: %v", err)
	}
	if got := content(t, s.dir); !maps.Equal(got, before) {
		t.Errorf("there is %q", got)
	}
}

// Where one cannot be kept, nothing is changed.
func TestKept(t *testing.T) {
	for _, name := range []string{"a.so", "a.so.minisig", "d.so"} {
		s, changes, before := swap(t)
		full := errors.New("no space is left")
		s.save = func(path, as string) error {
			if filepath.Base(path) == name {
				stage(t, as, "") // as much as there was space for
				return full
			}
			return keep(path, as)
		}
		if err := s.Do(changes); !errors.Is(err, full) {
			t.Errorf("%s: %v", name, err)
		}
		if got := content(t, s.dir); !maps.Equal(got, before) {
			t.Errorf("%s: there is %q", name, got)
		}
	}
}

// What somebody has put there since it was decided is seen, whatever was to become of it, and before the last is placed.
func TestMeanwhile(t *testing.T) {
	for _, name := range []string{"a.so", "b.so", "c.so", "d.so"} {
		for _, late := range []bool{false, true} {
			s, changes, before := swap(t)
			if !late {
				theirs(t, s, name)
			}
			s.save = func(path, as string) error {
				err := keep(path, as)
				if late && filepath.Base(path) == "d.so.minisig" { // when all others are kept
					theirs(t, s, name)
				}
				return err
			}
			if err := s.Do(changes); err == nil || !strings.Contains(err.Error(), "somebody has changed "+filepath.Join(s.dir, name)+" meanwhile") {
				t.Errorf("%s: %v", name, err)
			}
			before[name] = "theirs"
			if got := content(t, s.dir); !maps.Equal(got, before) {
				t.Errorf("%s: there is %q", name, got)
			}
		}
	}
}
