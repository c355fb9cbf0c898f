package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
			for r.Context().Err() == nil {
				if f, err := os.Open(os.DevNull); err == nil {
					files = append(files, f)
				}
			}
		}),
	}
}
`

// A cell that is beyond a limit ends, alone, and its record says why.
func TestLimits(t *testing.T) {
	d := Start(t, Flags("--memory-max", "64M", "--limit-nofile", "200"), Allow("crashed: greedy"))
	d.Put("calm", plain(t, "/calm", "calm"))
	d.Put("greedy", Go(greedySource).Build(t))
	if h, _ := d.Handler("greedy"); h.MemoryMax != 64<<20 || h.LimitNOFILE != 200 || h.PrivateBytes == 0 || h.Descriptors == 0 || h.Threads == 0 || h.Restarts != 0 {
		t.Errorf("status %+v", h)
	}
	load := Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/calm"}}.Run(t)
	for i, c := range []struct{ path, says string }{
		{"/greedy/memory", "of memory, its limit is 64 MiB"},
		{"/greedy/descriptors", "descriptors open, its limit is 200"},
	} {
		mark := d.Log.Len()
		c1 := d.Dial()
		if a, err := c1.Get(c.path); err == nil {
			t.Errorf("%s: answered %d", c.path, a.Status)
		}
		c1.Close()
		e := d.WaitLogFrom(mark, "the end of the cell", event("crashed", "greedy"))
		if !strings.Contains(e.Get("reason"), c.says) || !strings.HasPrefix(e.Get("status"), "killed: it ") {
			t.Errorf("%s: %s", c.path, e.Raw)
		}
		d.Want("/greedy", 200, "pid ")
		if h, _ := d.Handler("greedy"); h.Restarts != i+1 {
			t.Errorf("%s: %d restarts, want %d", c.path, h.Restarts, i+1)
		}
	}
	load.Unharmed(t)
}

// Settings for single handlers come into force with a reload, and nobody
// notices; what is wrong in them changes nothing.
func TestSettings(t *testing.T) {
	dir := NewDir(t)
	conf := filepath.Join(dir, "plugserverd.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("[Handler greedy]\nMemoryMax=100M\n")
	d := Start(t, In(dir), Flags("--memory-max", "1G"))
	d.Put("calm", plain(t, "/calm", "calm"))
	d.Put("greedy", Go(greedySource).Build(t))
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
	load := Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/calm", "/greedy"}}.Run(t)

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
	d = Start(t, In(dir), Flags("--memory-max", "1G"))
	limits("greedy", 1<<30, 0)
	write("")
	if errs, code := d.Reload(); code != 0 {
		t.Errorf("reload: exit %d: %s", code, errs)
	}
	if p := d.Status().Daemon.Problem; p != "" {
		t.Errorf("problem %q", p)
	}
}
