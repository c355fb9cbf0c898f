package handover

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"syscall"
)

// A process that runs handlers could give any descriptor back as a client's
// connection, and with it any address. So a process that accepts stamps what it
// gives: a keyed hash over what the kernel alone says of the socket, over the
// addresses that accept(2) told, over the state of its TLS, and whether its records are
// sealed by who has it. What comes back has to bear the stamp, and nobody
// else can make one.

// stamp is a keyed hash; that of zeros is none.
type stamp [16]byte

// soCookie asks for a socket's number, which no other has until the machine is
// started again (SO_COOKIE, socket(7)).
const soCookie = 57

// errStamp says that a connection is not one that a process of this key accepted, or
// had another address then.
var errStamp = errors.New("a connection that is not a client's")

// errTwice says that a connection came back that had not left.
var errTwice = errors.New("a connection that is here already")

// cookieOf returns the number of a socket.
func cookieOf(fd int) (uint64, error) {
	// Of those calls of package syscall that are for every architecture this one
	// has room for eight bytes.
	v, err := syscall.GetsockoptIPv6Mreq(fd, syscall.SOL_SOCKET, soCookie)
	if err != nil {
		return 0, os.NewSyscallError("getsockopt", err)
	}
	return binary.NativeEndian.Uint64(v.Multiaddr[:]), nil
}

// stampOf returns the stamp of a socket with that number, of which m tells.
func (s *Server) stampOf(cookie uint64, m *message) (st stamp) {
	h := hmac.New(sha256.New, s.Key)
	var b [2*maxAddr + 32]byte
	binary.BigEndian.PutUint64(b[:], cookie)
	binary.BigEndian.PutUint16(b[8:], uint16(len(m.remote)))
	binary.BigEndian.PutUint16(b[10:], uint16(len(m.local)))
	if m.keys != nil {
		b[8] = 1 // no address is as long
	}
	told := append(b[:12], m.remote...)
	h.Write(append(told, m.local...))
	if m.tls != "" {
		io.WriteString(h, m.tls)
	}
	copy(st[:], h.Sum(b[:0]))
	return st
}

// mark stamps what is about to be given.
func (s *Server) mark(fd int, m *message) error {
	if s.Key == nil {
		return nil // it goes back to who has stamped it
	}
	cookie, err := cookieOf(fd)
	if err != nil {
		return err
	}
	m.stamp = s.stampOf(cookie, m)
	return nil
}

// verify checks a connection that came back, and returns the number of its
// socket; 0 where this process stamps none.
func (s *Server) verify(fd int, m *message) (cookie uint64, err error) {
	if s.Key == nil {
		return 0, nil
	}
	if cookie, err = cookieOf(fd); err != nil {
		return 0, errStamp
	}
	if want := s.stampOf(cookie, m); !hmac.Equal(want[:], m.stamp[:]) {
		return 0, errStamp
	}
	s.mu.Lock()
	was := s.cookies[cookie]
	s.mu.Unlock()
	if was != nil && !was.hasLeft() {
		return 0, errTwice
	}
	return cookie, nil
}
