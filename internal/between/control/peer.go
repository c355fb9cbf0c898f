package control

import (
	"errors"
	"fmt"
	"net"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peer is the process that connected, as it was when it did.
type peer struct {
	pid, uid int
	gids     []int // its group first, then its supplementary groups
	// confined says that it is confined and we are not, as cells are, or that nobody can tell.
	confined bool
}

// peerOf asks the kernel who is at the other end, see SO_PEERCRED in unix(7).
func peerOf(c net.Conn) (peer, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return peer{}, errors.New("ask for the peer's credentials: no socket")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return peer{}, fmt.Errorf("ask for the peer's credentials: %w", err)
	}
	var (
		cred   *unix.Ucred
		groups []int
		inBox  bool
		gerr   error
	)
	cerr := raw.Control(func(fd uintptr) {
		if cred, gerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); gerr == nil {
			groups, gerr = peerGroups(int(fd))
			inBox = confined(int(fd), int(cred.Pid))
		}
	})
	if err := errors.Join(cerr, gerr); err != nil {
		return peer{}, fmt.Errorf("ask for the peer's credentials: %w", err)
	}
	return peer{
		pid:  int(cred.Pid),
		uid:  int(cred.Uid),
		gids: append([]int{int(cred.Gid)}, groups...), confined: inBox,
	}, nil
}

// peerGroups returns the peer's supplementary groups (SO_PEERGROUPS, Linux
// 4.13; none before).
func peerGroups(fd int) ([]int, error) {
	buf := make([]uint32, 64)
	for {
		size := uint32(len(buf) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == unix.ERANGE && int(size) > len(buf)*4: // size is now what it takes
			buf = make([]uint32, size/4)
			continue
		case errno == unix.ENOPROTOOPT:
			return nil, nil
		case errno != 0:
			return nil, errno
		}
		gids := make([]int, size/4)
		for i := range gids {
			gids[i] = int(buf[i])
		}
		return gids, nil
	}
}

// access is who may speak to the daemon.
type access struct {
	uid  int   // the daemon's own
	gids []int // of the socket
}

// check returns nil if p may speak to the daemon.
func (a access) check(p peer) error {
	if p.confined && (p.uid == a.uid || a.uid == 0) { // no cell is another's, but root's may become one
		return fmt.Errorf("process %d may not control plugserverd: it is in a sandbox, as handlers are; run it outside, or as root", p.pid)
	}
	if p.uid == 0 || p.uid == a.uid {
		return nil
	}
	if slices.ContainsFunc(p.gids, func(gid int) bool { return slices.Contains(a.gids, gid) }) {
		return nil
	}
	mend := "run as root"
	if len(a.gids) > 0 {
		names := make([]string, len(a.gids))
		for i, gid := range a.gids {
			names[i] = groupName(gid)
		}
		mend += " or join the group " + strings.Join(names, " or ")
	}
	return fmt.Errorf("process %d of user %d may not control plugserverd; %s", p.pid, p.uid, mend)
}

func groupName(gid int) string {
	id := strconv.Itoa(gid)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}
