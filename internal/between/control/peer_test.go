package control

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAccess(t *testing.T) {
	tests := []struct {
		name   string
		access access
		peer   peer
		want   string // in the error; empty: allowed
	}{
		{"root", access{uid: 990}, peer{uid: 0, gids: []int{0}}, ""},
		{"the daemon's own", access{uid: 990}, peer{uid: 990, gids: []int{5}}, ""},
		{"a cell", access{uid: 990, gids: []int{990}}, peer{pid: 12, uid: 990, gids: []int{990}, confined: true},
			"process 12 may not control plugserverd: it is in a sandbox, as handlers are; run it outside, or as root"},
		{"root's cell", access{uid: 0, gids: []int{4242}}, peer{pid: 12, uid: 0, confined: true}, "run it outside, or as root"},
		{"what root's cell became", access{uid: 0, gids: []int{4242}}, peer{pid: 12, uid: 1000, gids: []int{4242}, confined: true}, "run it outside, or as root"},
		{"root, unseen", access{uid: 990}, peer{uid: 0, confined: true}, ""},
		{"group, unseen", access{uid: 990, gids: []int{4242}}, peer{uid: 1000, gids: []int{4242}, confined: true}, ""},
		{"group", access{uid: 990, gids: []int{4242}}, peer{uid: 1000, gids: []int{4242}}, ""},
		{"supplementary group", access{uid: 990, gids: []int{4242}}, peer{uid: 1000, gids: []int{1000, 7, 4242}}, ""},
		{"one of two groups", access{uid: 990, gids: []int{1, 4242}}, peer{uid: 1000, gids: []int{4242}}, ""},
		{"stranger", access{uid: 990, gids: []int{4242}}, peer{pid: 12, uid: 1000, gids: []int{1000, 7}},
			"process 12 of user 1000 may not control plugserverd; run as root or join the group 4242"},
		{"no groups", access{uid: 990}, peer{pid: 12, uid: 1000, gids: []int{0, 990}},
			"process 12 of user 1000 may not control plugserverd; run as root"},
		{"stranger to two groups", access{uid: 0, gids: []int{4242, 0}}, peer{pid: 12, uid: 1000},
			"run as root or join the group 4242 or root"},
		{"group of the uid's number", access{uid: 0, gids: []int{1000}}, peer{uid: 1000, gids: []int{7}}, "of user 1000 may not control plugserverd; run as root or join the group " + groupName(1000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.access.check(tt.peer)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (err == nil || !strings.HasSuffix(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestPeerOf asks the kernel about this very process.
func TestPeerOf(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
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
	p, err := peerOf(s)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(groups)
	got := slices.Sorted(slices.Values(p.gids[1:]))
	if p.pid != os.Getpid() || p.uid != os.Geteuid() || p.gids[0] != os.Getegid() || !slices.Equal(got, groups) {
		t.Errorf("got %+v, want pid %d, uid %d, gid %d, groups %v", p, os.Getpid(), os.Geteuid(), os.Getegid(), groups)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if p, err := peerOf(a); err == nil {
		t.Errorf("a pipe has the peer %+v", p)
	}
}

// TestMain is the child of TestForeignUser when its variable is set: it
// becomes that user, asks for the version and prints what it got.
func TestMain(m *testing.M) {
	spec := os.Getenv("CONTROL_TEST_CLIENT")
	if spec == "" {
		os.Exit(m.Run())
	}
	var uid, gid, first, groups int
	if _, err := fmt.Sscanf(spec, "%d:%d:%d:%d", &uid, &gid, &first, &groups); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	list := make([]int, groups)
	for i := range list {
		list[i] = first + i
	}
	for _, err := range []error{syscall.Setgroups(list), syscall.Setgid(gid), syscall.Setuid(uid)} {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	v, err := NewClient(os.Getenv("CONTROL_TEST_PATH")).Version(context.Background())
	if err != nil {
		fmt.Println(err)
	} else {
		fmt.Println("version " + v.Version)
	}
	os.Exit(0)
}

// TestForeignUser speaks to a real server as other users. What it decides is
// also in TestAccess, which needs no privileges.
func TestForeignUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("becoming another user takes root; TestAccess and TestPeerOf have run")
	}
	const group = 4242
	tests := []struct {
		name             string
		uid, gid         int
		first, groups    int // supplementary groups: that many from first on
		mode             os.FileMode
		want, wantSuffix string
	}{
		{name: "root", uid: 0, gid: 0, mode: 0o660, want: "version 0.1.0"},
		{name: "group", uid: 65534, gid: group, mode: 0o660, want: "version 0.1.0"},
		{name: "supplementary group", uid: 65534, gid: 65534, first: group, groups: 1, mode: 0o660, want: "version 0.1.0"},
		{name: "the last of 300 groups", uid: 65534, gid: 65534, first: group - 299, groups: 300, mode: 0o660, want: "version 0.1.0"},
		{name: "stopped by the mode", uid: 65534, gid: 65534, mode: 0o660, want: "connect to ",
			wantSuffix: ": permission denied; run as root or join the group plugserver"},
		{name: "stopped by the server", uid: 65534, gid: 65534, first: 5000, groups: 3, mode: 0o666, want: "process ",
			wantSuffix: " of user 65534 may not control plugserverd; run as root or join the group 4242"},
	}
	path := filepath.Join(shortDir(t), "s")
	l, err := Listen(path, group)
	if err != nil {
		t.Fatal(err)
	}
	start(t, l, &fake{}, defaultLimits, -1, group)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "CONTROL_TEST_PATH="+path, "CONTROL_TEST_CLIENT="+
				strings.Join([]string{strconv.Itoa(tt.uid), strconv.Itoa(tt.gid), strconv.Itoa(tt.first), strconv.Itoa(tt.groups)}, ":"))
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			got := strings.TrimSpace(string(out))
			if !strings.HasPrefix(got, tt.want) || !strings.HasSuffix(got, tt.wantSuffix) {
				t.Errorf("got %q, want %q … %q", got, tt.want, tt.wantSuffix)
			}
		})
	}
}
