package e2e

import (
	"crypto/tls"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

const halfPost = "POST /calm HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf."

// SIGTERM: what began ends as it should, and so does the daemon.
func TestStopDrains(t *testing.T) {
	d := testbed.Start(t)
	d.Put("calm", plain(t, "/calm", "calm"))
	slow, idle := d.Dial(), d.Dial()
	defer slow.Close()
	defer idle.Close()
	if a, err := idle.Get("/calm"); err != nil || a.Status != 200 {
		t.Fatalf("%d %v", a.Status, err)
	}
	if err := slow.Send(halfPost); err != nil {
		t.Fatal(err)
	}
	inFlight(t, d, "calm", 1)
	d.Signal(syscall.SIGTERM)
	d.WaitLog("the stop", func(e testbed.Entry) bool { return strings.HasPrefix(e.Msg(), "stopping") })
	// The idle connection ends; then only the request under way is left.
	if _, err := idle.Receive("GET"); err == nil {
		t.Errorf("an idle connection got an answer")
	}
	select {
	case <-d.Exited():
		t.Errorf("it has ended with a request under way")
	default:
	}
	if a, err := slow.Do("half."); err != nil || string(a.Body) != "calm" {
		t.Errorf("the request under way: got %d %q %v", a.Status, a.Body, err)
	}
	if err := d.ExitError(); err != nil {
		t.Errorf("exit: %v", err)
	}
	d.Ended(0)
	if _, err := os.Lstat(d.Control); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the control socket is still there: %v", err)
	}
}

// Who signals by the program's name, as pkill(1) does, hits the gate, too, and no client notices: a reload is
// one, and at the end what began ends as it should.
func TestSignalsByName(t *testing.T) {
	d := testbed.StartSecure(t, testbed.NewDir(t), nil)
	d.Put("calm", plain(t, "/calm", "calm"))
	relayed := d.Config.Clone()
	relayed.MaxVersion = tls.VersionTLS12 // it lives no longer than its gate
	c, err := d.DialTLS(relayed)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	gate := d.Status().Daemon.GatePID
	byName := func(s syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(gate, s); err != nil {
			t.Fatal(err)
		}
		d.Signal(s)
	}
	byName(syscall.SIGHUP)
	d.Put("late", plain(t, "/late", "late"))
	if a, err := c.Get("/late"); err != nil || string(a.Body) != "late" {
		t.Errorf("behind a reload: got %d %q %v", a.Status, a.Body, err)
	}
	if err := c.Send(halfPost); err != nil {
		t.Fatal(err)
	}
	inFlight(t, d.Daemon, "calm", 1)
	byName(syscall.SIGTERM)
	d.WaitLog("the stop", func(e testbed.Entry) bool { return strings.HasPrefix(e.Msg(), "stopping") })
	if a, err := c.Do("half."); err != nil || string(a.Body) != "calm" {
		t.Errorf("the request under way: got %d %q %v", a.Status, a.Body, err)
	}
	d.Ended(testbed.Patience)
}

// inFlight waits until a handler has that many requests under way.
func inFlight(t *testing.T, d *testbed.Daemon, name string, want int64) {
	t.Helper()
	for end := time.Now().Add(testbed.Patience); ; {
		h, _ := d.Handler(name) // itself a round trip through the cell
		if h.InFlight == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s has %d requests under way, want %d", name, h.InFlight, want)
		}
	}
}

// SIGTERM with a request that does not end: it is cut when the time is up.
func TestStopCuts(t *testing.T) {
	d := testbed.Start(t, testbed.Flags("--drain-timeout", "300ms"))
	d.Put("calm", plain(t, "/calm", "calm"))
	slow := d.Dial()
	defer slow.Close()
	if err := slow.Send(halfPost); err != nil {
		t.Fatal(err)
	}
	inFlight(t, d, "calm", 1)
	began := time.Now()
	d.Signal(syscall.SIGTERM)
	if _, err := slow.Receive("POST"); err == nil {
		t.Errorf("it got an answer")
	}
	if err := d.ExitError(); err != nil {
		t.Errorf("exit: %v", err)
	}
	if took := time.Since(began); took < 300*time.Millisecond || took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	d.Ended(0)
}

