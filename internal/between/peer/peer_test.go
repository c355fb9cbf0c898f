package peer

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOf asks the kernel about this very process.
func TestOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := Of(s, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(groups)
	got := slices.Sorted(slices.Values(p.GIDs[1:]))
	if p.PID != os.Getpid() || p.UID != os.Geteuid() || p.GIDs[0] != os.Getegid() || !slices.Equal(got, groups) {
		t.Errorf("got %+v, want pid %d, uid %d, gid %d, groups %v", p, os.Getpid(), os.Geteuid(), os.Getegid(), groups)
	}
	if p.Child || p.Confined {
		t.Errorf("we are taken for what we have started: %+v", p)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if p, err := Of(a, 0); err == nil {
		t.Errorf("a pipe has the peer %+v", p)
	}
}

// TestDescends asks of processes that there are.
func TestDescends(t *testing.T) {
	self, parent := os.Getpid(), os.Getppid()
	child := exec.Command("sh", "-c", "sleep 60 & echo $!; wait")
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer syscall.Kill(-child.Process.Pid, syscall.SIGKILL)
	var grandchild int
	if _, err := fmt.Fscan(out, &grandchild); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name          string
		pid, ancestor int
		want          bool
	}{
		{"a child", child.Process.Pid, self, true},
		{"a grandchild", grandchild, self, true},
		{"we of ourselves", self, self, false},
		{"our parent", parent, self, false},
		{"the sibling of a child", grandchild, self + 1<<22, false},
		{"nobody", 1<<22 + 1, self, true},
	} {
		if got := descends(tt.pid, tt.ancestor); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
