package handover

import (
	"errors"
	"net"
	"syscall"
	"time"
	"unsafe"

	"github.com/andrestc/go-plugserver/internal/between/wire"
	"github.com/andrestc/go-plugserver/internal/serve/proxied"
)

// introduced begins with a connection of a proxy's, once that has said whose it is (the PROXY
// protocol); till then the caller counts it with Beside and Aside. One that does not say so within the limit on a head is closed: it is
// no proxy's.
func (s *Server) introduced(l *Listener, k *socket) {
	known := func() { s.Beside(-1); s.Aside(-1) } // by others
	err := k.introduce(after(s.limits.HeaderTimeout))
	if err != nil {
		defer known()
		s.http.ErrorLog.Printf("connection of %v closed: %v", k.remote, err)
		k.Close()
		return
	}
	if l.Secure != nil {
		defer known()
		fd, err := wire.Dup(k)
		k.Close()
		if err != nil {
			s.http.ErrorLog.Printf("connection of %v closed: %v", k.remote, err)
			return
		}
		l.Secure(fd, k.remote, k.local)
		return
	}
	c := s.newConn(k, k.remote, k.local)
	c.localAddr, c.unasked = textOf(k.local), true
	s.own(c)
	known()
	s.serve(c)
}

// introduce reads the header in front of the connection, and not a byte beyond it.
func (k *socket) introduce(limit time.Time) error {
	if _, err := k.waiting(); err != nil {
		return err
	}
	k.SetReadDeadline(limit)
	raw, _ := k.SyscallConn()
	b := make([]byte, proxied.Most)
	header := 0
	var remote, local net.Addr
	var failed error
	err := raw.Read(func(fd uintptr) bool {
		n, _, err := syscall.Recvfrom(int(fd), b, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == syscall.EAGAIN, err == syscall.EINTR:
			return false
		case err != nil:
			failed = err
			return true
		}
		header, remote, local, failed = proxied.Parse(b[:n])
		if header == 0 && failed == nil && hasEnded(fd) {
			failed = errors.New("it has ended within the header of the PROXY protocol")
		}
		return header > 0 || failed != nil
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	for header > 0 {
		n, err := k.Read(b[:header])
		if err != nil {
			return err
		}
		header -= n
	}
	k.SetReadDeadline(time.Time{})
	if remote != nil {
		k.remote, k.local = remote, local
	}
	return nil
}

// hasEnded reports whether nothing more comes than what waits.
func hasEnded(fd uintptr) bool {
	const rdhup = 0x2000
	return polled(fd, rdhup) != 0
}

const pollHup = 0x10 // POLLHUP: the other end is closed, or was shut down both ways

// polled returns what of events is so, or is told in any case (poll(2)).
func polled(fd uintptr, events int16) int16 {
	p := struct {
		fd              int32
		events, revents int16
	}{fd: int32(fd), events: events}
	var none syscall.Timespec
	n, _, _ := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&none)), 0, 0, 0)
	if n != 1 {
		return 0
	}
	return p.revents
}
