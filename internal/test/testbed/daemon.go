package testbed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
)

// Patience bounds the wait for what has to happen; nothing ever takes so long,
// but for a benchmark, which may change it.
var Patience = 30 * time.Second

// Daemon is a running plugserverd and its children.
type Daemon struct {
	Addr     string // of its first listener
	Dir      string // everything of it
	Handlers string
	State    string
	Control  string
	Log      *Log

	tb      TB
	bin     Binaries
	cmd     *exec.Cmd
	mark    string // in the environment of all its processes
	allowed []string
	exited  chan struct{} // closed once it is reaped
	err     error         // set before exited closes
	drops   atomic.Int64
	once    sync.Once // ends it
}

var daemons atomic.Int64

// Option changes how a daemon is started.
type Option func(*start)

type start struct {
	dir     string
	flags   []string
	wraps   []func(*exec.Cmd)
	allowed []string
	bare    bool
}

// Flags adds flags.
func Flags(flags ...string) Option { return func(s *start) { s.flags = append(s.flags, flags...) } }

// In starts the daemon on the folders of one that was stopped.
func In(dir string) Option { return func(s *start) { s.dir = dir } }

// Bare has handlers get no more of the daemon's environment than they do elsewhere, but for
// the mark by which they are found.
func Bare() Option {
	return func(s *start) {
		s.bare = true
		s.flags = append(s.flags, "--pass-environment", "E2E_DAEMON")
	}
}

// Wrap changes the command before it is started.
func Wrap(f func(*exec.Cmd)) Option { return func(s *start) { s.wraps = append(s.wraps, f) } }

// Sockets starts the daemon with listening sockets that are the caller's, as
// systemd passes them (sd_listen_fds(3)): they outlive it, and no client is
// refused while it is away.
func Sockets(files ...*os.File) Option {
	return Wrap(func(cmd *exec.Cmd) {
		// The shell's PID is the one that it becomes.
		cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/bin/sh"
		cmd.ExtraFiles = files
		cmd.Env = append(cmd.Env, fmt.Sprintf("LISTEN_FDS=%d", len(files)))
	})
}

// Allow names messages that would else fail the test.
func Allow(text ...string) Option { return func(s *start) { s.allowed = append(s.allowed, text...) } }

// Allow names messages that would else fail the test, of a daemon that runs.
func (d *Daemon) Allow(text ...string) { d.allowed = append(d.allowed, text...) }

// NewDir makes the folders of a daemon that is to be started In it.
func NewDir(tb TB) string {
	tb.Helper()
	dir := filepath.Join(Workshop(tb), fmt.Sprintf("d%d", daemons.Add(1)))
	if err := os.MkdirAll(filepath.Join(dir, "handlers"), 0o755); err != nil {
		tb.Fatalf("%v", err)
	}
	return dir
}

// Start starts a daemon and waits until it is ready. It is stopped, and its
// stop is checked, at the test's end if not before.
func Start(tb TB, options ...Option) *Daemon {
	tb.Helper()
	var s start
	for _, o := range options {
		o(&s)
	}
	bin := Build(tb)
	if s.dir == "" {
		s.dir = NewDir(tb)
	}
	d := &Daemon{
		Dir: s.dir, Handlers: filepath.Join(s.dir, "handlers"), State: filepath.Join(s.dir, "state"),
		Control: filepath.Join(s.dir, "c.sock"),
		tb:      tb, bin: bin, allowed: s.allowed,
		mark:   fmt.Sprintf("E2E_DAEMON=%d.%d", os.Getpid(), daemons.Add(1)),
		exited: make(chan struct{}),
	}
	args := append([]string{
		"--listen", "127.0.0.1:0", "--handlers", d.Handlers, "--state", d.State, "--control", d.Control,
		"--config", filepath.Join(d.Dir, "plugserverd.conf"), "--cell", bin.Cell, "--log-format", "json", "--log-level", "debug",
		"--build", "off", "--build-cells", "off",
	}, s.flags...)
	d.cmd = exec.Command(bin.Daemon, args...)
	d.cmd.Env = append(environ(), d.mark)
	for _, wrap := range s.wraps {
		wrap(d.cmd)
	}
	if !s.bare {
		passAll(d.cmd)
	}
	r, w, err := os.Pipe()
	if err != nil {
		tb.Fatalf("%v", err)
	}
	d.cmd.Stdout, d.cmd.Stderr = w, w
	err = d.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		tb.Fatalf("start plugserverd: %v", err)
	}
	d.Log = newLog(r)
	go func() {
		d.err = d.cmd.Wait()
		close(d.exited)
	}()
	tb.Cleanup(func() {
		d.Stop()
		if tb.Failed() {
			d.dump()
		}
	})
	ready := d.WaitLog("ready", func(e Entry) bool { return e.Msg() == "ready" })
	addrs, _ := ready.Fields["listen"].([]any)
	if len(addrs) == 0 {
		tb.Fatalf("no address in %s", ready.Raw)
	}
	d.Addr = fmt.Sprint(addrs[0])
	return d
}

