package torture

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// patience bounds the wait for what has to happen.
const patience = 30 * time.Second

// crowd is clients of one kind.
type crowd struct {
	*testbed.Load
	name    string
	clients int64
	kept    bool // they keep their connections
	hurt    bool // they ask the handler that is hurt
	accepts bool // their requests pass through the gate

	allowed int64 // failures, in this turn
	before  score // at the turn's begin
}

// score is what clients saw.
type score struct{ requests, failed, refused int64 }

func (c *crowd) score() score {
	return score{c.Requests.Load(), c.Failed.Load(), c.Refused.Load()}
}

func (s score) less(o score) score {
	return score{s.requests - o.requests, s.failed - o.failed, s.refused - o.refused}
}

func (s score) plus(o score) score {
	return score{s.requests + o.requests, s.failed + o.failed, s.refused + o.refused}
}

// arena is one daemon and its clients. Only its test's goroutine uses it.
type arena struct {
	t      *testing.T
	rng    *rand.Rand // of the turn
	flags  []string
	socket *os.File // listens, and is never closed: nobody may be refused
	life   *life
	d      *testbed.Daemon
	crowds []*crowd

	version int             // of the victim, the last that was dropped
	clean   bool            // the victim was refreshed, and not hurt since
	swept   map[string]bool // the system calls of all there are have failed
	base    census
	before  api.Status
	may     struct{ supervisor, gate, victim bool } // be another process after the turn
	took    []time.Duration                         // recoveries, in this turn
}

// allowed are messages that a torture is to cause.
var allowed = testbed.Allow("crashed:", "gate died", "does not answer", "killed: ", "restart failed", "rolled back", "quarantined",
	"ended at once by a second signal", "history cannot be saved", "cannot be cleaned", "cannot be given", "cannot be joined",
	"cannot be started", "were killed")

// newArena starts a daemon with the handlers calm, other and victim, and
// clients of all three.
func newArena(t *testing.T, flags ...string) *arena {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := l.(*net.TCPListener).File()
	l.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	// Arenas lie side by side on two processors: a cell may take longer to be
	// back than --hold's default of 2 s.
	// What is tried is what a sandbox lets handlers do, and what stands behind it: by the seed they are in theirs, or may do all that they can.
	sandbox := []string{"on", "off"}[*seedFlag%2]
	a := &arena{t: t, life: &life{t: t}, socket: socket, swept: make(map[string]bool), flags: append([]string{"--drain-timeout", "2s", "--hold", "10s", "--sandbox", sandbox}, flags...)}
	t.Cleanup(func() {
		try(a.life.end())
		for _, e := range a.life.take() {
			t.Error(e)
		}
	})
	if !try(func() { a.open(t) }) {
		t.FailNow() // the clean-up tells
	}
	return a
}

// open starts the daemon, its handlers and its clients.
func (a *arena) open(t *testing.T) {
	a.start()
	a.d.Put("calm", beast(a.life, "/calm", "calm", ""))
	a.d.Put("other", beast(a.life, "/other", "other", ""))
	a.refresh()
	calm := func(path string, ans testbed.Answer) error {
		if ans.Status != 200 || string(ans.Body) != path[1:] {
			return fmt.Errorf("%s: got %d %q", path, ans.Status, ans.Body)
		}
		return nil
	}
	victim := func(path string, ans testbed.Answer) error {
		if ans.Status != 200 || !strings.HasPrefix(string(ans.Body), "v") {
			return fmt.Errorf("%s: got %d %q", path, ans.Status, ans.Body)
		}
		return nil
	}
	think := func(int) time.Duration { return time.Duration(rand.IntN(20_000)) * time.Microsecond }
	addr := a.d.Addr
	for _, c := range []struct {
		crowd
		plan testbed.Plan
	}{
		{crowd{name: "keepers", kept: true}, testbed.Plan{Clients: 4, Paths: []string{"/calm"}, Check: calm}},
		{crowd{name: "callers", accepts: true}, testbed.Plan{Clients: 2, Paths: []string{"/calm", "/other"}, Check: calm, Fresh: true}},
		{crowd{name: "wanderers", kept: true, accepts: true}, testbed.Plan{Clients: 2, Paths: []string{"/calm", "/other"}, Check: calm}},
		{crowd{name: "the victim's keepers", kept: true, hurt: true}, testbed.Plan{Clients: 3, Paths: []string{"/victim"}, Check: victim}},
		{crowd{name: "the victim's callers", accepts: true, hurt: true}, testbed.Plan{Clients: 2, Paths: []string{"/victim"}, Check: victim, Fresh: true}},
	} {
		crowd := c.crowd
		c.plan.Addr, c.plan.Pause = addr, think
		crowd.clients = int64(c.plan.Clients)
		crowd.Load = c.plan.Run(t)
		a.crowds = append(a.crowds, &crowd)
	}
	// What is made once, on first need, is no leftover.
	a.refresh()
	a.d.Put("guest", beast(a.life, "/guest", "guest", ""))
	a.d.Want("/guest", 200, "guest")
	a.refused("guest", testbed.NewPlugin([]byte("no plugin")))
	a.d.Take("guest")
	a.rest()
	a.base = a.least(10)
	a.base.open = a.descriptors()
	a.resume()
}

