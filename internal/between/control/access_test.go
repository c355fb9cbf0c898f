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

	"github.com/andrestc/go-plugserver/internal/between/peer"
	"golang.org/x/sys/unix"
)

func TestAccess(t *testing.T) {
	tests := []struct {
		name   string
		access access
		peer   peer.Peer
		want   string // in the error; empty: allowed
	}{
		{"root", access{uid: 990}, peer.Peer{UID: 0, GIDs: []int{0}}, ""},
		{"the daemon's own", access{uid: 990}, peer.Peer{UID: 990, GIDs: []int{5}}, ""},
		{"a cell", access{uid: 990, gids: []int{990}}, peer.Peer{PID: 12, UID: 990, GIDs: []int{990}, Confined: true},
			"process 12 may not control plugserverd: it is in a sandbox, as handlers are; run it outside, or as root"},
		{"a cell in no sandbox", access{uid: 990, gids: []int{990}}, peer.Peer{PID: 12, UID: 990, GIDs: []int{990}, Child: true},
			"process 12 may not control plugserverd, which has started it, or who has started it: it is a handler's; run it outside"},
		{"a cell in no sandbox, with a group for admins", access{uid: 990, gids: []int{4242}, admins: "ops"}, peer.Peer{UID: 990, GIDs: []int{990, 4242}, Child: true}, "join the group ops"},
		{"a cell, with a group for admins", access{uid: 990, gids: []int{4242}, admins: "ops"}, peer.Peer{UID: 990, GIDs: []int{990, 4242}, Confined: true}, "join the group ops"},
		{"root's cell, with a group for admins", access{uid: 0, gids: []int{4242}, admins: "ops"}, peer.Peer{UID: 1000, GIDs: []int{4242}, Confined: true}, "run it outside, or as root"},
		{"root's cell in no sandbox", access{uid: 0}, peer.Peer{UID: 0, Child: true}, "it is a handler's; run it outside"},
		{"the daemon's own, with a group for admins", access{uid: 990, gids: []int{4242}, admins: "ops"}, peer.Peer{PID: 12, UID: 990, GIDs: []int{990}},
			"process 12 of user 990 may not control plugserverd; run as root or join the group ops"},
		{"the daemon's own in the group for admins", access{uid: 990, gids: []int{4242}, admins: "ops"}, peer.Peer{UID: 990, GIDs: []int{990, 4242}}, "join the group ops"},
		{"group for admins", access{uid: 990, gids: []int{4242}, admins: "ops"}, peer.Peer{UID: 1000, GIDs: []int{1000, 4242}}, ""},
		{"of the daemon's group, with another for admins", access{uid: 990, gids: []int{4242}, admins: "ops"}, peer.Peer{UID: 1000, GIDs: []int{1000, 990}}, "join the group ops"},
		{"root, with a group for admins", access{uid: 990, admins: "ops"}, peer.Peer{UID: 0, Child: true, Confined: true}, ""},
		{"root's own, with a group for admins", access{uid: 0, gids: []int{4242}, admins: "ops"}, peer.Peer{UID: 0}, ""},
		{"root's cell", access{uid: 0, gids: []int{4242}}, peer.Peer{PID: 12, UID: 0, Confined: true}, "run it outside, or as root"},
		{"what root's cell became", access{uid: 0, gids: []int{4242}}, peer.Peer{PID: 12, UID: 1000, GIDs: []int{4242}, Confined: true}, "run it outside, or as root"},
		{"root, unseen", access{uid: 990}, peer.Peer{UID: 0, Confined: true}, ""},
		{"group, unseen", access{uid: 990, gids: []int{4242}}, peer.Peer{UID: 1000, GIDs: []int{4242}, Confined: true}, ""},
		{"group", access{uid: 990, gids: []int{4242}}, peer.Peer{UID: 1000, GIDs: []int{4242}}, ""},
		{"supplementary group", access{uid: 990, gids: []int{4242}}, peer.Peer{UID: 1000, GIDs: []int{1000, 7, 4242}}, ""},
		{"one of two groups", access{uid: 990, gids: []int{1, 4242}}, peer.Peer{UID: 1000, GIDs: []int{4242}}, ""},
		{"stranger", access{uid: 990, gids: []int{4242}}, peer.Peer{PID: 12, UID: 1000, GIDs: []int{1000, 7}},
			"process 12 of user 1000 may not control plugserverd; run as root or join the group 4242"},
		{"no groups", access{uid: 990}, peer.Peer{PID: 12, UID: 1000, GIDs: []int{0, 990}},
			"process 12 of user 1000 may not control plugserverd; run as root"},
		{"stranger to two groups", access{uid: 0, gids: []int{4242, 0}}, peer.Peer{PID: 12, UID: 1000},
			"run as root or join the group 4242 or root"},
		{"group of the uid's number", access{uid: 0, gids: []int{1000}}, peer.Peer{UID: 1000, GIDs: []int{7}}, "of user 1000 may not control plugserverd; run as root or join the group " + groupName(1000)},
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
		t.Skip("becoming another user takes root; TestAccess and package peer's TestOf have run")
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
			wantSuffix: ": permission denied; run as root or join the group plugserver-admin"},
		{name: "the daemon's user", uid: 1, gid: group, mode: 0o660, want: "process ",
			wantSuffix: " of user 1 may not control plugserverd; run as root or join the group 4242"},
		{name: "a socket of everybody's", uid: 65534, gid: group, mode: 0o666, want: "process ",
			wantSuffix: " of user 65534 may not control plugserverd; run as root or join the group 4242"},
		{name: "stopped by the server", uid: 65534, gid: 65534, first: 5000, groups: 3, mode: 0o666, want: "process ",
			wantSuffix: " of user 65534 may not control plugserverd; run as root or join the group 4242"},
	}
	path := filepath.Join(shortDir(t), "s")
	l, err := Listen(path, group)
	if err != nil {
		t.Fatal(err)
	}
	startFor(t, l, &fake{}, defaultLimits, func(c net.Conn) error {
		p, err := peer.Of(c, os.Getpid())
		if err != nil || !p.Child {
			return fmt.Errorf("it is taken for nobody whom we have started: %+v, %v", p, err)
		}
		p.Child = false
		a := accessTo(path, strconv.Itoa(group))
		a.uid = 1 // of nobody here: root's cells may be anybody
		return a.check(p)
	})
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

