package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// What is disabled is not served, over a restart and a new version, until it is enabled; no request
// for another handler fails.
func TestDisable(t *testing.T) {
	dir := testbed.NewDir(t)
	d := testbed.Start(t, testbed.In(dir))
	d.Put("a", plain(t, "/a", "one"))
	d.Put("b", plain(t, "/b", "b"))
	ctl := func(d *testbed.Daemon, want string, args ...string) {
		t.Helper()
		if stdout, stderr, code := d.Ctl(args...); code != 0 || stdout != want {
			t.Errorf("%q: exit %d, %q, %s", args, code, stdout, stderr)
		}
	}
	state := func(d *testbed.Daemon, name, want string) {
		t.Helper()
		if h, ok := d.Handler(name); !ok || h.State != want {
			t.Errorf("%s is %q, want %q", name, h.State, want)
		}
	}
	load := testbed.Plan{Addr: d.Addr, Clients: 1, Paths: []string{"/b"}}.Run(t)
	ctl(d, "disabled: a\n", "disable", "a")
	d.Want("/a", 404, "404 page not found\n")
	state(d, "a", api.StateDisabled)
	load.End()
	load.Unharmed(t)
	d.Stop()

	d = testbed.Start(t, testbed.In(dir))
	d.Want("/a", 404, "404 page not found\n")
	d.Want("/b", 200, "b")
	d.Drop("a", plain(t, "/a", "two"))
	if stderr, code := d.Reload(); code != 0 {
		t.Error(stderr)
	}
	state(d, "a", api.StateDisabled)
	if _, stderr, code := d.Ctl("enable", "a"); code != 0 {
		t.Error(stderr)
	}
	d.Want("/a", 200, "two")
	if e := d.WaitLogFrom(0, "being live", event("live", "a")); e.Get("after") != "" { // that is how long it was disabled, too
		t.Errorf("its file was changed before it was enabled: %s", e.Raw)
	}
	if err := os.WriteFile(filepath.Join(dir, "plugserverd.conf"), []byte("[Handler a]\nDisabled=yes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if stderr, code := d.Reload(); code != 0 {
		t.Error(stderr)
	}
	d.Want("/a", 404, "404 page not found\n")
	if _, stderr, code := d.Ctl("enable", "a"); code != 1 || stderr == "" {
		t.Errorf("against the settings: exit %d, %s", code, stderr)
	}
}
