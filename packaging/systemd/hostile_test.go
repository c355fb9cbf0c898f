//go:build systemd

package systemd

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const denied, refused, readOnly, unseen = "permission denied", "operation not permitted", "read-only file system", "no such file or directory"

// attack is what the hostile handler tries, and what it gets; "|" is between what it may get.
type attack struct {
	want, what string
	args       []any
}

func attacks(t *testing.T, b *box, all []attack) {
	t.Helper()
	for _, c := range all {
		q := url.Values{}
		for _, a := range c.args {
			q.Add("a", fmt.Sprint(a))
		}
		_, got := b.get("/hostile/" + c.what + "?" + q.Encode())
		t.Logf("%s %v: %s", c.what, c.args, got)
		if !slices.Contains(strings.Split(c.want, "|"), got) {
			t.Errorf("%s %v: got %q, not %q", c.what, c.args, got, c.want)
		}
	}
}

// hostile has a handler try what harms others, and tells what it got. The kernel is the host's, whichever
// Debian it is: what an older one cannot, plugserverctl says.
func hostile(t *testing.T, b *box, file string, supervisor int) {
	b.run(t, "cp", b.put(t, file, "hostile.so"), handlers+"/hostile.so")
	eventually(t, "the hostile handler is live", func() bool { s, _ := b.get("/hostile/resolve"); return s == 200 })
	if lacks := b.status(t).Daemon.Unconfined; len(lacks) > 0 {
		t.Errorf("not confined are %q", lacks)
	}
	gate, neighbour := b.status(t).Daemon.GatePID, b.cell(t, "greet")
	attacks(t, b, []attack{
		{"ok", "read", []any{"/etc/passwd"}},
		{"ok", "user", nil},
		{"ok", "roots", nil},
		{"ok", "pair", nil},

		{denied, "read", []any{"/etc/shadow"}},
		{denied, "list", []any{"/var/lib/plugserver/store"}},
		{denied, "list", []any{"/var/lib/plugserver/tmp"}},
		{denied, "write", []any{"/var/lib/plugserver/store/x"}},
		{denied, "write", []any{"/var/lib/plugserver/cells/x"}},
		{readOnly, "write", []any{handlers + "/x.so"}},
		{denied, "write", []any{"/tmp/x"}},
		{denied, "write", []any{"/dev/shm/x"}},
		{denied, "write", []any{"/run/plugserver/x"}},
		{denied, "write", []any{"/var/cache/plugserver/x"}},
		{denied, "list", []any{"/run/credentials"}},
		{refused, "chmod", []any{"/var/lib/plugserver/store"}},

		{unseen, "read", []any{fmt.Sprintf("/proc/%d/environ", neighbour)}},
		{unseen, "write", []any{fmt.Sprintf("/proc/%d/mem", gate)}},
		{refused, "sys", []any{unix.SYS_PTRACE, unix.PTRACE_SEIZE, neighbour}},
		{refused, "sys", []any{unix.SYS_PROCESS_VM_WRITEV, gate}},
		{refused, "sys", []any{unix.SYS_PIDFD_GETFD, 3, 3}},
		{refused, "sys", []any{unix.SYS_KILL, supervisor, 9}},
		{refused, "sys", []any{unix.SYS_KILL, gate, 19}},
		{refused, "sys", []any{unix.SYS_KILL, neighbour, 9}},
		{refused, "sys", []any{unix.SYS_PRLIMIT64, supervisor, unix.RLIMIT_NOFILE}},
		{refused, "sys", []any{unix.SYS_UNSHARE, unix.CLONE_NEWUSER}},
		{refused, "sys", []any{unix.SYS_IO_URING_SETUP, 1}},

		{denied, "bind", nil},
		{"HTTP/1.0 403 Forbidden", "control", []any{"/run/plugserver/control.sock"}},
		{denied, "dial", []any{"/run/dbus/system_bus_socket"}},
		{"ok", "dial", []any{"/run/systemd/journal/stdout"}}, // left open: SECURITY.md
		{denied, "exec", []any{"true"}},
	})
	if b.cell(t, "greet") != neighbour || b.status(t).Daemon.GatePID != gate {
		t.Error("another process has ended")
	}
	if err := os.Remove(b.root + handlers + "/hostile.so"); err != nil {
		t.Fatal(err)
	}
	b.run(t, "systemctl", "reload", "plugserverd")
}