// TestAccessTo: with a group for admins the daemon's own counts for nothing before the socket has that group.
func TestAccessTo(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	l, err := Listen(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a := accessTo(path, ""); a.uid != os.Geteuid() || !slices.Equal(a.gids, []int{os.Getegid()}) {
		t.Errorf("without a group it is for %+v", a)
	}
	if a := accessTo(path, "ops"); len(a.gids) != 0 || a.admins != "ops" {
		t.Errorf("before it has the group it is for %+v", a)
	}
	if a := accessTo(path, strconv.Itoa(os.Getegid())); !slices.Equal(a.gids, []int{os.Getegid()}) {
		t.Errorf("with the daemon's own for that group it is for %+v", a)
	}
	if a := accessTo(path+"x", "ops"); len(a.gids) != 0 {
		t.Errorf("where there is no socket it is for %+v", a)
	}
	if os.Geteuid() != 0 {
		return // giving it another's group takes root
	}
	if err := os.Chown(path, -1, 4242); err != nil {
		t.Fatal(err)
	}
	if a := accessTo(path, "ops"); !slices.Equal(a.gids, []int{4242}) {
		t.Errorf("with the group it is for %+v", a)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if a := accessTo(path, "ops"); len(a.gids) != 0 {
		t.Errorf("a socket of everybody's is for %+v", a)
	}
}

func TestGroup(t *testing.T) {
	if gid, err := Group("root"); gid != 0 || err != nil {
		t.Errorf("root is %d, %v", gid, err)
	}
	if gid, err := Group("4242"); gid != 4242 || err != nil {
		t.Errorf("4242 is %d, %v", gid, err)
	}
	if _, err := Group("no-such"); err == nil || !strings.HasSuffix(err.Error(), "make it: groupadd --system no-such") {
		t.Errorf("got %v", err)
	}
}
