package wire

import (
	"net"
	"os"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/between/direct"
)

// polled is a socket that the runtime's poller knows.
type polled struct {
	*net.UnixConn
	raw syscall.RawConn

	// Of the Write under way: there is one at a time.
	step func(fd uintptr) bool // try; made once
	p    []byte
	once bool // it does not wait
	err  error
}

func newPolled(uc *net.UnixConn, raw syscall.RawConn) *polled {
	s := &polled{UnixConn: uc, raw: raw}
	s.step = s.try
	return s
}

// Write implements net.Conn.
func (s *polled) Write(p []byte) (int, error) { return s.write(p, false) }

// writeNow writes what the socket takes at once.
func (s *polled) writeNow(p []byte) (int, error) { return s.write(p, true) }

func (s *polled) write(p []byte, once bool) (int, error) {
	s.p, s.once, s.err = p, once, nil
	err := s.raw.Write(s.step)
	if err == nil {
		err = s.err
	}
	n := len(p) - len(s.p)
	s.p = nil
	return n, err
}

func (s *polled) try(fd uintptr) bool {
	for len(s.p) > 0 {
		n, err := direct.WriteNow(fd, s.p)
		s.p = s.p[n:]
		switch err {
		case nil, syscall.EINTR:
		case syscall.EAGAIN:
			return s.once
		default:
			s.err = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}
