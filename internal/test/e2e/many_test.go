package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// figures are what a daemon's tree costs.
type figures struct {
	processes, supervisorFDs, gateFDs, stored int
	supervisorRSS, gateRSS, treeRSS           int64
}

func figuresOf(t *testing.T, d *testbed.Daemon) figures {
	t.Helper()
	var f figures
	gate := d.Status().Daemon.GatePID
	for _, p := range d.Processes() {
		f.processes++
		f.treeRSS += p.RSS
		switch p.PID {
		case d.PID():
			f.supervisorFDs, f.supervisorRSS = p.FDs, p.RSS
		case gate:
			f.gateFDs, f.gateRSS = p.FDs, p.RSS
		}
	}
	stored, err := filepath.Glob(filepath.Join(d.State, "store", "*.so"))
	if err != nil {
		t.Fatal(err)
	}
	f.stored = len(stored)
	return f
}

// awaitSettled waits until every cell that has retired is gone, and a spare waits for the
// next.
func awaitSettled(t *testing.T, d *testbed.Daemon) {
	t.Helper()
	for end := time.Now().Add(testbed.Patience); ; time.Sleep(5 * time.Millisecond) {
		st := d.Status()
		live := map[int]bool{d.PID(): true, st.Daemon.GatePID: true}
		for _, h := range st.Handlers {
			live[h.PID] = true
		}
		for _, pid := range st.Daemon.Spares {
			live[pid] = true
		}
		var others []testbed.Process
		for _, p := range d.Processes() {
			if !live[p.PID] {
				others = append(others, p)
			}
		}
		if len(others) == 0 && len(st.Daemon.Spares) == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("there are %d spares, and %+v", len(st.Daemon.Spares), others)
		}
	}
	// The supervisor is told of a death a moment after it: a round trip
	// through it comes after that.
	if errs, code := d.Reload(); code != 0 {
		t.Fatalf("reload: %s", errs)
	}
}

// letGoOf waits until no process has a descriptor of c's connection, which is
// closed: until then the kernel lists a socket for the daemon's end of it
// (proc_net_tcp(5)).
func letGoOf(t *testing.T, d *testbed.Daemon, c *testbed.Client) {
	t.Helper()
	ours, theirs := c.LocalAddr().(*net.TCPAddr).Port, c.RemoteAddr().(*net.TCPAddr).Port
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	held := func() bool {
		var all []byte
		for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
			b, _ := os.ReadFile(name) // a machine may do without IPv6
			all = append(all, b...)
		}
		for line := range strings.Lines(string(all)) {
			f := strings.Fields(line)
			if len(f) > 9 && f[9] != "0" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", theirs)) && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", ours)) {
				return true
			}
		}
		return false
	}
	for end := time.Now().Add(testbed.Patience); held(); {
		if time.Now().After(end) {
			t.Fatalf("the daemon still has the connection of port %d", ours)
		}
		d.Status() // a round trip through its processes
	}
}

// A handler is replaced hundreds of times in a row. After the last time the
// tree of processes has the size that it had after the first few.
func TestReplacedHundredsOfTimes(t *testing.T) {
	times := 400
	if testing.Short() || testbed.Race {
		times = 100
	}
	d := testbed.Start(t, testbed.Flags("--poll", "1h"))
	d.Put("calm", plain(t, "/calm", "calm")) // and the build is done
	c := d.Dial()
	defer func() { c.Close() }()
	// Between two requests it may rest in the gate or in a cell: what the tree
	// costs is measured without it.
	measure := func() figures {
		awaitSettled(t, d)
		letGoOf(t, d, c)
		f := figuresOf(t, d)
		await(t, "a store of one version of calm, and three of many,", func() bool {
			f = figuresOf(t, d)
			return f.stored == 4
		})
		// A file or a connection of the moment is closed at the next look; what leaks is not.
		for range 10 {
			again := figuresOf(t, d)
			f.supervisorFDs, f.gateFDs = min(f.supervisorFDs, again.supervisorFDs), min(f.gateFDs, again.gateFDs)
		}
		c = d.Dial()
		return f
	}
	var first figures
	made := make(chan testbed.Plugin) // the next one is made while the last one starts
	go func() {
		defer close(made)
		for n := range times {
			select {
			case made <- plain(t, "/many", number(n)):
			case <-t.Context().Done():
				return
			}
		}
	}()
	began := time.Now()
	for n := range times {
		p := <-made
		mark := d.Log.Len()
		d.DropOld("many", p)
		d.WaitLive(mark, "many", p)
		// The connection that has been with the version before is answered
		// by this one.
		if a, err := c.Get("/many"); err != nil || string(a.Body) != number(n) {
			t.Fatalf("after version %d was live: got %d %q %v", n, a.Status, a.Body, err)
		}
		if n == 9 {
			first = measure()
		}
	}
	took := time.Since(began)
	last := measure()
	t.Logf("%d replacements in %v", times, took.Round(time.Millisecond))
	t.Logf("after the 10th: %+v", first)
	t.Logf("after the last: %+v", last)
	if last.processes != first.processes || last.supervisorFDs != first.supervisorFDs ||
		last.gateFDs != first.gateFDs {
		t.Errorf("the tree has changed: %+v became %+v", first, last)
	}
	if want := 5; last.processes != want {
		t.Errorf("%d processes, want %d: the supervisor, the gate, two cells and a spare", last.processes, want)
	}
	const grown = 32 << 20
	if last.supervisorRSS-first.supervisorRSS > grown || last.gateRSS-first.gateRSS > grown || last.treeRSS-first.treeRSS > 2*grown {
		t.Errorf("memory has grown: %+v became %+v", first, last)
	}
	if _, err := os.Stat(d.Path("many")); err != nil {
		t.Error(err)
	}
}