// passAll has the daemon pass on all that it has: handlers of tests have what tests have.
func passAll(cmd *exec.Cmd) {
	for _, kv := range cmd.Env {
		if name, _, _ := strings.Cut(kv, "="); plainName.MatchString(name) {
			cmd.Args = append(cmd.Args, "--pass-environment", name)
		}
	}
}

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// environ is the environment of all that is run. The race detector is not to
// sleep for a second at every exit.
func environ() []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "PLUGSERVER_") || strings.HasPrefix(kv, "GORACE=")
	})
	return append(env, "GORACE=atexit_sleep_ms=0")
}

// dump logs what the daemon logged, but for the bulk of a long run.
func (d *Daemon) dump() {
	entries := d.Log.From(0)
	const most = 300
	if n := len(entries) - most; n > 0 {
		d.tb.Logf("log of the daemon: %d entries left out", n)
		entries = entries[n:]
	}
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(e.At.Format("15:04:05.000000 "))
		b.WriteString(e.Raw)
	}
	d.tb.Logf("log of the daemon:\n%s", b.String())
}

// PID is the supervisor's.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Signal sends a signal to the supervisor.
func (d *Daemon) Signal(s syscall.Signal) {
	d.tb.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.tb.Fatalf("signal plugserverd: %v", err)
	}
}

// Exited is closed once the supervisor is gone; its error is Wait's.
func (d *Daemon) Exited() <-chan struct{} { return d.exited }

// ExitError says how the supervisor has ended, nil for exit status 0.
func (d *Daemon) ExitError() error { <-d.exited; return d.err }

// Processes are those of the whole tree, however they are related.
func (d *Daemon) Processes() []Process { return processes(d.mark) }

// Stop ends the daemon with SIGTERM and checks that it has ended well: with
// exit status 0, no process left over, and nothing alarming in its log.
func (d *Daemon) Stop() {
	d.tb.Helper()
	d.once.Do(func() {
		select {
		case <-d.exited: // it was meant to end before Stop, which would say so
			d.tb.Errorf("plugserverd has ended by itself: %v", d.err)
		default:
			d.cmd.Process.Signal(syscall.SIGTERM)
		}
		d.awaitEnd()
		if d.err != nil {
			d.tb.Errorf("plugserverd: %v", d.err)
		}
		d.check()
	})
}

// Ended is for a daemon that the test has ended itself: it checks what Stop
// does but for the exit status, and gives the children as long to end.
func (d *Daemon) Ended(limit time.Duration) {
	d.tb.Helper()
	d.once.Do(func() {
		d.awaitEnd()
		for _, p := range d.Processes() {
			AwaitDeath(p.PID, limit)
		}
		d.check()
	})
}

func (d *Daemon) awaitEnd() {
	d.tb.Helper()
	select {
	case <-d.exited:
	case <-time.After(Patience):
		d.tb.Errorf("plugserverd does not end")
		d.cmd.Process.Kill()
		<-d.exited
	}
}

