package known

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func there(string) bool { return true }

// What is written down does not grow with what has been, and tells the next daemon the last of it, of those copies that there are.
func TestBookIsCompacted(t *testing.T) {
	dir := t.TempDir()
	k := Load(dir, there)
	is := State{1, 1, 1, 1, 1}
	sum := strings.Repeat("a", 64)
	for n := range 5000 {
		k.Learn(sum, is, State{1, 2, 3, 4, int64(n)})
	}
	if info, err := os.Stat(filepath.Join(dir, File)); err != nil || info.Size() > 300_000 {
		t.Errorf("%v, %v", info, err)
	}
	next := Load(dir, there)
	if got, ok := next.Sum(State{1, 2, 3, 4, 4999}); !ok || got != sum || !next.Untried()[sum] {
		t.Errorf("the last is of %q, %v", got, ok)
	}
	if _, ok := next.Sum(State{1, 2, 3, 4, 4998}); ok {
		t.Error("one of before is known")
	}
	if next.Tried(sum); len(next.Untried()) > 0 || !next.Is(sum, is) {
		t.Error("it is tried, or not known, for having been read")
	}
	without := Load(dir, func(string) bool { return false })
	if without.Has(sum) || len(without.Untried()) > 0 {
		t.Error("a copy is known that is gone")
	}
}

// Of which file a copy is stays known where it is read again, and that its file has another name does not matter.
func TestLearnsAgain(t *testing.T) {
	k := Load(t.TempDir(), there)
	from, is := State{Ino: 1}, State{Ino: 2, Size: 3, Mtime: 4, Ctime: 5}
	k.Learn("sum", is, from)
	linked := is
	linked.Ctime++
	k.Learn("sum", linked, State{})
	if sum, ok := k.Sum(from); !ok || sum != "sum" || !k.Is("sum", is) {
		t.Errorf("the file's copy is %q, %v", sum, ok)
	}
	changed := is
	changed.Mtime++
	if k.Is("sum", changed) || k.Is("other", is) {
		t.Error("another state is known, or another copy")
	}
	k.Forget("sum")
	if _, ok := k.Sum(from); ok || k.Has("sum") {
		t.Error("it is not forgotten")
	}
}

// What is doubted is not known, now or to the next.
func TestDoubt(t *testing.T) {
	dir := t.TempDir()
	k := Load(dir, there)
	k.Learn("sum", State{Ino: 2}, State{Ino: 1})
	if err := k.Doubt(); err != nil {
		t.Fatal(err)
	}
	k.Learn("sum", State{Ino: 2}, State{Ino: 1})
	if k.Is("sum", State{Ino: 2}) || Load(dir, there).Has("sum") {
		t.Error("it is believed")
	}
}