// A second SIGTERM ends it at once.
func TestStopAtOnce(t *testing.T) {
	d := testbed.Start(t)
	d.Put("calm", plain(t, "/calm", "calm"))
	slow := d.Dial()
	defer slow.Close()
	if err := slow.Send(halfPost); err != nil {
		t.Fatal(err)
	}
	inFlight(t, d, "calm", 1)
	d.Signal(syscall.SIGTERM)
	d.WaitLog("the stop", func(e testbed.Entry) bool { return strings.HasPrefix(e.Msg(), "stopping") })
	began := time.Now()
	d.Signal(syscall.SIGTERM)
	if err := d.ExitError(); err == nil {
		t.Errorf("exit status 0")
	}
	d.Allow("ended at once by a second signal")
	d.Ended(3 * time.Second)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// The handlers directory vanishes and comes back: what is live stays live.
func TestDirectoryVanishes(t *testing.T) {
	d := testbed.Start(t, testbed.Flags("--poll", "100ms"))
	d.Put("calm", plain(t, "/calm", "calm"))
	load := testbed.Plan{Addr: d.Addr, Clients: 2, Paths: []string{"/calm"}}.Run(t)
	away := d.Handlers + ".away"
	for range 2 {
		mark := d.Log.Len()
		if err := os.Rename(d.Handlers, away); err != nil {
			t.Fatal(err)
		}
		d.WaitLogFrom(mark, "the problem", testbed.Says("", "handlers directory cannot be read"))
		load.Await(t, 50)
		if st := d.Status(); !strings.Contains(st.Daemon.Problem, "no such file or directory") || len(st.Handlers) == 0 || st.Handlers[0].State != "live" {
			t.Errorf("status: %+v", st)
		}
		if errs, code := d.Reload(); code != 1 || !strings.Contains(errs, "problem: ") {
			t.Errorf("reload: exit %d: %s", code, errs)
		}
		if err := os.Rename(away, d.Handlers); err != nil {
			t.Fatal(err)
		}
		d.WaitLogFrom(mark, "the end of it", testbed.Says("", "handlers directory can be read again"))
		d.Put("other", plain(t, "/other", number(mark)))
		d.Want("/other", 200, number(mark))
		if st := d.Status(); st.Daemon.Problem != "" {
			t.Errorf("status: %+v", st)
		}
		n := 0
		for _, e := range d.Log.From(mark) {
			if strings.Contains(e.Msg(), "cannot be read") {
				n++
			}
		}
		if n != 1 {
			t.Errorf("the problem was logged %d times", n)
		}
	}
	load.Unharmed(t)
}

// withoutInotify runs the daemon in a user namespace of its own that allows
// no inotify instance (namespaces(7), user_namespaces(7)), so that the rest
// of the machine keeps its own.
func withoutInotify(t *testing.T) testbed.Option {
	t.Helper()
	wrap := func(cmd *exec.Cmd) {
		args := append([]string{"-c", `echo 0 > /proc/sys/user/max_inotify_instances && exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh"}, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	probe := exec.Command("/bin/true")
	wrap(probe)
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("no user namespace without inotify to be had: %v %s", err, out)
	}
	return testbed.Wrap(wrap)
}

// Without inotify the poll does it all, and says so once.
func TestPollAlone(t *testing.T) {
	d := testbed.Start(t, withoutInotify(t), testbed.Flags("--poll", "50ms"))
	e := d.WaitLog("the loss", testbed.Says("", "inotify is lost"))
	if !strings.Contains(e.Raw, "max_user_instances") && !strings.Contains(e.Raw, "inotify") {
		t.Errorf("the log: %s", e.Raw)
	}
	for n := range 3 {
		p := plain(t, "/polled", number(n))
		d.Put("polled", p)
		d.Want("/polled", 200, number(n))
	}
	mark := d.Log.Len()
	p := plain(t, "/polled", "in place")
	d.CopyInPlace("polled", p)
	d.WaitLive(mark, "polled", p)
	d.Take("polled")
	d.Want("/polled", 404, "")
	n := 0
	for _, e := range d.Log.From(0) {
		if strings.Contains(e.Msg(), "inotify is lost") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the loss was logged %d times", n)
	}
}

// Where neither inotify nor the poll would, SIGHUP and reload make it look.
func TestNudges(t *testing.T) {
	d := testbed.Start(t, withoutInotify(t), testbed.Flags("--poll", "1h"))
	mark := d.Log.Len()
	p := plain(t, "/nudged", "by a signal")
	d.DropOld("nudged", p)
	d.Signal(syscall.SIGHUP)
	d.WaitLive(mark, "nudged", p)
	d.Want("/nudged", 200, "by a signal")
	d.DropOld("nudged", plain(t, "/nudged", "by reload"))
	if errs, code := d.Reload(); code != 0 {
		t.Errorf("reload: exit %d: %s", code, errs)
	}
	d.Want("/nudged", 200, "by reload") // at once: reload waits
	d.Remove("nudged")
	if errs, code := d.Reload(); code != 0 {
		t.Errorf("reload: exit %d: %s", code, errs)
	}
	d.Want("/nudged", 404, "")
	if left, _ := filepath.Glob(d.Handlers + "/*.so"); len(left) > 0 {
		t.Errorf("%v", left)
	}
}