// alarming messages fail a test that does not allow them.
var alarming = []string{
	"panic", "fatal error", "DATA RACE", "route table refused", "does not answer", "connection lost",
	"nobody took it back", "gate died", "cannot be cleaned", "history cannot", "superfluous",
	"were killed", "crashed:", "cannot be given", "cannot be joined",
}

func (d *Daemon) check() {
	d.tb.Helper()
	for _, p := range d.Processes() {
		d.tb.Errorf("process %d is left over: %s", p.PID, p.Args)
		syscall.Kill(p.PID, syscall.SIGKILL)
	}
	if _, err := d.Log.Wait(0, Patience, func(Entry) bool { return false }); err == nil {
		d.tb.Errorf("the log has no end")
	}
	for _, e := range d.Log.From(0) {
		if e.Fields == nil && !d.allows(e.Raw) {
			d.tb.Errorf("plugserverd printed: %s", e.Raw)
			continue
		}
		if e.Get("handler") != "" && !strings.Contains(e.Raw, "DATA RACE") && !strings.HasPrefix(e.Msg(), "crashed:") {
			continue // what handlers say is for the test to judge
		}
		for _, bad := range alarming {
			if strings.Contains(e.Msg(), bad) && !d.allows(e.Msg()) {
				d.tb.Errorf("alarming: %s", e.Raw)
			}
		}
	}
}

func (d *Daemon) allows(text string) bool {
	for _, a := range d.allowed {
		if strings.Contains(text, a) {
			return true
		}
	}
	return false
}

// Admin is the address at which --admin-listen listens.
func (d *Daemon) Admin() string {
	d.tb.Helper()
	return d.WaitLog("the admin socket", func(e Entry) bool { return e.Msg() == "admin socket is ready" }).Get("listen")
}

// WaitLog waits for an entry, from the start of the log on.
func (d *Daemon) WaitLog(what string, match func(Entry) bool) Entry {
	d.tb.Helper()
	return d.WaitLogFrom(0, what, match)
}

// WaitLogFrom waits for an entry after mark, which is of Log.Len.
func (d *Daemon) WaitLogFrom(mark int, what string, match func(Entry) bool) Entry {
	d.tb.Helper()
	e, err := d.Log.Wait(mark, Patience, match)
	if err != nil {
		d.tb.Fatalf("wait for %s: %v", what, err)
	}
	return e
}

// Says matches the entry of a handler ("" for the daemon's own) that says text.
func Says(handler, text string) func(Entry) bool {
	return func(e Entry) bool { return e.Get("handler") == handler && strings.Contains(e.Msg(), text) }
}

// WaitLive waits until the plugin is reported live under the name.
func (d *Daemon) WaitLive(mark int, name string, p Plugin) Entry {
	d.tb.Helper()
	return d.WaitLogFrom(mark, "live "+name+" "+p.Version, func(e Entry) bool {
		return e.Msg() == "live: "+name && e.Get("version") == p.Version
	})
}

// WaitRefused waits until the newest file of the name is reported refused.
func (d *Daemon) WaitRefused(mark int, name string) Entry {
	d.tb.Helper()
	return d.WaitLogFrom(mark, "refusal of "+name, func(e Entry) bool {
		return e.Get("handler") == name && strings.HasPrefix(e.Msg(), "refused: ")
	})
}

// Path is the handler's file.
func (d *Daemon) Path(name string) string { return filepath.Join(d.Handlers, name+".so") }

// Drop renames a file of the content over the handler's.
func (d *Daemon) Drop(name string, p Plugin) {
	d.tb.Helper()
	d.drop(name, p, time.Time{})
}

// DropOld is Drop of a file that was built a while ago, as mv(1) drops one.
func (d *Daemon) DropOld(name string, p Plugin) {
	d.tb.Helper()
	d.drop(name, p, time.Now().Add(-time.Hour))
}

func (d *Daemon) drop(name string, p Plugin, mtime time.Time) {
	d.tb.Helper()
	temp := d.Temp(p.Bytes)
	if !mtime.IsZero() {
		if err := os.Chtimes(temp, mtime, mtime); err != nil {
			d.tb.Fatalf("%v", err)
		}
	}
	if err := os.Rename(temp, d.Path(name)); err != nil {
		d.tb.Fatalf("%v", err)
	}
}

