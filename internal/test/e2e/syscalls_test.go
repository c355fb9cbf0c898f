package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// calls is how often each system call is made, by a process or for one request.
type calls map[string]int

// tracing is a process whose system calls are counted.
type tracing struct {
	cmd *exec.Cmd
	out string
}

// trace begins to count the system calls of all threads of a process (strace(1)).
func trace(t *testing.T, pid int) tracing {
	t.Helper()
	out := filepath.Join(t.TempDir(), "calls")
	cmd := exec.Command("strace", "-f", "-c", "-U", "calls,name", "-o", out, "-p", strconv.Itoa(pid))
	words, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(words)
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, " attached") {
		cmd.Process.Kill()
		cmd.Wait()
		t.Fatalf("strace: %s (%v): ptrace(2) has to be permitted (kernel.yama.ptrace_scope, CAP_SYS_PTRACE)", line, err)
	}
	go io.Copy(io.Discard, r)
	return tracing{cmd, out}
}

// end returns what was counted.
func (tr tracing) end(t *testing.T) calls {
	t.Helper()
	tr.cmd.Process.Signal(syscall.SIGINT)
	tr.cmd.Wait() // by that signal
	b, err := os.ReadFile(tr.out)
	if err != nil {
		t.Fatal(err)
	}
	all := make(calls)
	for line := range bytes.Lines(b) {
		w := strings.Fields(string(line))
		if len(w) != 2 || w[1] == "total" || slices.Contains(scheduler, w[1]) {
			continue
		}
		if n, err := strconv.Atoi(w[0]); err == nil {
			name := w[1]
			switch name { // of sockets each has two names
			case "recvfrom":
				name = "read"
			case "sendto":
				name = "write"
			}
			all[name] += n
		}
	}
	return all
}

// scheduler are the calls that the Go runtime makes for its own threads and
// memory: how many depends on the moment.
var scheduler = []string{
	"clone3", "clone", "epoll_pwait", "futex", "getpid", "gettid", "madvise", "mmap", "mprotect", "munmap", "nanosleep", "prctl",
	"restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sched_getaffinity", "sched_yield",
	"set_robust_list", "sigaltstack", "tgkill",
}

// beyond says in which way c is not what n requests may cost: exactly, and at the
// most. A few calls are nobody's.
func (c calls) beyond(n int, exact, most calls) (more []string) {
	for name, k := range exact {
		slack := n * (k + 1) / 20
		if d := c[name] - n*k; d < -slack || d > slack {
			more = append(more, fmt.Sprintf("%s %d, want %d", name, c[name], n*k))
		}
	}
	for name, got := range c {
		if _, ok := exact[name]; !ok && got > n*most[name]+n*(most[name]+1)/20 {
			more = append(more, fmt.Sprintf("%s %d, may be %d", name, got, n*most[name]))
		}
	}
	slices.Sort(more)
	return more
}

// What a request costs in system calls. An I/O call that finds nothing
// (EAGAIN) counts: hence two of what waits.
func TestSyscalls(t *testing.T) {
	testbed.Need(t, "no system call can be counted: apt-get install strace", "strace")
	d := testbed.Start(t)
	d.Put("one", plain(t, "/one", "one"))
	d.Put("two", plain(t, "/two", "two"))
	h, _ := d.Handler("one")
	gate := d.Status().Daemon.GatePID
	want := func(a testbed.Answer, err error) {
		t.Helper()
		if err != nil || a.Status != 200 {
			t.Fatalf("%d, %v", a.Status, err)
		}
	}
	const n = 300
	for _, tt := range []struct {
		name               string
		ask                func(kept *testbed.Client)
		inCell, mostInCell calls
		inGate, mostInGate calls
		// late is what the gate may do besides for a request that comes
		// after its connection, as on a busy machine some do, and under
		// the race detector many.
		late calls
	}{
		{
			name:       "kept",
			ask:        func(c *testbed.Client) { want(c.Get("/one")) },
			inCell:     calls{"write": 1},
			mostInCell: calls{"read": 2},
		},
		{
			name: "one request per connection, forwarded",
			ask: func(*testbed.Client) {
				c := d.Dial()
				defer c.Close()
				want(c.Do("GET /one HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"))
			},
			inCell:     calls{"recvmsg": 1, "sendmsg": 1},
			inGate:     calls{"close": 1},
			mostInGate: calls{"accept4": 2, "read": 2, "recvmsg": 2, "write": 2},
			late:       calls{"epoll_ctl": 2, "fcntl": 1},
		},
		{
			name:       "alternating between two handlers, forwarded",
			ask:        func(c *testbed.Client) { want(c.Get("/one")); want(c.Get("/two")) },
			inCell:     calls{"recvmsg": 1, "sendmsg": 1},
			mostInGate: calls{"read": 4, "recvmsg": 4, "write": 4},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if testbed.Race {
				maps.Copy(tt.mostInGate, tt.late)
			}
			c := d.Dial()
			defer c.Close()
			for range n { // it is where it will stay
				tt.ask(c)
			}
			var more []string
			for range 5 { // on a machine that is busy, a moment may pass between two calls
				cell, acceptor := trace(t, h.PID), trace(t, gate)
				for range n {
					tt.ask(c)
				}
				inCell, inGate := cell.end(t), acceptor.end(t)
				for name, k := range tt.late { // of half of them, not of each
					inGate[name] = max(inGate[name]-n*k/2, 0)
				}
				if tt.inCell["sendmsg"] == 1 {
					// It reads but the runtime's eventfd, which that has
					// written before, to wake a thread.
					inCell["write"] -= inCell["read"]
					delete(inCell, "read")
				}
				t.Logf("%d: the cell's %v, the gate's %v", n, inCell, inGate)
				more = append(inCell.beyond(n, tt.inCell, tt.mostInCell), inGate.beyond(n, tt.inGate, tt.mostInGate)...)
				if len(more) == 0 {
					return
				}
			}
			t.Errorf("%d: %s", n, strings.Join(more, "; "))
		})
	}
}
