package load

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// conn is one connection. Its events are edge-triggered.
type conn struct {
	id     int
	fd     int // -1 where it is closed
	next   int // request that is sent next
	want   int // request whose answer comes next
	owed   int // answers that are to come
	out    []byte
	in     []byte // bytes that came and could not yet be parsed
	answer answer
	open   bool // WebSocket: answered by 101
	ended  bool // Fresh: the answer is complete, the end is to come
}

func (l *loop) open(c *conn) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	c.fd, c.in, c.answer, c.ended = fd, c.in[:0], answer{}, false
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err := unix.Connect(fd, &l.to); err != nil && err != unix.EINPROGRESS {
		return fmt.Errorf("connect: %w", err)
	}
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | edge, Fd: int32(c.id)}
	if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	l.busy++
	if l.spec.Hello != nil {
		c.owed, c.out = 1, l.spec.Hello
		return l.flush(c)
	}
	l.ask(c)
	return l.flush(c)
}

const edge = 1 << 31 // EPOLLET, which does not fit unix's constant

// ask makes the connection owe the next batch.
func (l *loop) ask(c *conn) {
	if l.spec.Random {
		c.next = l.rand.IntN(len(l.spec.Requests))
	}
	c.out, c.want, c.owed = l.batches[c.next], c.next, l.spec.Batch
	c.next = (c.next + l.spec.Batch) % len(l.spec.Requests)
}

// flush writes what it can; an event tells when more can be.
func (l *loop) flush(c *conn) error {
	for len(c.out) > 0 {
		n, _, e := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(c.fd), uintptr(unsafe.Pointer(&c.out[0])), uintptr(len(c.out)))
		switch e {
		case 0:
			c.out = c.out[n:]
		case unix.EAGAIN, unix.ENOTCONN:
			return nil
		case unix.EINTR:
		default:
			return os.NewSyscallError("write", e)
		}
	}
	return nil
}

// serve takes an event.
func (l *loop) serve(c *conn, events uint32) error {
	if c.fd < 0 {
		return nil
	}
	if len(c.out) > 0 && events&(unix.EPOLLOUT|unix.EPOLLERR) != 0 {
		if err := l.flush(c); err != nil {
			return err
		}
	}
	if events&^unix.EPOLLOUT == 0 {
		return nil
	}
	for {
		had := copy(l.buf, c.in)
		n, _, e := syscall.RawSyscall(syscall.SYS_READ, uintptr(c.fd), uintptr(unsafe.Pointer(&l.buf[had])), uintptr(len(l.buf)-had))
		switch {
		case e == unix.EAGAIN:
			return nil
		case e == unix.EINTR:
			continue
		case e != 0:
			return os.NewSyscallError("read", e)
		case n == 0:
			return l.end(c)
		}
		if err := l.take(c, l.buf[:had+int(n)]); err != nil {
			return err
		}
		// A short read has taken all, but for an end that was told already.
		if int(n) < len(l.buf)-had && events&(unix.EPOLLRDHUP|unix.EPOLLHUP) == 0 {
			return nil
		}
	}
}

// end takes the server's end of the connection.
func (l *loop) end(c *conn) error {
	if !c.ended {
		return errors.New("the server has closed the connection")
	}
	unix.Close(c.fd)
	c.fd = -1
	l.busy--
	if l.ending {
		return nil
	}
	return l.open(c)
}

// take parses what has come, and asks again once all is answered.
func (l *loop) take(c *conn, b []byte) error {
	for c.owed > 0 {
		used, done, err := l.parse(c, b)
		if err != nil {
			return err
		}
		b = b[used:]
		if !done {
			break
		}
		c.owed--
		c.want = (c.want + 1) % len(l.spec.Requests)
		c.answer = answer{}
	}
	c.in = append(c.in[:0], b...)
	if c.owed > 0 || c.ended {
		return nil
	}
	switch {
	case len(b) > 0:
		return fmt.Errorf("bytes that nobody asked for: %q", cut(b))
	case l.spec.Fresh:
		c.ended = true // end does the rest
	case l.ending:
		l.busy--
	default:
		l.ask(c)
		return l.flush(c)
	}
	return nil
}

func (l *loop) parse(c *conn, b []byte) (used int, done bool, err error) {
	if l.spec.Hello != nil {
		if !c.open {
			return l.upgraded(c, b)
		}
		used, done, err = frame(b, l.spec.Requests[c.want].Want)
	} else {
		used, done, err = c.answer.feed(b, l.spec.Requests[c.want].Want, l.spec.Fresh)
	}
	if done {
		l.answers++
	}
	return used, done, err
}
