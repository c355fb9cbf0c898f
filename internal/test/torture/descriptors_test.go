package torture

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
	"golang.org/x/sys/unix"
)

// bounded takes the capabilities from root's daemon with which the bound on
// descriptors on their way does not hold (unix(7), ETOOMANYREFS).
var bounded = testbed.Wrap(func(cmd *exec.Cmd) {
	if os.Getuid() != 0 {
		return
	}
	cmd.Args = append([]string{"setpriv", "--bounding-set", "-sys_admin,-sys_resource", "--", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/usr/bin/setpriv"
})

// descriptors run out, here or on their way. Nobody is closed, nobody is
// answered wrongly, and no process ends: what there is no descriptor for waits.
var descriptors = []fault{
	{"descriptors run out in the cell", 1, func(a *arena) { a.starve(a.cell()) }},
	{"descriptors run out in the gate", 1, func(a *arena) { a.starve(a.before.Daemon.GatePID) }},
	{"descriptors run out in the cell, and the gate dies", 1, func(a *arena) {
		pid := a.cell()
		defer a.limit(pid, 3)()
		a.gateDies()
		a.cellDies() // what it wants to give back, it cannot
		a.may.victim = false
		a.kill(a.before.Daemon.GatePID, syscall.SIGKILL)
		a.gone(a.before.Daemon.GatePID)
		time.Sleep(time.Duration(a.rng.IntN(800)) * time.Millisecond)
	}},
	{"too many descriptors on their way", 1, func(a *arena) { a.crowdOut() }},
}

// starve leaves a process few descriptors for a while, in which more clients come
// to the victim and keep their connections.
func (a *arena) starve(pid int) {
	relieve := a.limit(pid, a.openIn(pid)+2+a.rng.IntN(20))
	defer relieve()
	var clients []*testbed.Client
	defer func() {
		for _, c := range clients {
			c.Close()
		}
	}()
	ask := func(all *sync.WaitGroup, i int, c *testbed.Client) {
		all.Go(func() {
			if ans, err := c.Get("/victim"); err != nil || ans.Status != 200 {
				a.life.Errorf("client %d: %d %q %v", i, ans.Status, ans.Body, err)
			}
		})
	}
	var all sync.WaitGroup
	for i := range 300 {
		clients = append(clients, a.dial())
		ask(&all, i, clients[i]) // at once: a client may not keep the server waiting for its head
	}
	time.Sleep(time.Duration(200+a.rng.IntN(800)) * time.Millisecond)
	relieve()
	all.Wait()
	for i, c := range clients {
		ask(&all, i, c)
	}
	all.Wait()
}

// crowdOut stops the victim's cell while connections are on their way to it: more
// than the gate may send without its taking them.
func (a *arena) crowdOut() {
	const n = 60
	gate, cell := a.before.Daemon.GatePID, a.cell()
	before := a.openIn(gate)
	var clients []*testbed.Client
	for range n + 1 {
		clients = append(clients, a.dial())
	}
	defer func() {
		for _, c := range clients {
			c.Close()
		}
	}()
	a.until("the gate has accepted all", func() bool { return a.openIn(gate) > before+n })
	a.halt(cell)
	defer syscall.Kill(cell, syscall.SIGCONT)
	var all sync.WaitGroup
	for i, c := range clients[1:] {
		all.Go(func() {
			if ans, err := c.Post("/victim", "moves"); err != nil || ans.Status != 200 {
				a.life.Errorf("client %d: %d %q %v", i, ans.Status, ans.Body, err)
			}
		})
	}
	a.until("all are on their way", func() bool { return onTheirWay(cell) >= n })
	relieve := a.limit(gate, n/2)
	defer relieve()
	other := make(chan error, 1)
	go func() {
		ans, err := clients[0].Post("/calm", "waits")
		if err == nil && ans.Status != 200 {
			err = fmt.Errorf("%d %q", ans.Status, ans.Body)
		}
		other <- err
	}()
	select {
	case err := <-other:
		a.life.Errorf("another handler's client is answered, %v: no send has failed", err)
		other <- nil
	case <-time.After(time.Duration(100+a.rng.IntN(300)) * time.Millisecond):
	}
	a.kill(cell, syscall.SIGCONT)
	all.Wait()
	relieve() // what other processes of the same user have on their way counts, too
	if err := <-other; err != nil {
		a.life.Errorf("another handler's client: %v", err)
	}
}

func (a *arena) dial() *testbed.Client {
	c, err := testbed.Dial("tcp", a.d.Addr)
	if err != nil {
		a.life.Fatalf("connect: %v", err)
	}
	return c
}

// limit bounds the descriptors of a process (prlimit(2)) and returns what ends
// that.
func (a *arena) limit(pid, n int) (relieve func()) {
	var old unix.Rlimit
	set := func(l *unix.Rlimit) {
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, l, nil); err != nil {
			a.life.Errorf("limit process %d: %v", pid, err)
		}
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		a.life.Fatalf("limit of process %d: %v", pid, err)
	}
	set(&unix.Rlimit{Cur: uint64(n), Max: old.Max})
	return sync.OnceFunc(func() { set(&old) })
}

// openIn is the number of a process's descriptors.
func (a *arena) openIn(pid int) int {
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		a.life.Fatalf("%v", err)
	}
	return len(fds)
}

// onTheirWay counts the descriptors that wait in a process's sockets
// (proc_pid_fdinfo(5)).
func onTheirWay(pid int) (n int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	for _, f := range files {
		b, _ := os.ReadFile(f) // it may be closed by now
		if _, rest, ok := strings.Cut(string(b), "scm_fds:"); ok {
			line, _, _ := strings.Cut(rest, "\n")
			k, _ := strconv.Atoi(strings.TrimSpace(line))
			n += k
		}
	}
	return n
}

// halt stops a process, and waits until it is: one of its threads gets the signal,
// and the others run on until that has been given a processor.
func (a *arena) halt(pid int) {
	a.kill(pid, syscall.SIGSTOP)
	a.until("all threads have stopped", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, t := range threads {
			b, err := os.ReadFile(t)
			if i := bytes.LastIndexByte(b, ')'); err == nil && !bytes.HasPrefix(b[i+1:], []byte(" T")) {
				return false
			}
		}
		return true
	})
}

// until waits for what nothing announces.
func (a *arena) until(what string, holds func() bool) {
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			a.life.Fatalf("waited for: %s", what)
		}
	}
}
