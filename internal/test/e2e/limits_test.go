package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// greedySource takes what it is asked to.
const greedySource = `package main

import (
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
)

var kept [][]byte
var files []*os.File

func Handlers() map[string]http.Handler {
	return map[string]http.Handler{
		"/greedy": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "pid %d limit %d", os.Getpid(), debug.SetMemoryLimit(-1)) }),
		"/greedy/memory": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				b := make([]byte, 1<<20)
				for i := 0; i < len(b); i += 4096 {
					b[i] = 1
				}
				kept = append(kept, b)
			}
		}),
		"/greedy/descriptors": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for {
				f, err := os.Open(os.DevNull)
				if err != nil {
					fmt.Fprint(w, err)
					return
				}
				files = append(files, f)
			}
		}),
		"/greedy/relieved": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, f := range files {
				f.Close()
			}
			files = nil
		}),
	}
}
`

// A cell that is beyond a limit ends, alone, and its record says why.
func TestLimits(t *testing.T) {
	most := int64(64) // MiB
	if testbed.Race {
		most *= 4 // the detector's shadow counts, too
	}
	d := testbed.Start(t, testbed.Flags("--memory-max", fmt.Sprintf("%dM", most), "--limit-nofile", "200"), testbed.Allow("crashed: greedy"))
	d.Put("calm", plain(t, "/calm", "calm"))
	d.Put("greedy", testbed.Go(greedySource).Build(t))
	if h, _ := d.Handler("greedy"); h.MemoryMax != most<<20 || h.LimitNOFILE != 200 || h.PrivateBytes == 0 || h.Descriptors == 0 || h.Threads == 0 || h.Restarts != 0 {
		t.Errorf("status %+v", h)
	}
	load := testbed.Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/calm"}}.Run(t)
	mark := d.Log.Len()
	c1 := d.Dial()
	if a, err := c1.Get("/greedy/memory"); err == nil {
		t.Errorf("answered %d", a.Status)
	}
	c1.Close()
	e := d.WaitLogFrom(mark, "the end of the cell", event("crashed", "greedy"))
	if !strings.Contains(e.Get("reason"), fmt.Sprintf("of memory, its limit is %d MiB", most)) || !strings.HasPrefix(e.Get("status"), "killed: it ") {
		t.Errorf("%s", e.Raw)
	}
	d.Want("/greedy", 200, "pid ")
	if h, _ := d.Handler("greedy"); h.Restarts != 1 {
		t.Errorf("%d restarts, want 1", h.Restarts)
	}
	load.Unharmed(t)
}

// A handler that has no descriptor left is not hurt by it any more than one that
// is compiled in, and nobody else is: requests reach it all the same.
func TestDescriptorsRunOut(t *testing.T) {
	d := testbed.Start(t, testbed.Flags("--limit-nofile", "100"))
	d.Put("calm", plain(t, "/calm", "calm"))
	d.Put("greedy", testbed.Go(greedySource).Build(t))
	h, _ := d.Handler("greedy")
	load := testbed.Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/calm", "/greedy"}}.Run(t)

	// More clients that keep their connections than descriptors.
	var idle []*testbed.Client
	ask := func(path string) {
		t.Helper()
		for i, c := range idle {
			if a, err := c.Get(path); err != nil || a.Status != 200 {
				t.Fatalf("client %d: %d, %v", i, a.Status, err)
			}
		}
	}
	for range 300 {
		idle = append(idle, d.Dial())
	}
	for range 3 {
		ask("/greedy")
		ask("/calm")
	}
	for range 5 { // in a row, so that the connections want to go there
		ask("/greedy")
	}

	// It uses up all of its own.
	d.Want("/greedy/descriptors", 200, "open /dev/null: too many open files")
	ask("/greedy")
	d.Want("/greedy/relieved", 200, "")
	ask("/greedy")
	for _, c := range idle {
		c.Close()
	}
	load.Unharmed(t)
	if now, _ := d.Handler("greedy"); now.PID != h.PID || now.Restarts != 0 {
		t.Errorf("process %d is %d now, after %d restarts", h.PID, now.PID, now.Restarts)
	}
}

// Settings for single handlers come into force with a reload, and nobody
// notices; what is wrong in them changes nothing.
func TestSettings(t *testing.T) {
	dir := testbed.NewDir(t)
	conf := filepath.Join(dir, "plugserverd.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("[Handler greedy]\nMemoryMax=100M\n")
	d := testbed.Start(t, testbed.In(dir), testbed.Flags("--memory-max", "1G"))
	d.Put("calm", plain(t, "/calm", "calm"))
	d.Put("greedy", testbed.Go(greedySource).Build(t))
	limits := func(name string, memory int64, nofile int) (pid int) {
		t.Helper()
		h, _ := d.Handler(name)
		if h.MemoryMax != memory || h.LimitNOFILE != nofile {
			t.Errorf("%s: limits %d, %d; want %d, %d", name, h.MemoryMax, h.LimitNOFILE, memory, nofile)
		}
		return h.PID
	}
	calm := limits("calm", 1<<30, 0)
	first := limits("greedy", 100<<20, 0)
	if _, body := d.Get("/greedy"); !strings.Contains(body, "limit 94371840") { // nine tenths
		t.Errorf("the runtime's own limit: %s", body)
	}
	load := testbed.Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/calm", "/greedy"}}.Run(t)

	write("[Handler greedy]\nMemoryMax=infinity\nLimitNOFILE=500\n")
	if errs, code := d.Reload(); code != 0 {
		t.Errorf("reload: exit %d: %s", code, errs)
	}
	second := limits("greedy", 0, 500)
	if second == first || limits("calm", 1<<30, 0) != calm {
		t.Error("want a new cell for the one handler, and none for the other")
	}

	write("[Handler greedy]\nLimitNOFILE=100\nMemoryMin=1\n")
	errs, code := d.Reload()
	if want := conf + ":3: "; code != 1 || !strings.Contains(errs, want) || !strings.Contains(errs, "MemoryMin") {
		t.Errorf("reload: exit %d: %s; want %q", code, errs, want)
	}
	if limits("greedy", 0, 500) != second {
		t.Error("settings that were refused gave the handler a new cell")
	}
	if p := d.Status().Daemon.Problem; !strings.Contains(p, "MemoryMin") {
		t.Errorf("problem %q", p)
	}
	load.Unharmed(t)
	d.Stop()

	// A daemon that starts with wrong settings serves all the same, and says so.
	d = testbed.Start(t, testbed.In(dir), testbed.Flags("--memory-max", "1G"))
	limits("greedy", 1<<30, 0)
	write("")
	if errs, code := d.Reload(); code != 0 {
		t.Errorf("reload: exit %d: %s", code, errs)
	}
	if p := d.Status().Daemon.Problem; p != "" {
		t.Errorf("problem %q", p)
	}
}
