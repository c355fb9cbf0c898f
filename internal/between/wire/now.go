package wire

import (
	"net"
	"os"
	"syscall"
)

// ReadNow reads from a socket what has come, and WriteNow writes what it takes at
// once, or they return EAGAIN: whatever the mode of the descriptor, which is also that
// of other processes that have it. The runtime is not told of the call: it would wake
// a thread to go on in the place of this one where the machine is busy and the call
// takes 20 microseconds, and in a process that is to use one processor every second
// thread then waits for the first.
func ReadNow(fd uintptr, p []byte) (int, error) { return readNow(fd, p) }

// WriteNow is described with ReadNow. Where nobody reads any more it returns EPIPE.
func WriteNow(fd uintptr, p []byte) (int, error) { return writeNow(fd, p) }

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
		n, err := WriteNow(fd, s.p)
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
