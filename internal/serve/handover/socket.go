package handover

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/direct"
)

// socket is a client's connection in the gate. The runtime's poller learns of it
// only when somebody has to wait for it: a request that came with its connection,
// and whose answer the client takes at once, is served without. Its descriptor is
// in non-blocking mode.
type socket struct {
	fd            int
	remote, local net.Addr
	reader        reader // owned by the goroutine that reads

	mu     sync.Mutex // guards the rest; not held during a call
	file   *os.File   // of fd, once somebody had to wait
	limit  time.Time  // the read deadline, until then
	users  int        // calls under way on fd itself
	closed bool       // the last of the users closes fd
}

// quick is a connection of a process that accepts. Where its tryWrite has written less than
// it was given, and no error, the next that is written begins with the rest.
type quick interface {
	tryWrite(p []byte) (int, error)
}

// use keeps fd open until unuse.
func (s *socket) use() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.users++
	return nil
}

func (s *socket) unuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users == 0 && s.closed {
		s.release()
	}
}

// release closes fd. The lock is held.
func (s *socket) release() error {
	if s.file != nil {
		return s.file.Close()
	}
	return os.NewSyscallError("close", syscall.Close(s.fd))
}

// waiting returns the socket as the poller knows it.
func (s *socket) waiting() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	if s.file == nil {
		s.file = os.NewFile(uintptr(s.fd), "connection")
		if !s.limit.IsZero() {
			s.file.SetReadDeadline(s.limit)
		}
	}
	return s.file, nil
}

// isWaited reports whether somebody had to wait before.
func (s *socket) isWaited() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file != nil
}

// now calls f until it is not interrupted.
func (s *socket) now(f func(fd int) (int, error)) (n int, err error) {
	if err := s.use(); err != nil {
		return 0, err
	}
	defer s.unuse()
	for {
		n, err := f(s.fd)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// tryRead reads what has come, as Read does, or returns EAGAIN.
func (s *socket) tryRead(p []byte) (int, error) {
	n, err := s.now(func(fd int) (int, error) { return direct.ReadNow(uintptr(fd), p) })
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

// tryWrite writes what the socket takes at once.
func (s *socket) tryWrite(p []byte) (n int, err error) {
	for n < len(p) {
		k, err := s.now(func(fd int) (int, error) { return direct.WriteNow(uintptr(fd), p[n:]) })
		n += k
		if err == syscall.EAGAIN {
			break
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	if !s.isWaited() {
		if n, err := s.tryRead(p); err != syscall.EAGAIN {
			return n, s.error("read", err)
		}
	}
	if err := s.reader.read(s, p); err != nil {
		return 0, s.error("read", err)
	}
	return s.reader.n, nil
}

// reader is the one Read that is under way.
type reader struct {
	raw  syscall.RawConn
	step func(fd uintptr) bool // try; made once
	p    []byte
	n    int
	err  error
}

// read waits for bytes, and reads them.
func (r *reader) read(s *socket, p []byte) error {
	if r.raw == nil {
		f, err := s.waiting()
		if err != nil {
			return err
		}
		if r.raw, err = f.SyscallConn(); err != nil {
			return err
		}
		r.step = r.try
	}
	r.p, r.n, r.err = p, 0, nil
	err := r.raw.Read(r.step)
	r.p = nil
	switch {
	case err == nil:
		return r.err
	case isTimeout(err):
		return err
	default:
		return net.ErrClosed
	}
}

func (r *reader) try(fd uintptr) bool {
	for {
		r.n, r.err = direct.ReadNow(fd, r.p)
		switch r.err {
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			if r.n == 0 && r.err == nil && len(r.p) > 0 {
				r.err = io.EOF
			}
			return true
		}
	}
}

// Write implements net.Conn.
func (s *socket) Write(p []byte) (n int, err error) {
	if !s.isWaited() {
		if n, err = s.tryWrite(p); n == len(p) || err != nil {
			return n, s.error("write", err)
		}
	}
	f, err := s.waiting()
	if err != nil {
		return n, err
	}
	k, err := f.Write(p[n:])
	return n + k, s.error("write", err)
}

// error returns err as package net would: net/http looks at it.
func (s *socket) error(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	if errors.Is(err, os.ErrClosed) {
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: s.remote.Network(), Source: s.local, Addr: s.remote, Err: err}
}

// Close implements net.Conn. It ends what waits.
func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	if s.users == 0 {
		return s.release()
	}
	if s.file != nil {
		s.file.SetDeadline(longAgo)
	}
	return nil
}

// CloseWrite shuts down the writing side (shutdown(2)).
func (s *socket) CloseWrite() error {
	_, err := s.now(func(fd int) (int, error) { return 0, syscall.Shutdown(fd, syscall.SHUT_WR) })
	return os.NewSyscallError("shutdown", err)
}

// LocalAddr implements net.Conn.
func (s *socket) LocalAddr() net.Addr { return s.local }

// RemoteAddr implements net.Conn.
func (s *socket) RemoteAddr() net.Addr { return s.remote }

// SetDeadline implements net.Conn.
func (s *socket) SetDeadline(t time.Time) error {
	if err := s.SetWriteDeadline(t); err != nil {
		return err
	}
	return s.SetReadDeadline(t)
}

// SetReadDeadline implements net.Conn. It ends a Read that waits, and no other.
func (s *socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return net.ErrClosed
	case s.file == nil:
		s.limit = t
		return nil
	}
	return s.file.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (s *socket) SetWriteDeadline(t time.Time) error {
	f, err := s.waiting()
	if err != nil {
		return err
	}
	return f.SetWriteDeadline(t)
}

// SyscallConn implements syscall.Conn.
func (s *socket) SyscallConn() (syscall.RawConn, error) { return rawSocket{s}, nil }

// rawSocket is a socket's descriptor.
type rawSocket struct{ s *socket }

// Control implements syscall.RawConn.
func (r rawSocket) Control(f func(fd uintptr)) error {
	_, err := r.s.now(func(fd int) (int, error) { f(uintptr(fd)); return 0, nil })
	return err
}

// Read implements syscall.RawConn.
func (r rawSocket) Read(f func(fd uintptr) bool) error {
	if !r.s.isWaited() {
		done := false
		if err := r.Control(func(fd uintptr) { done = f(fd) }); err != nil || done {
			return err
		}
	}
	return r.wait(f, syscall.RawConn.Read)
}

// Write implements syscall.RawConn.
func (r rawSocket) Write(f func(fd uintptr) bool) error { return r.wait(f, syscall.RawConn.Write) }

func (r rawSocket) wait(f func(fd uintptr) bool, wait func(syscall.RawConn, func(uintptr) bool) error) error {
	file, err := r.s.waiting()
	if err != nil {
		return err
	}
	rc, err := file.SyscallConn()
	if err != nil {
		return err
	}
	return wait(rc, f)
}