// apartHostile has it try from a unit of its own what harms the supervisor, who keeps it, a neighbour and the system.
func apartHostile(t *testing.T, b *box, file string, supervisor int) {
	b.write(t, apartConf, "[Handler greet]\nIsolation=unit\n[Handler hostile]\nIsolation=unit\n")
	b.run(t, "systemctl", "reload", "plugserverd")
	b.run(t, "cp", b.put(t, file, "hostile.so"), handlers+"/hostile.so")
	eventually(t, "the hostile handler is live", func() bool { s, _ := b.get("/hostile/resolve"); return s == 200 })
	gate, neighbour, own := b.status(t).Daemon.GatePID, b.cell(t, "greet"), b.cell(t, "hostile")
	keeper := b.mainPID(t, b.unitOf(t, own))
	attacks(t, b, []attack{
		{"ok", "read", []any{"/etc/passwd"}},
		{"ok", "roots", nil},
		{"ok", "pair", nil},

		{denied, "read", []any{"/etc/shadow"}},
		{denied, "list", []any{"/var/lib/plugserver/store"}},
		{denied, "list", []any{"/var/lib/plugserver/cells"}},
		{readOnly, "write", []any{"/var/lib/plugserver/store/x"}},
		{denied + "|" + readOnly, "write", []any{"/var/lib/plugserver/cells/x"}},
		{denied + "|" + readOnly, "write", []any{handlers + "/x.so"}},
		{denied, "write", []any{"/tmp/x"}},
		{denied, "write", []any{"/dev/shm/x"}},
		{denied + "|" + readOnly, "write", []any{"/run/plugserver/x"}},
		{denied + "|" + unseen, "write", []any{"/sys/fs/cgroup/cgroup.procs"}},

		{unseen, "read", []any{fmt.Sprintf("/proc/%d/environ", neighbour)}},
		{unseen + "|" + denied, "read", []any{fmt.Sprintf("/proc/%d/environ", keeper)}},
		{unseen, "write", []any{fmt.Sprintf("/proc/%d/mem", gate)}},
		{refused, "sys", []any{unix.SYS_PTRACE, unix.PTRACE_SEIZE, keeper}},
		{refused, "sys", []any{unix.SYS_PROCESS_VM_WRITEV, keeper}},
		{refused, "sys", []any{unix.SYS_PIDFD_GETFD, 3, 3}},
		{refused, "sys", []any{unix.SYS_KILL, supervisor, 9}},
		{refused, "sys", []any{unix.SYS_KILL, neighbour, 9}},
		{refused, "sys", []any{unix.SYS_KILL, keeper, 19}},
		{refused, "sys", []any{unix.SYS_PRLIMIT64, keeper, unix.RLIMIT_NOFILE}},
		{refused, "sys", []any{unix.SYS_UNSHARE, unix.CLONE_NEWUSER}},

		{denied, "bind", nil},
		{denied, "dial", []any{"/run/plugserver-cell.socket"}},
		{denied + "|" + unseen, "dial", []any{"/run/plugserver/control.sock"}},
		{denied, "dial", []any{"/run/dbus/system_bus_socket"}},
		{denied, "dial", []any{"/run/systemd/journal/stdout"}},
		{denied, "dial", []any{"/dev/log"}},
		{denied, "exec", []any{"true"}},
	})
	if b.cell(t, "greet") != neighbour || b.status(t).Daemon.GatePID != gate || b.cell(t, "hostile") != own {
		t.Error("another process has ended")
	}
	b.run(t, "rm", handlers+"/hostile.so")
	b.write(t, apartConf, "[Handler greet]\nIsolation=unit\n")
	b.run(t, "systemctl", "reload", "plugserverd")
}