// start starts the daemon on the arena's socket, and on its folder if it had one.
func (a *arena) start() {
	options := []testbed.Option{allowed, testbed.Sockets(a.socket), testbed.Flags(a.flags...), bounded}
	if a.d != nil {
		options = append(options, testbed.In(a.d.Dir))
	}
	a.d = testbed.Start(a.life, options...)
}

// refresh makes a new version of the victim live: what it has crashed before
// is forgotten.
func (a *arena) refresh() testbed.Plugin {
	p := a.next("")
	mark := a.d.Log.Len()
	a.d.DropOld("victim", p)
	a.d.WaitLive(mark, "victim", p)
	a.may.victim = true
	a.clean = true
	return p
}

// next is the next version of the victim.
func (a *arena) next(mode string) testbed.Plugin {
	a.version++
	return beast(a.life, "/victim", number(a.version), mode)
}

// refused drops a file that has to be refused, with its mend.
func (a *arena) refused(name string, p testbed.Plugin) testbed.Entry {
	mark := a.d.Log.Len()
	a.d.DropOld(name, p)
	e := a.d.WaitRefused(mark, name)
	if e.Get("reason") == "" || e.Get("mend") == "" {
		a.life.Errorf("refused without reason or mend: %s", e.Raw)
	}
	return e
}

// A fault says beforehand who may lose what is in flight. Each client has one
// request in flight at the most.

// cellDies is for the victim's cell: whoever has a request or a connection
// there loses one.
func (a *arena) cellDies() {
	a.may.victim = true
	a.allow(func(c *crowd) bool { return c.hurt })
}

// gateDies is for those whose requests are in the gate's hands.
func (a *arena) gateDies() {
	a.may.gate = true
	a.allow(func(c *crowd) bool { return c.accepts })
}

// allDie is for the whole daemon killed.
func (a *arena) allDie() {
	a.may.supervisor, a.may.gate, a.may.victim = true, true, true
	a.allow(func(*crowd) bool { return true })
}

// allEnd is for a daemon that ends in good order: a kept connection is closed,
// perhaps under a request on its way; a new one is never.
func (a *arena) allEnd() {
	a.may.supervisor, a.may.gate, a.may.victim = true, true, true
	a.allow(func(c *crowd) bool { return c.kept })
}

func (a *arena) allow(who func(*crowd) bool) {
	for _, c := range a.crowds {
		if who(c) {
			c.allowed += c.clients
		}
	}
}

// cell is the PID of the victim's cell.
func (a *arena) cell() int {
	h, ok := a.d.Handler("victim")
	if !ok || h.State != api.StateLive || h.PID == 0 {
		a.life.Fatalf("the victim is not live: %+v", h)
	}
	return h.PID
}

// kill sends a signal to a process of the daemon's.
func (a *arena) kill(pid int, s syscall.Signal) {
	if err := syscall.Kill(pid, s); err != nil {
		a.life.Fatalf("signal %v to process %d: %v", s, pid, err)
	}
}

// recovers waits until the victim answers a request that began after since.
func (a *arena) recovers(since time.Time) {
	for end := time.Now().Add(patience); ; {
		c, err := testbed.Dial("tcp", a.d.Addr)
		if err != nil {
			a.life.Fatalf("connect: %v", err)
		}
		ans, err := c.Get("/victim")
		c.Close()
		if err == nil && ans.Status == 200 {
			a.took = append(a.took, time.Since(since))
			return
		}
		if time.Now().After(end) {
			a.life.Fatalf("the victim does not answer %v after it was hurt: %d %q %v", patience, ans.Status, ans.Body, err)
		}
		time.Sleep(time.Millisecond) // a 503 or a dead gate comes at once
	}
}

// ask makes the victim do something to its process. The answer may stay out.
func (a *arena) ask(what string) (testbed.Answer, error) {
	c, err := testbed.Dial("tcp", a.d.Addr)
	if err != nil {
		a.life.Fatalf("connect: %v", err)
	}
	defer c.Close()
	return c.Get("/victim/do/" + strings.ReplaceAll(what, " ", "%20"))
}

// rest makes the clients pause once each has been served: its connection is
// where it belongs then.
func (a *arena) rest() {
	try(a.each)
	for _, c := range a.crowds {
		c.Rest()
	}
}

// each waits until each client has been served.
func (a *arena) each() {
	var loads []*testbed.Load
	for _, c := range a.crowds {
		loads = append(loads, c.Load)
	}
	testbed.Each(a.life, loads...)
}

func (a *arena) resume() {
	for _, c := range a.crowds {
		c.Resume()
	}
}
