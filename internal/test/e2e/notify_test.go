package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// manager is systemd's side of sd_notify(3).
type manager struct {
	t        *testing.T
	messages chan string
	all      []string
}

func newManager(t *testing.T) (*manager, testbed.Option) {
	path := filepath.Join(testbed.NewDir(t), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	m := &manager{t: t, messages: make(chan string, 1000)}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := l.Read(buf)
			if err != nil {
				close(m.messages)
				return
			}
			m.messages <- string(buf[:n])
		}
	}()
	return m, testbed.Wrap(func(c *exec.Cmd) {
		c.Env = append(c.Env, "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=200000")
	})
}

// next returns the next message with the assignment, and what came before it.
func (m *manager) next(assignment string) (message string, before []string) {
	m.t.Helper()
	limit := time.After(testbed.Patience)
	for {
		select {
		case got, ok := <-m.messages:
			if !ok {
				m.t.Fatalf("no %s came, but %q", assignment, before)
			}
			m.all = append(m.all, got)
			for line := range strings.Lines(got) {
				if strings.HasPrefix(line, assignment) {
					return got, before
				}
			}
			before = append(before, got)
		case <-limit:
			m.t.Fatalf("no %s came, but %q", assignment, before)
		}
	}
}

// What systemd is told: READY once the handlers that are there were tried,
// RELOADING around a reload, STOPPING, more time while there is progress, and
// that the daemon is alive while it is.
func TestNotify(t *testing.T) {
	dir := testbed.NewDir(t)
	good, bad := plain(t, "/good", "good"), plain(t, "/good", "bad")
	for name, p := range map[string]testbed.Plugin{"good": good, "taken": bad} {
		if err := os.WriteFile(filepath.Join(dir, "handlers", name+".so"), p.Bytes, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, to := newManager(t)
	d := testbed.Start(t, testbed.In(dir), to)
	ready, before := m.next("READY=1")
	if !strings.Contains(ready, "STATUS=1 handler live, 1 refused") {
		t.Errorf("ready says %q", ready)
	}
	if len(before) == 0 || !strings.HasPrefix(before[0], "STATUS=starting: looking at ") {
		t.Errorf("the first that systemd hears is %q", before)
	}
	started := strings.Join(before, "\n")
	if !strings.Contains(started, "being tried") || !strings.Contains(started, "EXTEND_TIMEOUT_USEC=") {
		t.Errorf("before it was ready: %q", before)
	}
	d.Want("/good", 200, "")

	m.next("WATCHDOG=1")
	m.next("WATCHDOG=1")

	for _, reload := range []func(){func() { d.Reload() }, func() { d.Signal(syscall.SIGHUP) }} {
		go reload()
		reloading, _ := m.next("RELOADING=1")
		_, usec, ok := strings.Cut(reloading, "MONOTONIC_USEC=")
		if n, err := strconv.ParseInt(strings.TrimSpace(usec), 10, 64); !ok || err != nil || n <= 0 {
			t.Errorf("reloading says %q", reloading)
		}
		m.next("READY=1")
	}
	d.Remove("taken")
	for got := ","; strings.Contains(got, ","); { // until nothing more is said of it
		got, _ = m.next("STATUS=1 handler live")
	}

	// A stopped supervisor is not alive, whatever its children do.
	d.Signal(syscall.SIGSTOP)
	for drained := false; !drained; {
		select {
		case <-m.messages:
		case <-time.After(time.Second): // five times the interval
			drained = true
		}
	}
	d.Signal(syscall.SIGCONT)
	m.next("WATCHDOG=1")

	go d.Stop()
	m.next("STOPPING=1")
	m.next("EXTEND_TIMEOUT_USEC=")
	<-d.Exited()
	for _, got := range m.all {
		if strings.Contains(got, "MAINPID") {
			t.Errorf("unexpected %q", got)
		}
	}
}
