package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// sharer is a plugin that has a module of its own, of the name.
func sharer(t *testing.T, name, pattern, version string) testbed.Plugin {
	t.Helper()
	text := strings.NewReplacer("PATTERN:........................................", "PATTERN:"+pattern, "VERSION:................................", "VERSION:"+version).Replace(plainSource)
	return testbed.Source{Files: map[string]string{
		"go.mod":  "module e2e.example/" + name + "\n\ngo 1.25\n",
		"main.go": text,
	}}.Build(t)
}

// Handlers of a group share one cell; each is proved alone before, and none of
// their clients notices. One that does not agree with the others stays alone,
// and status says why; the death of the cell ends the company for a while.
func TestGroup(t *testing.T) {
	dir := testbed.NewDir(t)
	text := ""
	for _, name := range []string{"a", "b", "c", "twin"} {
		text += "[Handler " + name + "]\nCell=company\n"
	}
	conf := filepath.Join(dir, "plugserverd.conf")
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	d := testbed.Start(t, testbed.In(dir), testbed.Allow("crashed: company"))
	gathered := func(mark int, names ...string) (pid int) {
		t.Helper()
		for _, name := range names {
			d.WaitLogFrom(mark, "gathering of "+name, event("gathered", name))
		}
		for _, name := range names {
			h, _ := d.Handler(name)
			if h.Group != "company" || h.State != "live" || pid != 0 && h.PID != pid {
				t.Errorf("%s: status %+v, want it in process %d", name, h, pid)
			}
			pid = h.PID
		}
		return pid
	}
	mark := d.Log.Len()
	d.Put("a", sharer(t, "a", "/a", "one"))
	if h, _ := d.Handler("a"); h.Group != "" {
		t.Errorf("alone: status %+v", h)
	}
	load := testbed.Plan{Addr: d.Addr, Clients: 8, Paths: []string{"/a"}}.Run(t)
	d.Put("b", sharer(t, "b", "/b", "one"))
	first := gathered(mark, "a", "b")
	mark = d.Log.Len()
	d.Put("c", sharer(t, "c", "/c", "one"))
	if second := gathered(mark, "a", "b", "c"); second == first {
		t.Error("a third handler without a new cell")
	}
	mark = d.Log.Len()
	d.Put("b", sharer(t, "b", "/b", "two"))
	gathered(mark, "a", "b", "c")
	d.Want("/a", 200, "one")
	d.Want("/b", 200, "two")
	d.Want("/c", 200, "one")
	if h, _ := d.Handler("b"); h.Requests != 1 {
		t.Errorf("b has answered %d requests, want 1", h.Requests)
	}

	// The same package path twice: what the runtime would refuse.
	d.Put("twin", sharer(t, "a", "/twin", "one"))
	d.Want("/twin", 200, "one")
	if h, _ := d.Handler("twin"); h.Group != "" || !strings.Contains(h.Doing, "does not agree with a: both have the package path e2e.example/a") {
		t.Errorf("twin: status %+v", h)
	}

	mark = d.Log.Len()
	d.Take("c")
	d.Want("/c", 404, "")
	gathered(mark, "a", "b")
	load.Unharmed(t)

	mark = d.Log.Len()
	h, _ := d.Handler("a")
	if err := syscall.Kill(h.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.Want("/a", 200, "one")
	d.Want("/b", 200, "two")
	d.WaitLogFrom(mark, "b alone", event("live", "b"))
	a, _ := d.Handler("a")
	b, _ := d.Handler("b")
	if a.Group != "" || b.Group != "" || a.PID == b.PID || a.Restarts != 1 || b.Restarts != 1 || !strings.Contains(a.Doing, "has crashed") {
		t.Errorf("after a crash: %+v, %+v", a, b)
	}
}

// A handler whose Cell= is taken away gets a cell of its own with a reload.
func TestGroupEnds(t *testing.T) {
	dir := testbed.NewDir(t)
	conf := filepath.Join(dir, "plugserverd.conf")
	if err := os.WriteFile(conf, []byte("[Handler a]\nCell=x\n[Handler b]\nCell=x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := testbed.Start(t, testbed.In(dir))
	mark := d.Log.Len()
	d.Put("a", sharer(t, "a", "/a", "one"))
	d.Put("b", sharer(t, "b", "/b", "one"))
	d.WaitLogFrom(mark, "gathering", event("gathered", "b"))
	load := testbed.Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/a", "/b"}}.Run(t)
	if err := os.WriteFile(conf, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if errs, code := d.Reload(); code != 0 {
		t.Errorf("reload: exit %d: %s", code, errs)
	}
	a, _ := d.Handler("a")
	b, _ := d.Handler("b")
	if a.Group != "" || b.Group != "" || a.PID == b.PID {
		t.Errorf("status %+v, %+v", a, b)
	}
	load.Unharmed(t)
}
