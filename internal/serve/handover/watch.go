package handover

import (
	"io"
	"os"
	"syscall"
	"time"
)

// peek looks at a socket without taking a byte from it.
type peek struct {
	seen bool // there is something to see
	gone bool // and it is the client's end
}

func (k *peek) look(fd uintptr) bool {
	var b [1]byte
	for {
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return false
		default:
			k.seen, k.gone = true, n <= 0
			return true
		}
	}
}

// awaitEnd blocks until the client has ended its side (io.EOF), or the read
// deadline has passed. Where the client sends, it looks no further, as net/http
// does, and waits for the deadline on idle.
func (c *Conn) awaitEnd(stopped <-chan struct{}) error {
	if c.sealed != nil {
		if err := c.sealed.Await(); err != nil {
			return err
		}
		<-stopped
		return os.ErrDeadlineExceeded
	}
	sc, err := c.syscallConn()
	if err != nil {
		<-stopped
		return os.ErrDeadlineExceeded
	}
	var k peek
	if err := sc.Read(k.look); err != nil {
		return err
	}
	if k.gone {
		return io.EOF
	}
	<-stopped
	return os.ErrDeadlineExceeded
}

// watch calls gone where the client ends its side before the function that it
// returns is called. With now, it looks once before it returns. Nobody reads
// meanwhile.
func (c *Conn) watch(now bool, gone func()) (stop func()) {
	k, ok := c.peek(now)
	if !ok || k.seen {
		if k.gone {
			gone()
		}
		return func() {}
	}
	c.mu.Lock()
	c.apply(c.readLimit)
	c.mu.Unlock()
	stopped, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		c.awaitEnd(stopped)
		select {
		case <-stopped:
		default:
			gone() // also by a read deadline that the handler has set
		}
	}()
	return func() {
		close(stopped)
		c.mu.Lock()
		c.apply(longAgo)
		c.mu.Unlock()
		<-done
	}
}

// peek looks at the client now, if that is asked for. It reports false where nobody can.
func (c *Conn) peek(now bool) (k peek, ok bool) {
	if c.sealed != nil {
		if now {
			err := c.sealed.TryAwait()
			k.seen = err != syscall.EAGAIN
			k.gone = k.seen && err != nil
		}
		return k, true
	}
	sc, err := c.syscallConn()
	if err == nil && now {
		err = sc.Control(func(fd uintptr) { k.look(fd) })
	}
	return k, err == nil
}

// readOne reads a byte, if one has come, behind what waits: so does net/http's
// look-ahead, before a handler hijacks the connection.
func (c *Conn) readOne() {
	var b [1]byte
	if n := c.readNow(b[:]); n > 0 {
		c.putBack(b[:])
	}
}

// readNow reads what has come, whatever the deadline.
func (c *Conn) readNow(p []byte) (n int) {
	if c.sealed != nil {
		n, _ = c.sealed.TryRead(p)
		return n
	}
	sc, err := c.syscallConn()
	if err != nil {
		return 0
	}
	sc.Control(func(fd uintptr) { n, _ = syscall.Read(int(fd), p) })
	return max(n, 0)
}

// SetReadDeadline implements http1.Transport: the limit ends what watches the
// client, as in net/http, since there is no body to read.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readLimit = t
	c.apply(t)
	return nil
}
