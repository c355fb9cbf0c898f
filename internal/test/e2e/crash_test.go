package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// mortalSource can be made to die in a way that nothing in its process can
// recover from.
const mortalSource = `package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"syscall"
)

func Handlers() map[string]http.Handler {
	return map[string]http.Handler{
		"/mortal": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "pid %d", os.Getpid()) }),
		"/mortal/panics": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			go panic("beyond help")
			select {}
		}),
		"/mortal/fatal": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { log.Fatal("the licence server is gone") }),
		"/mortal/recovers": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { panic("a passing matter") }),
		"/mortal/exits": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { os.Exit(3) }),
		"/mortal/stops": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }),
	}
}
`

// meddlerSource harms a descriptor of its process that is not its own: the socket
// from the gate, the last Unix socket that the process got.
const meddlerSource = `package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"syscall"
)

func gate() (last int) {
	all, _ := os.ReadDir("/proc/self/fd")
	for _, e := range all {
		fd, _ := strconv.Atoi(e.Name())
		if sa, err := syscall.Getsockname(fd); err == nil {
			if _, ok := sa.(*syscall.SockaddrUnix); ok {
				last = max(last, fd)
			}
		}
	}
	return last
}

func Handlers() map[string]http.Handler {
	return map[string]http.Handler{
		"/meddler": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "pid %d", os.Getpid()) }),
		"/meddler/closes": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { syscall.Close(gate()) }),
		"/meddler/writes": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			syscall.Write(gate(), []byte("GET / HTTP/1.1\r\n\r\n"))
		}),
	}
}
`

// Where the way between the gate and a cell fails, the cell ends, and the log says
// why: it would get no request any more.
func TestWayToTheGateFails(t *testing.T) {
	d := testbed.Start(t, testbed.Allow("crashed: meddler", "killed: meddler"), testbed.Flags("--crash-limit", "0"))
	d.Put("meddler", testbed.Go(meddlerSource).Build(t))
	for _, tt := range []struct{ path, says string }{
		{"/meddler/closes", "the way from the gate has failed: "},
		{"/meddler/writes", "its way to the gate has failed: receive frame: malformed header"},
	} {
		before, _ := d.Handler("meddler")
		mark := d.Log.Len()
		c := d.Dial()
		c.Get(tt.path) // it may end with the process, unanswered
		c.Close()
		if tt.path == "/meddler/closes" {
			d.Get("/meddler") // what wakes who waits on it
		}
		e := d.WaitLogFrom(mark, "the crash", event("crashed", "meddler"))
		if !strings.Contains(e.Get("reason"), tt.says) {
			t.Errorf("%s: %s", tt.path, e.Raw)
		}
		d.Want("/meddler", 200, "")
		if after, _ := d.Handler("meddler"); after.PID == before.PID {
			t.Errorf("%s: still process %d", tt.path, after.PID)
		}
	}
}

