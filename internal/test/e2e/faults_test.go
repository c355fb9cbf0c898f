package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/control"
	"github.com/andrestc/go-plugserver/internal/test/testbed"
	"golang.org/x/sys/unix"
)

// A directory that is replaced takes no handler with it: whoever moved or
// unmounted it has removed none. A reload says that the new one counts.
func TestDirectoryReplaced(t *testing.T) {
	d := testbed.Start(t)
	for _, name := range []string{"a", "b"} {
		d.Put(name, plain(t, "/"+name, name))
	}
	load := testbed.Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/a", "/b"}}.Run(t)
	aside := d.Handlers + ".aside"
	mark := d.Log.Len()
	if err := os.Rename(d.Handlers, aside); err != nil {
		t.Fatal(err)
	}
	d.WaitLogFrom(mark, "loss of the directory", func(e testbed.Entry) bool { return e.Get("event") == "directory_lost" })
	mark = d.Log.Len()
	if err := os.Mkdir(d.Handlers, 0o755); err != nil {
		t.Fatal(err)
	}
	d.WaitLogFrom(mark, "its replacement", func(e testbed.Entry) bool {
		return e.Get("event") == "directory_lost" && strings.Contains(e.Get("reason"), "was replaced")
	})
	d.Put("b", plain(t, "/b", "new b")) // the one is told of, the other goes on
	if st := d.Status(); !strings.Contains(st.Daemon.Problem, "no file of a:") || !strings.Contains(st.Daemon.Problem, "plugserverctl reload") {
		t.Errorf("problem %q", st.Daemon.Problem)
	}
	load.Await(t, 50)
	load.Unharmed(t)

	// The old one comes back, as a mount does: all is as it was.
	if err := os.Rename(d.Handlers, d.Handlers+".new"); err != nil {
		t.Fatal(err)
	}
	mark = d.Log.Len()
	if err := os.Rename(aside, d.Handlers); err != nil {
		t.Fatal(err)
	}
	d.WaitLive(mark, "b", plain(t, "/b", "b"))
	d.Want("/a", 200, "a")
	if st := d.Status(); st.Daemon.Problem != "" {
		t.Errorf("problem %q", st.Daemon.Problem)
	}

	// Replaced once more, and meant so.
	if err := os.Rename(d.Handlers, aside); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(d.Handlers+".new", d.Handlers); err != nil {
		t.Fatal(err)
	}
	if errs, code := d.Reload(); code != 0 {
		t.Errorf("reload: exit %d: %s", code, errs)
	}
	d.Want("/a", 404, "")
	d.Want("/b", 200, "new b")
}

// A daemon that is out of descriptors serves what is live, says what is wrong
// with the new file, and takes it by itself once it can.
func TestOutOfDescriptors(t *testing.T) {
	d := testbed.Start(t, testbed.Allow("restart failed", "gate cannot be started", "crashed: a", "history cannot"))
	d.Put("a", plain(t, "/a", "a"))
	load := testbed.Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/a"}}.Run(t)
	var was unix.Rlimit
	if err := unix.Prlimit(d.PID(), unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Fatal(err)
	}
	limit := func(n uint64) {
		t.Helper()
		if err := unix.Prlimit(d.PID(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: was.Max}, nil); err != nil {
			t.Fatal(err)
		}
	}
	fds, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(d.PID()), "fd"))
	if err != nil {
		t.Fatal(err)
	}
	mark := d.Log.Len()
	limit(uint64(len(fds)) + 3) // enough to look, not to start a cell
	var refused string
	for _, name := range []string{"b", "c", "d"} { // one may have the cell that was started ahead
		d.Drop(name, plain(t, "/"+name, name))
		e := d.WaitLogFrom(mark, "the outcome of "+name, func(e testbed.Entry) bool {
			return e.Get("handler") == name && (e.Get("event") == "refused" || e.Get("event") == "live")
		})
		if e.Get("event") == "live" {
			continue
		}
		if !strings.Contains(e.Get("reason"), "too many open files") || !strings.Contains(e.Get("mend"), "tried again by itself") {
			t.Errorf("refused: %s", e.Raw)
		}
		refused = name
		break
	}
	if refused == "" {
		t.Fatal("three went live with descriptors for none")
	}
	load.Await(t, 50)
	limit(was.Cur)
	d.WaitLive(mark, refused, plain(t, "/"+refused, refused))
	d.Want("/"+refused, 200, refused)
	load.Unharmed(t)
}

// An operator rolls back and forth, and a restart of the daemon changes nothing
// in it.
func TestRollBackByHand(t *testing.T) {
	d := testbed.Start(t)
	for _, v := range []string{"one", "two", "three"} {
		d.Put("a", plain(t, "/a", v))
	}
	load := testbed.Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/a"}}.Run(t)
	rollback := func(version, want string) {
		t.Helper()
		if version != "" {
			version = plain(t, "/a", version).Version
		}
		out, err := control.NewClient(d.Control).Rollback(t.Context(), "a", version)
		if err != nil || out.Handler == nil || out.Handler.Version != plain(t, "/a", want).Version {
			t.Errorf("rollback %q: %+v, %v", version, out, err)
		}
		d.Want("/a", 200, want)
	}
	rollback("", "two")
	if h, _ := d.Handler("a"); h.State != "rolled back" || h.Refusal == nil || !strings.Contains(h.Refusal.Mend, "release a") {
		t.Errorf("status %+v", h)
	}
	rollback("", "one")
	for version, says := range map[string]string{"": "no earlier version", "0123456789ab": "plugserverctl history a"} {
		if _, err := control.NewClient(d.Control).Rollback(t.Context(), "a", version); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("rollback to %q: %v", version, err)
		}
	}
	load.Unharmed(t)
	d.Stop()

	d = testbed.Start(t, testbed.In(d.Dir))
	d.Want("/a", 200, "one")
	rollback("three", "three")
	if h, _ := d.Handler("a"); h.State != "live" || h.Refusal != nil {
		t.Errorf("rolled forth again: status %+v", h)
	}
	rollback("one", "one")
	if _, errs, code := d.Ctl("release", "a"); code != 0 {
		t.Errorf("release: exit %d: %s", code, errs)
	}
	d.Want("/a", 200, "three")
	rollback("two", "two")
	d.Put("a", plain(t, "/a", "four"))
	d.Want("/a", 200, "four")
	d.Stop()

	d = testbed.Start(t, testbed.In(d.Dir))
	d.Want("/a", 200, "four")
}
