package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// While others may write to the directory, nothing that happens in it counts:
// what is live stays live, under its name, and the problem names the fix.
func TestFolderOfOthers(t *testing.T) {
	d := testbed.Start(t)
	d.Put("a", plain(t, "/a", "one"))
	chmod := func(mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(d.Handlers, mode); err != nil {
			t.Fatal(err)
		}
	}
	mark := d.Log.Len()
	chmod(0o777)
	d.WaitLogFrom(mark, "the problem", func(e testbed.Entry) bool { return e.Get("event") == "directory_lost" })
	if err := os.Rename(d.Path("a"), d.Path("b")); err != nil {
		t.Fatal(err)
	}
	errs, code := d.Reload()
	if want := "directory \"" + d.Handlers + "\" is writable by others; chmod o-w " + d.Handlers; code != 1 || !strings.Contains(errs, want) {
		t.Errorf("reload: exit %d: %s", code, errs)
	}
	d.Want("/a", 200, "one")
	if h, ok := d.Handler("a"); !ok || h.State != "live" {
		t.Errorf("status: %+v", h)
	}
	if _, ok := d.Handler("b"); ok {
		t.Error("a file that somebody else has put there is served")
	}
	mark = d.Log.Len()
	chmod(0o755)
	d.WaitLive(mark, "b", plain(t, "/a", "one"))
	d.Want("/a", 200, "one")
}

// A Kubernetes volume: each file is a link through ..data, which is replaced at
// an update.
func TestLinkedLayout(t *testing.T) {
	d := testbed.Start(t)
	update := func(revision string, p testbed.Plugin) {
		t.Helper()
		dir := filepath.Join(d.Handlers, revision)
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "a.so"), p.Bytes, 0o644)
		}
		if err == nil {
			err = os.Symlink(revision, filepath.Join(d.Handlers, "..new"))
		}
		if err == nil {
			err = os.Rename(filepath.Join(d.Handlers, "..new"), filepath.Join(d.Handlers, "..data"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	one, two := plain(t, "/a", "one"), plain(t, "/a", "two")
	mark := d.Log.Len()
	update("..1", one)
	if err := os.Symlink("..data/a.so", d.Path("a")); err != nil {
		t.Fatal(err)
	}
	d.WaitLive(mark, "a", one)
	load := testbed.Plan{Addr: d.Addr, Clients: 2, Paths: []string{"/a"}}.Run(t)
	mark = d.Log.Len()
	update("..2", two)
	d.WaitLive(mark, "a", two)
	load.Unharmed(t)
	d.Want("/a", 200, "two")
}
