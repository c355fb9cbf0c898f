// Package peer tells who is at the other end of a Unix socket, in the kernel's words: no word of
// the peer's own is taken, and what cannot be looked at is taken for the worst.
package peer

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Peer is the process that connected, as it was when it did.
type Peer struct {
	PID, UID int
	GIDs     []int // its group first, then its supplementary groups
	// Confined says that it is confined and we are not, as cells are, or that nobody can tell.
	Confined bool
	// Child says that it descends from the process that was asked for, or that nobody can tell.
	Child bool
}

// Of asks the kernel who is at the other end, see SO_PEERCRED in unix(7), and whether it descends from ancestor; 0 is no process.
func Of(c net.Conn, ancestor int) (Peer, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return Peer{}, errors.New("ask for the peer's credentials: no socket")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return Peer{}, fmt.Errorf("ask for the peer's credentials: %w", err)
	}
	var (
		cred   *unix.Ucred
		groups []int
		inBox  bool
		child  bool
		gerr   error
	)
	cerr := raw.Control(func(fd uintptr) {
		if cred, gerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); gerr == nil {
			groups, gerr = groupsOf(int(fd))
			inBox, child = looked(int(fd), int(cred.Pid), ancestor)
		}
	})
	if err := errors.Join(cerr, gerr); err != nil {
		return Peer{}, fmt.Errorf("ask for the peer's credentials: %w", err)
	}
	return Peer{
		PID:  int(cred.Pid),
		UID:  int(cred.Uid),
		GIDs: append([]int{int(cred.Gid)}, groups...), Confined: inBox, Child: child,
	}, nil
}

// groupsOf returns the peer's supplementary groups (SO_PEERGROUPS, Linux
// 4.13; none before).
func groupsOf(fd int) ([]int, error) {
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
