package watch

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A file is open from its first write to its close, whatever its name is
// meanwhile, and its close is told.
func TestWriting(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(path("before.so"), []byte("x"), 0o644))
	w := New(dir, time.Minute, func(err error) { t.Error(err) })
	if open, known := w.Writing("before.so"); open || known {
		t.Error("known before Run")
	}
	go w.Run(t.Context())
	<-w.C()
	want := func(name string, open, known bool) {
		t.Helper()
		if o, k := w.Writing(name); o != open || k != known {
			t.Errorf("%s: open %v, known %v; want %v, %v", name, o, k, open, known)
		}
	}
	want("before.so", false, false)

	f, err := os.Create(path("a.so"))
	must(err)
	want("a.so", false, false) // who only opens it has not written
	must(f.Truncate(1 << 20))
	want("a.so", true, true)
	must(os.Rename(path("a.so"), path("b.so")))
	want("a.so", false, false)
	want("b.so", true, true)
	_, err = f.WriteAt([]byte("x"), 1000)
	must(err)
	want("b.so", true, true)
	time.Sleep(2 * gap) // of the nudges so far, one may be left
	select {
	case <-w.C():
	default:
	}
	must(f.Close())
	select {
	case <-w.C():
	case <-time.After(10 * time.Second):
		t.Error("no nudge for the close")
	}
	want("b.so", false, true)

	r, err := os.Open(path("b.so"))
	must(err)
	must(r.Close())
	want("b.so", false, true) // readers are none

	g, err := os.OpenFile(path("b.so"), os.O_WRONLY, 0)
	must(err)
	_, err = g.WriteAt([]byte("y"), 0)
	must(err)
	want("b.so", true, true)
	must(os.WriteFile(path("c"), []byte("z"), 0o644))
	must(os.Rename(path("c"), path("b.so")))
	want("b.so", false, true) // of the file that is there now
	_, err = g.WriteAt([]byte("y"), 0)
	must(err)
	want("b.so", false, true) // of the file that is there now
	must(g.Close())
	must(os.Remove(path("b.so")))
	want("b.so", false, false)
}
