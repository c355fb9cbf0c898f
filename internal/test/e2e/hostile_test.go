package e2e

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/sandbox"
	"github.com/andrestc/go-plugserver/internal/test/testbed"
	"golang.org/x/sys/unix"
)

// A handler that was taken over reaches nothing that is not its own: each row is one thing that it
// tries, and what it gets. The others do not notice.
func TestHostileHandler(t *testing.T) {
	lacks := strings.Join(sandbox.Kernel().Lacks(), "; ")
	signals, listening := strings.Contains(lacks, "Linux 6.12"), strings.Contains(lacks, "Linux 6.7")
	if lacks != "" && !signals {
		t.Fatalf("this kernel does not confine %s: nothing can be said of it", lacks)
	}
	dir := testbed.NewDir(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{
		"key.pem": "KEY", "neighbour.env": "TOKEN=x\n", "shared/data": "x", "mine/data": "x", "public/page": "x",
		"plugserverd.conf": fmt.Sprintf("[Handler hostile]\nReadWritePaths=%s\n[Handler neighbour]\nEnvironment=TOKEN=y\nReadWritePaths=%s\nEnvironmentFile=%s\n", at("mine"), at("shared"), at("neighbour.env")),
	} {
		os.MkdirAll(filepath.Dir(at(name)), 0o755)
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := testbed.Start(t, testbed.In(dir), testbed.Flags("--sandbox", "on"))
	d.Put("neighbour", plain(t, "/neighbour", "unharmed"))
	d.Put("hostile", testbed.Go(testbed.Hostile).Build(t))
	neighbour, _ := d.Handler("neighbour")
	spares := restartAhead(t, d, "hostile")
	supervisor, gate := d.Status().Daemon.PID, d.Status().Daemon.GatePID
	copies, err := filepath.Glob(filepath.Join(d.State, "store", "*"))
	if err != nil || len(copies) == 0 {
		t.Fatalf("the store is empty: %v", err)
	}
	abstract, err := net.Listen("unix", "@"+dir)
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()

	try := func(what string, args ...any) string {
		q := url.Values{}
		for _, a := range args {
			q.Add("a", fmt.Sprint(a))
		}
		_, body := d.Get("/hostile/" + what + "?" + q.Encode())
		return body
	}
	const denied, refused = "permission denied", "operation not permitted"
	for _, c := range []struct {
		want, what string
		args       []any
	}{
		// What is everybody's, and what is its own.
		{"ok", "read", []any{"/etc/hosts"}},
		{"ok", "read", []any{at("public/page")}},
		{"ok", "resolve", nil},
		{"ok", "zone", nil},
		{"ok", "roots", nil},
		{"ok", "user", nil},
		{"ok", "interfaces", nil},
		{"ok", "pair", nil},
		{"hello", "exec", []any{"echo hello"}},
		{"ok", "write", []any{at("mine/new")}},
		{"ok", "list", []any{at("mine")}},
		{"ok", "sys", []any{unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE}},

		// Files of the daemon, and of others.
		{denied, "list", []any{d.State}},
		{denied, "list", []any{filepath.Join(d.State, "store")}},
		{denied, "list", []any{filepath.Join(d.State, "tmp")}},
		{denied, "list", []any{filepath.Join(d.State, "store", "lent")}},
		{denied, "read", []any{fmt.Sprintf("/proc/%d/environ", spares[0])}},
		{denied, "write", []any{copies[0]}},
		{denied, "write", []any{filepath.Join(d.State, "store", "new")}},
		{denied, "write", []any{filepath.Join(d.State, "cells", "new")}},
		{denied, "remove", []any{copies[0]}},
		{refused, "chmod", []any{copies[0]}},
		{refused, "chmod", []any{filepath.Join(d.State, "store")}},
		{denied, "read", []any{at("plugserverd.conf")}},
		{denied, "read", []any{at("neighbour.env")}},
		{denied, "read", []any{at("shared/data")}},
		{denied, "write", []any{at("shared/data")}},
		{denied, "write", []any{at("public/page")}},
		{denied, "write", []any{filepath.Join(d.Handlers, "new.so")}},
		{denied, "remove", []any{filepath.Join(d.Handlers, "neighbour.so")}},
		{denied, "write", []any{"/dev/shm/x"}},
		{denied, "write", []any{"/tmp/plugserver-hostile"}},

		// Processes.
		{denied, "read", []any{fmt.Sprintf("/proc/%d/environ", neighbour.PID)}},
		{denied, "read", []any{fmt.Sprintf("/proc/%d/environ", supervisor)}},
		{denied, "write", []any{fmt.Sprintf("/proc/%d/mem", gate)}},
		{denied, "read", []any{fmt.Sprintf("/proc/%d/root/etc/hosts", neighbour.PID)}},
		{refused, "sys", []any{unix.SYS_PTRACE, unix.PTRACE_SEIZE, neighbour.PID}},
		{refused, "sys", []any{unix.SYS_PROCESS_VM_WRITEV, gate}},
		{refused, "sys", []any{unix.SYS_PROCESS_VM_READV, neighbour.PID}},
		{refused, "sys", []any{unix.SYS_PIDFD_GETFD, 3, 3}},
		{refused, "sys", []any{unix.SYS_KILL, supervisor, 9}},
		{refused, "sys", []any{unix.SYS_KILL, gate, 19}},
		{refused, "sys", []any{unix.SYS_KILL, neighbour.PID, 9}},
		{refused, "sys", []any{unix.SYS_TGKILL, gate, gate, 9}},
		{refused, "sys", []any{unix.SYS_PRLIMIT64, supervisor, unix.RLIMIT_NOFILE}},
		{refused, "sys", []any{unix.SYS_PRLIMIT64, 0, unix.RLIMIT_RTTIME, 1}}, // whose child it is
		{refused, "sys", []any{unix.SYS_PRLIMIT64, 0, unix.RLIMIT_RTTIME, 1 << 32}},
		{refused, "sys", []any{unix.SYS_SETRLIMIT, unix.RLIMIT_RTTIME, 1}},
		{"ok", "sys", []any{unix.SYS_PRLIMIT64, 0, unix.RLIMIT_RTTIME}},
		{refused, "sys", []any{unix.SYS_SETPRIORITY, unix.PRIO_USER, os.Getuid(), 19}},
		{refused, "sys", []any{unix.SYS_SCHED_SETAFFINITY, gate, 8}},
		{refused, "sys", []any{unix.SYS_SHMGET, 1, 4096, 0o1600}},

		// The system.
		{refused, "sys", []any{unix.SYS_UNSHARE, unix.CLONE_NEWUSER}},
		{refused, "sys", []any{unix.SYS_IO_URING_SETUP, 1}},
		{refused, "sys", []any{unix.SYS_BPF}},
		{refused, "sys", []any{unix.SYS_MOUNT}},
		{denied, "bind", nil},
		{refused, "dial", []any{"@" + dir}},
		{"HTTP/1.0 403 Forbidden", "control", []any{d.Control}},
		{"address family not supported by protocol", "sys", []any{unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW}},
		{denied, "exec", []any{"echo x > " + at("public/page")}},
	} {
		others := c.what == "sys" && (c.args[0] == unix.SYS_KILL || c.args[0] == unix.SYS_TGKILL) && c.args[1] != supervisor
		if listening && c.what == "bind" || signals && (others || c.what == "dial") {
			t.Logf("%s %v: not tried, this kernel cannot hold it", c.what, c.args)
			continue
		}
		got := try(c.what, c.args...)
		t.Logf("%s %v: %s", c.what, c.args, got)
		if got != c.want && !(c.what == "exec" && strings.HasPrefix(got, "exit status")) {
			t.Errorf("%s %v: got %q, not %q", c.what, c.args, got, c.want)
		}
	}

	// Its own folder ends with it.
	temp := try("temp")
	if filepath.Dir(temp) != filepath.Join(d.State, "tmp") {
		t.Errorf("its temporary files are in %q", temp)
	}
	d.Take("hostile")
	d.Want("/neighbour", 200, "unharmed")
	if after, _ := d.Handler("neighbour"); after.PID != neighbour.PID || d.Status().Daemon.GatePID != gate {
		t.Error("a process has ended: " + strconv.Itoa(after.PID))
	}
	d.Stop()
	for _, folder := range []string{"tmp", "store/lent"} {
		if left, err := os.ReadDir(filepath.Join(d.State, folder)); err != nil || len(left) > 0 {
			t.Errorf("left of the folders of cells: %v, %v", left, err)
		}
	}
}

// Nor does one that is in no sandbox control the daemon, itself or by what it has started: the kernel tells whose child
// asks.
func TestControlByUnconfined(t *testing.T) {
	d := testbed.Start(t, testbed.Flags("--sandbox", "off"))
	d.Put("hostile", testbed.Go(testbed.Hostile).Build(t))
	ask := func(what, arg string) string {
		_, body := d.Get("/hostile/" + what + "?" + url.Values{"a": {arg}}.Encode())
		return body
	}
	if got := ask("control", d.Control); got != "HTTP/1.0 403 Forbidden" {
		t.Errorf("the handler got %q", got)
	}
	ctl := fmt.Sprintf("PLUGSERVER_CONTROL=%s %s status 2>&1; true", d.Control, d.CtlPath())
	for _, shell := range []string{ctl, "setsid sh -c '" + ctl + "'"} {
		if got := ask("exec", shell); !strings.Contains(got, "it is a handler's; run it outside") {
			t.Errorf("%s: got %q", shell, got)
		}
	}
	if d.Status().Daemon.PID == 0 {
		t.Error("the test is not answered")
	}
}

// What a handler has started ends with its process, also what has a session of its own and no parent any more, and not before.
func TestOrphansEnd(t *testing.T) {
	for _, sandbox := range []string{"on", "off"} {
		d := testbed.Start(t, testbed.Flags("--sandbox", sandbox), testbed.Allow("crashed"))
		d.Put("hostile", testbed.Go(testbed.Hostile).Build(t))
		var pids []int
		leave := func() {
			t.Helper()
			const script = `setsid sh -c 'sleep 1000 >/dev/null 2>&1 & echo $!'; (setsid sh -c '(setsid sleep 1000 >/dev/null 2>&1 & echo $!)' &)`
			_, body := d.Get("/hostile/exec?" + url.Values{"a": {script}}.Encode())
			pids = pids[:0]
			for _, f := range strings.Fields(body) {
				pid, _ := strconv.Atoi(f)
				pids = append(pids, pid)
				if !there(pid) {
					t.Errorf("sandbox %s: process %q has ended before its handler's", sandbox, f)
				}
			}
			if len(pids) != 2 {
				t.Fatalf("the handler has started %q", body)
			}
		}
		gone := func(after string) {
			t.Helper()
			for _, pid := range pids {
				await(t, fmt.Sprintf("sandbox %s: process %d is gone after %s", sandbox, pid, after), func() bool { return !there(pid) })
			}
		}
		leave()
		if _, stderr, code := d.Ctl("restart", "hostile"); code != 0 {
			t.Fatal(stderr)
		}
		gone("a restart")
		leave()
		h, _ := d.Handler("hostile")
		unix.Kill(h.PID, unix.SIGKILL)
		gone("SIGKILL")
		await(t, "the handler is live again", func() bool { now, _ := d.Handler("hostile"); return now.PID != h.PID && now.State == "live" })
		leave()
		d.Stop()
		gone("the daemon")
	}
}

// there reports whether there is a process of that number, dead or not.
func there(pid int) bool { return unix.Kill(pid, 0) == nil }

// restartAhead has a handler run in a cell that was started ahead, and returns those that were.
func restartAhead(t *testing.T, d *testbed.Daemon, name string) (spares []int) {
	t.Helper()
	await(t, "a cell that is started ahead, for the rules of either handler,", func() bool {
		spares = d.Status().Daemon.Spares
		return len(spares) >= 2
	})
	if _, stderr, code := d.Ctl("restart", name); code != 0 {
		t.Fatal(stderr)
	}
	h, _ := d.Handler(name)
	if !slices.Contains(spares, h.PID) {
		t.Fatalf("process %d is none of those that were started ahead, %v", h.PID, spares)
	}
	return slices.DeleteFunc(spares, func(pid int) bool { return pid == h.PID })
}
