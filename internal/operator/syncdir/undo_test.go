package syncdir

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/swap"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
)

// content is what is in a folder, by name, but for folders.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, f := range files {
		if !f.IsDir() {
			text, _ := os.ReadFile(filepath.Join(dir, f.Name()))
			all[f.Name()] = string(text)
		}
	}
	return all
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func want(text, signature string) (w synced.Want) {
	w.File.Digest = artifact.Blob("", []byte(text)).Digest
	if signature != "" {
		w.Signature.Digest = artifact.Blob("", []byte(signature)).Digest
	}
	return w
}

// interrupted has placed a, which is newer, b, which is new, and d, which is signed anew, and removed c; and was
// interrupted then.
type interrupted struct {
	dir    string
	files  *swap.Swap
	all    []syncplan.Action
	before map[string]string
}

func interrupt(t *testing.T) interrupted {
	t.Helper()
	s := interrupted{dir: t.TempDir()}
	s.files = swap.In(s.dir, "shop")
	s.before = map[string]string{"a.so": "a1", "c.so": "c1", "c.so.minisig": "s3", "d.so": "d1", "d.so.minisig": "s1", "mine.so": "mine"}
	for name, text := range s.before {
		write(t, filepath.Join(s.dir, name), text)
	}
	in := syncplan.Input{Placed: s.record().Placed, Desired: make(map[string]synced.Want), There: make(map[string]syncplan.There)}
	for _, name := range []string{"a", "b", "c", "d"} {
		var err error
		if in.There[name], err = Look(s.dir, name, in.Placed[name]); err != nil {
			t.Fatal(err)
		}
		if next := in.Placed[name].Next; next != nil {
			in.Desired[name] = *next
		}
	}
	s.all = syncplan.Decide(in)
	for _, a := range s.all {
		if a.Handler == "a" || a.Handler == "b" {
			write(t, s.files.Stage(a), a.Handler+"2")
		}
		if a.Handler != "c" {
			write(t, s.files.Stage(a)+".minisig", "s2")
		}
	}
	if err := s.files.Do(s.all); err != nil {
		t.Fatal(err)
	}
	return s
}

// record is what it has left.
func (s interrupted) record() *synced.Record {
	a, b, d := want("a2", "s2"), want("b2", "s2"), want("d1", "s2")
	return &synced.Record{Placed: map[string]synced.Placed{
		"a": {Want: want("a1", ""), Next: &a}, "b": {Next: &b}, "c": {Want: want("c1", "s3")}, "d": {Want: want("d1", "s1"), Next: &d},
	}}
}

// undo undoes it, as another process does.
func (s interrupted) undo(t *testing.T, serves bool) *synced.Record {
	t.Helper()
	r := s.record()
	err := Undo(r, swap.In(s.dir, "shop"), s.dir, time.Now(), func(string, synced.Want) (bool, error) { return serves, nil })
	if err != nil || Pending(r) {
		t.Errorf("%v, the record has %+v", err, r.Placed)
	}
	return r
}

// What was interrupted, wherever it was, is undone, but for what others have put there.
func TestUndo(t *testing.T) {
	for name, do := range map[string]func(t *testing.T, s interrupted){
		"all is placed": func(*testing.T, interrupted) {},
		"half is": func(t *testing.T, s interrupted) { // of b the signature, and c is not removed yet
			b, c := s.all[1], s.files.Path("c")
			err := errors.Join(os.Rename(s.files.Path("b"), s.files.Stage(b)), os.Link(s.files.Kept("c"), c), os.Link(s.files.Kept("c")+".minisig", c+".minisig"))
			if err != nil {
				t.Fatal(err)
			}
		},
		"undone, and not recorded": func(t *testing.T, s interrupted) { s.undo(t, false) },
		"kept no more": func(t *testing.T, s interrupted) {
			s.undo(t, false)
			if err := s.files.Forget(); err != nil {
				t.Fatal(err)
			}
		},
		"theirs": func(t *testing.T, s interrupted) {
			for _, name := range []string{"a.so", "c.so", "d.so"} {
				os.Remove(filepath.Join(s.dir, name))
				write(t, filepath.Join(s.dir, name), "theirs")
				s.before[name] = "theirs"
				delete(s.before, name+".minisig")
			}
			s.before["a.so.minisig"], s.before["d.so.minisig"] = "s2", "s2"
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := interrupt(t)
			do(t, s)
			r := s.undo(t, false)
			if got := content(t, s.dir); !maps.Equal(got, s.before) {
				t.Errorf("there is %q, and is to be %q", got, s.before)
			}
			if len(r.Placed) != 3 || r.Placed["a"].File != want("a1", "").File {
				t.Errorf("the record has %+v", r.Placed)
			}
		})
	}
}

// What serves stays, and is what was placed.
func TestServes(t *testing.T) {
	s := interrupt(t)
	r := s.undo(t, true)
	after := map[string]string{"a.so": "a2", "a.so.minisig": "s2", "b.so": "b2", "b.so.minisig": "s2", "d.so": "d1", "d.so.minisig": "s2", "mine.so": "mine"}
	if got := content(t, s.dir); !maps.Equal(got, after) || r.Placed["b"].Want != want("b2", "s2") {
		t.Errorf("there is %q, and the record has %+v", got, r.Placed)
	}
}

// Where it cannot be seen what becomes of it, all stays as it is, until it can; where only half is there, nobody is asked.
func TestUndoWaits(t *testing.T) {
	s := interrupt(t)
	r, there, late := s.record(), content(t, s.dir), errors.New("still starting")
	asked := func(string, synced.Want) (bool, error) { return false, late }
	if err := Undo(r, swap.In(s.dir, "shop"), s.dir, time.Now(), asked); !errors.Is(err, late) || !Pending(r) || !maps.Equal(content(t, s.dir), there) {
		t.Errorf("%v, there is %q, the record has %+v", err, content(t, s.dir), r.Placed)
	}
	if err := os.Rename(s.files.Path("b"), s.files.Stage(s.all[1])); err != nil {
		t.Fatal(err)
	}
	if err := Undo(r, swap.In(s.dir, "shop"), s.dir, time.Now(), asked); err != nil || !maps.Equal(content(t, s.dir), s.before) {
		t.Errorf("of half: %v, there is %q", err, content(t, s.dir))
	}
}