// Temp writes a file beside the handlers that is none.
func (d *Daemon) Temp(content []byte) string {
	d.tb.Helper()
	temp := filepath.Join(d.Handlers, fmt.Sprintf(".drop%d", d.drops.Add(1)))
	if err := os.WriteFile(temp, content, 0o644); err != nil {
		d.tb.Fatalf("%v", err)
	}
	return temp
}

// CopyInPlace overwrites the handler's file as cp(1) does, in pieces.
func (d *Daemon) CopyInPlace(name string, p Plugin) {
	d.tb.Helper()
	f, err := os.OpenFile(d.Path(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		d.tb.Fatalf("%v", err)
	}
	defer f.Close()
	for b := p.Bytes; len(b) > 0; {
		n := min(len(b), 128<<10)
		if _, err := f.Write(b[:n]); err != nil {
			d.tb.Fatalf("%v", err)
		}
		b = b[n:]
	}
}

// Remove deletes the handler's file.
func (d *Daemon) Remove(name string) {
	d.tb.Helper()
	if err := os.Remove(d.Path(name)); err != nil {
		d.tb.Fatalf("%v", err)
	}
}

// Put drops a plugin and waits until it is live.
func (d *Daemon) Put(name string, p Plugin) Entry {
	d.tb.Helper()
	mark := d.Log.Len()
	d.Drop(name, p)
	return d.WaitLive(mark, name, p)
}

// Take removes a handler and waits until that is in force.
func (d *Daemon) Take(name string) {
	d.tb.Helper()
	mark := d.Log.Len()
	d.Remove(name)
	d.WaitLogFrom(mark, "end of "+name, func(e Entry) bool { return e.Msg() == "retired: "+name })
}

// CtlPath is the file of plugserverctl.
func (d *Daemon) CtlPath() string { return d.bin.Ctl }

// Ctl runs plugserverctl.
func (d *Daemon) Ctl(args ...string) (stdout, stderr string, code int) {
	d.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.bin.Ctl, append([]string{"--control", d.Control}, args...)...)
	cmd.Env = environ()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		d.tb.Fatalf("plugserverctl %s: no end after %v", strings.Join(args, " "), Patience)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.tb.Fatalf("plugserverctl: %v", err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Status is what plugserverctl status --json says.
func (d *Daemon) Status() api.Status {
	d.tb.Helper()
	out, errs, code := d.Ctl("status", "--json")
	var st api.Status
	if code != 0 {
		d.tb.Fatalf("plugserverctl status: exit %d: %s", code, errs)
	}
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		d.tb.Fatalf("plugserverctl status: %v\n%s", err, out)
	}
	return st
}

// Handler returns one handler's status, and whether it has one.
func (d *Daemon) Handler(name string) (api.Handler, bool) {
	d.tb.Helper()
	for _, h := range d.Status().Handlers {
		if h.Name == name {
			return h, true
		}
	}
	return api.Handler{}, false
}

// Reload runs plugserverctl reload.
func (d *Daemon) Reload() (stderr string, code int) {
	d.tb.Helper()
	_, stderr, code = d.Ctl("reload")
	return stderr, code
}

// Get asks over a connection of its own.
func (d *Daemon) Get(path string) (status int, body string) {
	d.tb.Helper()
	c := d.Dial()
	defer c.Close()
	a, err := c.Get(path)
	if err != nil {
		d.tb.Errorf("GET %s: %v", path, err)
	}
	return a.Status, string(a.Body)
}

// Dial opens a connection.
func (d *Daemon) Dial() *Client {
	d.tb.Helper()
	c, err := Dial("tcp", d.Addr)
	if err != nil {
		d.tb.Fatalf("%v", err)
	}
	return c
}

// Want asks over a connection of its own and checks the answer.
func (d *Daemon) Want(path string, status int, body string) {
	d.tb.Helper()
	if s, b := d.Get(path); s != status || !strings.HasPrefix(b, body) {
		d.tb.Errorf("GET %s: got %d %q, want %d %q", path, s, b, status, body)
	}
}
