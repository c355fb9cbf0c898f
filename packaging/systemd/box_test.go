//go:build systemd

package systemd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// packages are what a root holds beyond Debian's essential packages.
const packages = "systemd,systemd-sysv,dbus,curl,logrotate"

// compiler is what a root in which is built holds beyond those, engine one in which containers run.
const (
	compiler = ",gcc,libc6-dev"
	engine   = ",podman,crun,catatonit"
)

// box is a booted Debian: a throw-away layer over a cached root, with a PID 1,
// a network and a journal of its own.
type box struct {
	t      *testing.T
	suite  string
	builds bool   // it has Go and gcc
	root   string // as the host sees it
	netns  string // the path of its network, "" for one of its own
	leader int    // its PID 1, as the host sees it

	nspawn  *exec.Cmd     // nil while it is off
	exited  chan struct{} // closed once that has
	console bytes.Buffer
}

// root returns a cached Debian, which nobody may write to.
func root(t *testing.T, suite, packages string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "plugserver", "roots", suite+"+"+strings.ReplaceAll(packages, ",", "+"))
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	t.Logf("making a root of %s; the next run finds it in %s", suite, dir)
	host(t, "mmdebstrap", "--variant=minbase", "--include="+packages, suite, temp)
	if err := errors.Join(os.Chmod(temp, 0o755), os.Rename(temp, dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// host runs a command on the host.
func host(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

// own begins the names of what this process has on the host: layers, control groups and networks.
func own() string { return fmt.Sprint("plugserver-", os.Getpid()) }

var owned = regexp.MustCompile(`^plugserver-(\d+)(-(bookworm|trixie)-\d+|-box\d)?$`)

// sweep removes what processes have left that are no more: who runs out of time cleans nothing up.
func sweep(t *testing.T) {
	t.Helper()
	dead := func(pattern string) (paths []string) {
		all, _ := filepath.Glob(pattern)
		for _, path := range all {
			if m := owned.FindStringSubmatch(filepath.Base(path)); m != nil {
				if pid, err := strconv.Atoi(m[1]); err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
					t.Logf("a test that did not end has left %s", path)
					paths = append(paths, path)
				}
			}
		}
		return paths
	}
	for _, work := range dead(filepath.Join(os.TempDir(), "plugserver-*-*-*")) {
		if err := syscall.Unmount(filepath.Join(work, "root"), 0); err == nil || err == syscall.EINVAL { // EBUSY: its box still ends
			os.RemoveAll(work)
		}
	}
	for _, dir := range hierarchies {
		for _, group := range dead(filepath.Join(dir, "plugserver-*-*-*")) {
			disband(group)
		}
	}
	for _, network := range dead("/run/netns/plugserver-*") {
		exec.Command("ip", "netns", "del", filepath.Base(network)).Run()
	}
}

// hierarchies are where control groups are, with or without version 1.
var hierarchies = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"}

// disband removes a control group, and those in it, in which nothing runs any more.
func disband(group string) { exec.Command("find", group, "-depth", "-type", "d", "-delete").Run() }

// laps returns what tells how long a part took, from the end of the one before.
func laps(t *testing.T) (lap func(part string)) {
	began := time.Now()
	return func(part string) {
		t.Helper()
		t.Logf("%s: %v", part, time.Since(began).Round(100*time.Millisecond))
		began = time.Now()
	}
}

// boot returns once the box has booted, which holds more packages. It ends with the test.
func boot(t *testing.T, suite, more string) *box {
	t.Helper()
	b := assemble(t, suite, more, "")
	b.start(t)
	b.booted(t)
	return b
}

// assemble makes a box that is off. It is on a network of its own, unless a namespace is named.
func assemble(t *testing.T, suite, more, netns string) *box {
	t.Helper()
	lower := root(t, suite, packages+more)
	work, err := os.MkdirTemp("", own()+"-"+suite+"-")
	if err != nil {
		t.Fatal(err)
	}
	b := &box{t: t, suite: suite, builds: more == compiler, root: filepath.Join(work, "root"), netns: netns}
	t.Cleanup(func() { os.RemoveAll(work) })
	for _, dir := range []string{"root", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(work, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mount("overlay", b.root, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, work, work)); err != nil {
		t.Fatalf("mount the box: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(b.root, 0); err != nil {
			t.Errorf("unmount the box: %v", err)
		}
	})
	t.Cleanup(func() {
		for _, dir := range hierarchies {
			disband(filepath.Join(dir, filepath.Base(work)))
		}
	})
	t.Cleanup(func() {
		// The end of its PID 1 is the end of all that runs in the box.
		switch {
		case b.nspawn == nil:
			return
		case b.leader > 0:
			syscall.Kill(b.leader, syscall.SIGKILL)
		default:
			b.nspawn.Process.Kill()
		}
		<-b.exited
	})
	return b
}

// ownGroups runs a command in control groups of its own, $0: of boxes that are on together each systemd would end the others'
// services.
const ownGroups = `for c in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
	if [ -e $c/cgroup.procs ]; then mkdir -p $c/$0 && echo $$ >$c/$0/cgroup.procs; fi
done
exec "$@"`

// start switches the box on.
func (b *box) start(t *testing.T) {
	t.Helper()
	name, network := filepath.Base(filepath.Dir(b.root)), "--private-network"
	var before []string
	if b.netns != "" {
		network = "--network-namespace-path=" + b.netns
		before = []string{"sh", "-c", ownGroups, name}
	}
	args := append(before, "systemd-nspawn", "--quiet", "--directory="+b.root, "--register=no", "--keep-unit", network, "--console=pipe", "--machine="+name, "--boot")
	b.console.Reset()
	b.nspawn = exec.Command(args[0], args[1:]...)
	b.nspawn.Env = append(os.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1", "SYSTEMD_SECCOMP=0") // whose filter knows nothing of Landlock
	b.nspawn.Stdout, b.nspawn.Stderr = &b.console, &b.console
	// A test that runs out of time cleans nothing up.
	b.nspawn.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := b.nspawn.Start(); err != nil {
		t.Fatal(err)
	}
	b.exited = make(chan struct{})
	go func() { b.nspawn.Wait(); close(b.exited) }()
}

// booted returns once a box that was started has booted.
func (b *box) booted(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		select {
		case <-b.exited:
			t.Fatalf("the box did not boot:\n%s", &b.console)
		default:
		}
		if b.leader = child(b.nspawn.Process.Pid); b.leader > 0 {
			out, _ := b.try("systemctl", "is-system-running", "--wait")
			if state := strings.TrimSpace(out); state == "running" || state == "degraded" {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("the box did not boot within a minute")
		}
	}
}

// powerOff switches the box off, as an administrator does.
func (b *box) powerOff(t *testing.T) {
	t.Helper()
	b.try("systemctl", "poweroff") // which may not live to tell
	select {
	case <-b.exited:
		b.nspawn, b.leader = nil, 0
	case <-time.After(time.Minute):
		t.Fatalf("the box was not off within a minute:\n%s", &b.console)
	}
}

// child is the PID of the process that is PID 1 of a namespace below pid.
func child(pid int) int {
	out, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0
	}
	for _, f := range strings.Fields(string(out)) {
		n, _ := strconv.Atoi(f)
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", n))
		for line := range strings.Lines(string(status)) {
			if ids, ok := strings.CutPrefix(line, "NSpid:"); ok && strings.HasSuffix(strings.TrimSpace(ids), "\t1") {
				return n
			}
		}
	}
	return 0
}

// command is a command that will run in the box, as root.
func (b *box) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(b.leader), "--all", "--",
		"env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		"LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_PAGER=cat"}, args...)...)
	c.Dir = "/"
	return c
}

// try runs a command in the box.
func (b *box) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := b.command(ctx, args...).CombinedOutput()
	return string(out), err
}

