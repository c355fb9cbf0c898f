package watch

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
	if w.Writing("before.so") != Unknown {
		t.Error("known before Run")
	}
	go w.Run(t.Context())
	<-w.C()
	want := func(name string, want State) {
		t.Helper()
		if got := w.Writing(name); got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
	want("before.so", Unknown)

	f, err := os.Create(path("a.so"))
	must(err)
	want("a.so", Unknown) // who only opens it has not written
	must(f.Truncate(1 << 20))
	want("a.so", Open)
	must(os.Rename(path("a.so"), path("b.so")))
	want("a.so", Unknown)
	want("b.so", Open)
	_, err = f.WriteAt([]byte("x"), 1000)
	must(err)
	want("b.so", Open)
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
	want("b.so", Closed)

	r, err := os.Open(path("b.so"))
	must(err)
	must(r.Close())
	want("b.so", Closed) // readers are none

	g, err := os.OpenFile(path("b.so"), os.O_WRONLY, 0)
	must(err)
	_, err = g.WriteAt([]byte("y"), 0)
	must(err)
	want("b.so", Open)
	must(os.WriteFile(path("c"), []byte("z"), 0o644))
	must(os.Rename(path("c"), path("b.so")))
	want("b.so", Moved) // of the file that is there now
	_, err = g.WriteAt([]byte("y"), 0)
	must(err)
	want("b.so", Moved) // of the file that is there now
	must(g.Close())
	aside := filepath.Join(t.TempDir(), "x")
	must(os.WriteFile(aside, []byte("x"), 0o644))
	must(os.Rename(aside, path("b.so"))) // from where nothing is told of writers
	want("b.so", Moved)
	must(os.WriteFile(path("b.so"), []byte("yy"), 0o644))
	want("b.so", Closed)
	must(os.Remove(path("b.so")))
	want("b.so", Unknown)
}

// The close of a file on its way is not told: its rename is.
func TestCloseOfFileOnItsWay(t *testing.T) {
	w := &writers{closed: make(chan struct{}, 1), state: make(map[string]State)}
	w.event(unix.IN_CLOSE_WRITE, 0, ".new")
	if len(w.closed) != 0 || w.state[".new"] != Closed {
		t.Errorf("told %d times, its state is %d", len(w.closed), w.state[".new"])
	}
	w.event(unix.IN_CLOSE_WRITE, 0, "a.so")
	if len(w.closed) != 1 {
		t.Error("the close of a handler's file is not told")
	}
}

// A file that is being written has few looks taken at it, and one at its close.
func TestFewNudgesForWrites(t *testing.T) {
	dir := t.TempDir()
	w := real(t, dir, time.Minute)
	f, err := os.Create(filepath.Join(dir, "a.so"))
	if err != nil {
		t.Fatal(err)
	}
	await(t, w)
	began, nudges := time.Now(), 0
	for i := range 100 {
		if _, err := f.WriteAt([]byte("x"), int64(i)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-w.C():
			nudges++
		case <-time.After(gap):
		}
	}
	if most := int(time.Since(began)/writeGap) + 2; nudges > most || nudges == 0 {
		t.Errorf("%d nudges in %v, want 1 to %d", nudges, time.Since(began), most)
	}
	rest(w)
	closed := time.Now()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, w)
	t.Logf("nudged %v after the close", time.Since(closed))
}
