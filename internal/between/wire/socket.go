package wire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// socket is what a Conn needs of its socket.
type socket interface {
	io.Writer
	ReadMsgUnix(p, oob []byte) (n, oobn, flags int, addr *net.UnixAddr, err error)
	WriteMsgUnix(p, oob []byte, addr *net.UnixAddr) (n, oobn int, err error)
	CloseRead() error
	CloseWrite() error
	Close() error
}

// Waiting returns a Conn over f's socket, as FromFile, whose Recv waits in the
// kernel, on a thread of its own (recvmsg(2)). That thread serves a frame where it
// is: the runtime's poller and scheduler, which would wake others for it, have no
// part in it. It is for a process that has one such connection.
func Waiting(f *os.File) (*Conn, error) {
	defer f.Close()
	fd, err := Dup(f)
	if err != nil {
		return nil, fmt.Errorf("open socket %q: %w", f.Name(), err)
	}
	if err := syscall.SetNonblock(fd, false); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("open socket %q: %w", f.Name(), err)
	}
	return newConn(&waiting{fd: fd}), nil
}

// Dup returns a duplicate of f's descriptor that is closed on exec
// (F_DUPFD_CLOEXEC, fcntl(2)). It is the caller's to close.
func Dup(f syscall.Conn) (fd int, err error) {
	sc, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	var dupErr error
	err = sc.Control(func(old uintptr) {
		n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 3)
		if fd = int(n); errno != 0 {
			dupErr = os.NewSyscallError("fcntl", errno)
		}
	})
	return fd, errors.Join(err, dupErr)
}

// waiting is a socket that the runtime's poller does not know. It is in blocking
// mode: that of a socket pair is one end's alone.
type waiting struct {
	fd      int
	yielded time.Time // last; owned by the goroutine that reads

	mu     sync.Mutex // guards the rest
	users  int        // calls under way
	closed bool       // the last of the users closes fd
}

// use keeps fd open until unuse.
func (s *waiting) use() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.users++
	return nil
}

func (s *waiting) unuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	if s.closed && s.users == 0 {
		syscall.Close(s.fd)
	}
}

// Close ends a wait, too.
func (s *waiting) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	syscall.Shutdown(s.fd, syscall.SHUT_RDWR) // wakes who waits
	if s.users == 0 {
		return os.NewSyscallError("close", syscall.Close(s.fd))
	}
	return nil
}

func (s *waiting) shutdown(how int) error {
	if err := s.use(); err != nil {
		return err
	}
	defer s.unuse()
	return os.NewSyscallError("shutdown", syscall.Shutdown(s.fd, how))
}

func (s *waiting) CloseRead() error  { return s.shutdown(syscall.SHUT_RD) }
func (s *waiting) CloseWrite() error { return s.shutdown(syscall.SHUT_WR) }

// pollFD is struct pollfd of poll(2).
type pollFD struct {
	fd      int32
	events  int16
	revents int16
}

const pollOut = 4

// room waits until the socket takes more (ppoll(2)).
func (s *waiting) room() error {
	p := pollFD{fd: int32(s.fd), events: pollOut}
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, 0, 0, 0, 0)
		switch errno {
		case 0:
			return nil
		case syscall.EINTR:
		default:
			return os.NewSyscallError("ppoll", errno)
		}
	}
}

// yieldAfter is for how long a goroutine reads before it lets others run: well below the
// 10 ms after which the runtime's monitor takes the processor away from it in the
// middle of a call, and then, expecting more of the kind, looks again every 20
// microseconds for a while. That costs more than the requests do.
const yieldAfter = 4 * time.Millisecond

func (s *waiting) ReadMsgUnix(p, oob []byte) (n, oobn, flags int, addr *net.UnixAddr, err error) {
	if now := time.Now(); now.Sub(s.yielded) > yieldAfter {
		s.yielded = now
		runtime.Gosched()
	}
	if err := s.use(); err != nil {
		return 0, 0, 0, nil, err
	}
	defer s.unuse()
	for {
		n, oobn, flags, _, err = syscall.Recvmsg(s.fd, p, oob, syscall.MSG_CMSG_CLOEXEC)
		switch err {
		case nil:
			if n == 0 {
				err = io.EOF
			}
			return n, oobn, flags, nil, err
		case syscall.EINTR:
		default:
			return 0, 0, 0, nil, os.NewSyscallError("recvmsg", err)
		}
	}
}

func (s *waiting) WriteMsgUnix(p, oob []byte, _ *net.UnixAddr) (n, oobn int, err error) {
	if err := s.use(); err != nil {
		return 0, 0, err
	}
	defer s.unuse()
	for {
		n, err := syscall.SendmsgN(s.fd, p, oob, nil, syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT)
		switch err {
		case nil:
			return n, len(oob), nil
		case syscall.EAGAIN:
			if err := s.room(); err != nil {
				return 0, 0, err
			}
		case syscall.EINTR:
		default:
			return 0, 0, os.NewSyscallError("sendmsg", err)
		}
	}
}

func (s *waiting) Write(p []byte) (n int, err error) {
	for n < len(p) {
		k, _, err := s.WriteMsgUnix(p[n:], nil, nil)
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