// run runs a command that has to succeed.
func (b *box) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := b.try(args...)
	if err != nil {
		journal, _ := b.try("journalctl", "--no-pager", "-n", "40")
		t.Fatalf("%q: %v\n%s\n%s", args, err, out, journal)
	}
	return strings.TrimSpace(out)
}

// fail runs a command that has to fail.
func (b *box) fail(t *testing.T, args ...string) string {
	t.Helper()
	out, err := b.try(args...)
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() < 1 {
		t.Fatalf("%q: got %v, want an exit code\n%s", args, err, out)
	}
	return strings.TrimSpace(out)
}

// property is what systemctl show says.
func (b *box) property(t *testing.T, unit, name string) string {
	t.Helper()
	return b.run(t, "systemctl", "show", "-P", name, unit)
}

// active fails the test unless the unit is in that state.
func (b *box) active(t *testing.T, unit, want string) {
	t.Helper()
	if got := b.property(t, unit, "ActiveState"); got != want {
		t.Fatalf("%s is %s, want %s\n%s", unit, got, want, b.run(t, "journalctl", "--no-pager", "-n", "40"))
	}
}

// kill sends a signal; a minimal Debian has no kill(1).
func (b *box) kill(t *testing.T, signal string, pid int) {
	t.Helper()
	b.run(t, "sh", "-c", fmt.Sprintf("kill -%s %d", signal, pid))
}

// put copies a file of the host into the box's /root.
func (b *box) put(t *testing.T, from, name string) string {
	t.Helper()
	host(t, "cp", from, filepath.Join(b.root, "root", name))
	return "/root/" + name
}

// write writes a file in the box, for all to read.
func (b *box) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.root, path), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until ok; nothing announces what it is used for.
func eventually(t *testing.T, what string, ok func() bool) time.Duration {
	t.Helper()
	return within(t, 30*time.Second, what, ok)
}

func within(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}