// A cell that dies is started again. Requests that come meanwhile wait for it,
// and other handlers' clients see nothing.
func TestCellDies(t *testing.T) {
	d := testbed.Start(t, testbed.Allow("crashed: mortal"))
	d.Put("calm", plain(t, "/calm", "calm"))
	d.Put("mortal", testbed.Go(mortalSource).Build(t))
	load := testbed.Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/calm"}}.Run(t)
	gate := d.Status().Daemon.GatePID
	wanderer := d.Dial() // its connection is with the other handler
	defer wanderer.Close()
	if a, err := wanderer.Get("/calm"); err != nil || a.Status != 200 {
		t.Fatalf("%d %v", a.Status, err)
	}
	pids := make(map[int]bool)
	for i, path := range []string{"kill", "/mortal/panics", "/mortal/fatal", "/mortal/exits", "/mortal/stops"} {
		h, _ := d.Handler("mortal")
		if h.PID == 0 || pids[h.PID] {
			t.Fatalf("%s: status %+v", path, h)
		}
		pids[h.PID] = true
		mark := d.Log.Len()
		if path == "kill" {
			if err := syscall.Kill(h.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		} else {
			if path == "/mortal/exits" {
				d.Want("/mortal/recovers", 500, "")
			}
			c := d.Dial()
			if a, err := c.Get(path); err == nil {
				t.Errorf("%s: got %d %q from the dead", path, a.Status, a.Body)
			}
			c.Close()
		}
		if err := testbed.AwaitDeath(h.PID, testbed.Patience); err != nil {
			t.Fatal(err)
		}
		if path == "/mortal/panics" {
			e := d.WaitLogFrom(mark, "crash", event("crashed", "mortal"))
			if !strings.Contains(e.Get("reason"), "panic: beyond help in ") || !strings.Contains(e.Get("frames"), "Handlers.func2.") || !strings.Contains(e.Get("frames"), "main.go:15") {
				t.Errorf("the crash is not told well: %s", e.Raw)
			}
		}
		if path == "/mortal/fatal" {
			e := d.WaitLogFrom(mark, "crash", event("crashed", "mortal"))
			if want := "exit status 1; it printed: the licence server is gone"; e.Get("reason") != want {
				t.Errorf("the crash is told as %q, want %q", e.Get("reason"), want)
			}
			d.WaitLogFrom(mark, "the last words", testbed.Says("mortal", "the licence server is gone"))
		}
		if path == "/mortal/exits" { // the panic before is none of its end's
			e := d.WaitLogFrom(mark, "crash", event("crashed", "mortal"))
			if e.Get("reason") != "exit status 3" {
				t.Errorf("the exit is told as %q", e.Get("reason"))
			}
		}
		// Held until it is back; the pause before that doubles.
		for range 3 {
			if s, b := d.Get("/mortal"); s != 200 || b == fmt.Sprintf("pid %d", h.PID) {
				t.Errorf("%s: got %d %q", path, s, b)
			}
		}
		if a, err := wanderer.Get("/mortal"); err != nil || a.Status != 200 {
			t.Errorf("%s: keep-alive: got %d %v", path, a.Status, err)
		}
		if a, err := wanderer.Get("/calm"); err != nil || a.Status != 200 {
			t.Errorf("%s: keep-alive: got %d %v", path, a.Status, err)
		}
		e := d.WaitLogFrom(mark, "the crash", testbed.Says("mortal", "crashed: mortal"))
		if path == "/mortal/panics" && !strings.Contains(e.Raw, "panic: beyond help") {
			t.Errorf("%s: the log does not tell why: %s", path, e.Raw)
		}
		d.WaitLogFrom(mark, "the new life", testbed.Says("mortal", "live again: mortal"))
		if i%2 == 1 {
			// What a crash costs is forgotten with a new version.
			d.Put("mortal", testbed.Go(fmt.Sprintf("%s\nvar Newer = %d\n", mortalSource, i)).Build(t))
		}
	}
	if st := d.Status(); st.Daemon.GatePID != gate {
		t.Errorf("the gate has changed")
	}
	load.Unharmed(t)
}

// A handler that does not come back in time is answered for with 503.
func TestCellStaysDead(t *testing.T) {
	d := testbed.Start(t, testbed.Flags("--hold", "100ms", "--start-timeout", "20s"), testbed.Allow("crashed: dying"))
	const source = `package main

import (
	"net/http"
	"os"
)

func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	if _, err := os.Stat(%q); err == nil {
		select {}
	}
	return "/dying", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("alive")) }
}
`
	flag := d.Dir + "/stay-dead"
	// The path differs from run to run, so that this is one build more.
	d.Put("dying", testbed.Go(fmt.Sprintf(source, flag)).Build(t))
	d.Want("/dying", 200, "alive")
	touch(t, flag)
	h, _ := d.Handler("dying")
	if err := syscall.Kill(h.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := testbed.AwaitDeath(h.PID, testbed.Patience); err != nil {
		t.Fatal(err)
	}
	c := d.Dial()
	defer c.Close()
	a, err := c.Get("/dying")
	if err != nil || a.Status != 503 || a.Header.Get("Retry-After") == "" || a.Close {
		t.Errorf("got %d %v, %v", a.Status, err, a.Header)
	}
	if took := a.Ended.Sub(a.Began); took < 90*time.Millisecond {
		t.Errorf("503 after %v already", took)
	}
	if h, _ := d.Handler("dying"); h.State != "crashed" {
		t.Errorf("status: %+v", h)
	}
	// A newer file helps.
	d.Put("dying", plain(t, "/dying", "mended"))
	if a, err := c.Get("/dying"); err != nil || string(a.Body) != "mended" {
		t.Errorf("got %d %q %v", a.Status, a.Body, err)
	}
}

// The gate dies: connections that live in cells do not notice, and new ones
// wait instead of being refused.
func TestGateDies(t *testing.T) {
	d := testbed.Start(t, testbed.Allow("gate died"))
	d.Put("calm", plain(t, "/calm", "calm"))
	d.Put("other", plain(t, "/other", "other"))
	load := testbed.Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/calm"}}.Run(t)
	load.Await(t, 50) // each is with its cell by now
	pids := map[int]bool{}
	for range 3 {
		wanderer := d.Dial()
		defer wanderer.Close()
		if a, err := wanderer.Get("/calm"); err != nil || a.Status != 200 {
			t.Fatalf("%d %v", a.Status, err)
		}
		gate := d.Status().Daemon.GatePID
		if gate == 0 || pids[gate] {
			t.Fatalf("the gate is %d", gate)
		}
		pids[gate] = true
		if err := syscall.Kill(gate, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := testbed.AwaitDeath(gate, testbed.Patience); err != nil {
			t.Fatal(err)
		}
		// Its way leads over the new gate.
		if a, err := wanderer.Get("/other"); err != nil || string(a.Body) != "other" {
			t.Errorf("keep-alive: got %d %q %v", a.Status, a.Body, err)
		}
		for range 5 {
			d.Want("/other", 200, "other")
			d.Want("/none", 404, "")
		}
		load.Await(t, 50)
		// The new gate follows changes.
		d.Put("third", plain(t, "/third", fmt.Sprint(gate)))
		d.Want("/third", 200, fmt.Sprint(gate))
	}
	load.Unharmed(t)
}

// The supervisor is not on the path of any request: while it is stopped,
// traffic flows on, and nobody is blamed for it afterwards.
func TestSupervisorStopped(t *testing.T) {
	d := testbed.Start(t)
	d.Put("calm", plain(t, "/calm", "calm"))
	d.Put("other", plain(t, "/other", "other"))
	before := d.Status()
	load := testbed.Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/calm", "/other", "/calm"}}.Run(t)
	d.Signal(syscall.SIGSTOP)
	defer d.Signal(syscall.SIGCONT)
	load.Await(t, 1000)
	for range 20 {
		d.Want("/calm", 200, "calm")
		d.Want("/none", 404, "")
	}
	d.Drop("third", plain(t, "/third", "third"))
	load.Await(t, 1000)
	mark := d.Log.Len()
	d.Signal(syscall.SIGCONT)
	d.WaitLive(mark, "third", plain(t, "/third", "third"))
	d.Want("/third", 200, "third")
	after := d.Status()
	if before.Daemon.GatePID != after.Daemon.GatePID || before.Handlers[0].PID != after.Handlers[0].PID {
		t.Errorf("%+v became %+v", before, after)
	}
	load.Unharmed(t)
}

// The supervisor dies: all end with it, for whoever starts it again.
func TestSupervisorDies(t *testing.T) {
	d := testbed.Start(t)
	d.Put("calm", plain(t, "/calm", "calm"))
	d.Want("/calm", 200, "calm")
	d.Signal(syscall.SIGKILL)
	if err := d.ExitError(); err == nil {
		t.Errorf("it has survived SIGKILL")
	}
	d.Ended(testbed.Patience)
	d = testbed.Start(t, testbed.In(d.Dir))
	d.Want("/calm", 200, "calm")
}
