package tls13

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/between/direct"
	"github.com/andrestc/go-plugserver/internal/serve/tlskeys"
)

// output is what is about to be written to the transport. Its lock is Conn.writing.
type output struct {
	// pending are records that the transport has not taken. withheld says that the last
	// byte in them was told to the caller as not written.
	pending  []byte
	withheld bool

	packets, sent uint64 // see payload

	now       atOnce
	closeSent bool
	closeErr  error
}

const (
	// outSize has room for the largest record that is written.
	outSize = tlskeys.HeadSize + maxPlaintext + tlskeys.Overhead
	// segment is about what is in a TCP segment: crypto/tls's estimate.
	segment = 1208
	// boostAfter is after how many bytes of a connection records are as large as may be.
	boostAfter = 128 << 10
	// maxRecords is how many records one key seals: AES-GCM's bound is 2^24.5 (RFC 8446,
	// section 5.5).
	maxRecords = 1 << 24
)

var outBuffers = sync.Pool{New: func() any { return new([outSize]byte) }}

var errShutdown = errors.New("tls: protocol is shutdown")

// doneWriting unlocks, and sends an alert that came up meanwhile.
func (c *Conn) doneWriting() {
	if a := c.alertDue.Load(); a != 0 && c.outErr == nil {
		a := tls.AlertError(a - 1)
		if !c.closeSent {
			c.post(typeAlert, []byte{levelError, byte(a)})
		}
		c.outErr = &net.OpError{Op: "local error", Err: a}
	}
	c.writing.Unlock()
}

// Write implements net.Conn. After an error, a deadline's too, every Write fails.
func (c *Conn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.doneWriting()
	if err := c.writable(); err != nil {
		return 0, err
	}
	if err := c.flush(); err != nil {
		return 0, err
	}
	return c.write(p, func(b []byte, n int) (int, error) {
		if _, err := c.way.Write(b); err != nil {
			c.outErr = err
			return 0, err
		}
		return n, nil
	})
}

// TryWrite writes what the transport takes at once. Where it returns less than there is
// in p, and no error, the next that is written has to begin with the rest.
func (c *Conn) TryWrite(p []byte) (int, error) {
	if !c.writing.TryLock() {
		return 0, nil
	}
	defer c.doneWriting()
	if err := c.writable(); err != nil {
		return 0, err
	}
	if err := c.push(); err != nil || len(c.pending) > 0 {
		return 0, err
	}
	return c.write(p, func(b []byte, n int) (int, error) {
		k, err := c.pushed(b)
		if err != nil || k == len(b) {
			return n, err
		}
		c.pending, c.withheld = append(c.pending, b[k:]...), true
		return n - 1, nil
	})
}

func (c *Conn) writable() error {
	switch {
	case c.closed.Load():
		return net.ErrClosed
	case c.outErr != nil:
		return c.outErr
	case c.closeSent:
		return errShutdown
	}
	if err := c.out.Ready(c.suite); err != nil {
		c.outErr = err
	}
	return c.outErr
}

// write seals p, and sends it, some records at a time. send is told how many bytes of p
// are in them, and returns how many it has taken.
func (c *Conn) write(p []byte, send func(b []byte, n int) (int, error)) (n int, err error) {
	if c.withheld && len(p) > 0 {
		c.withheld = false
		n, p = 1, p[1:]
	}
	if len(p) == 0 {
		return n, nil
	}
	room := outBuffers.Get().(*[outSize]byte)
	defer outBuffers.Put(room)
	for len(p) > 0 {
		b, in := c.refresh(room[:0]), 0
		for len(p) > 0 {
			k := min(len(p), c.payload())
			if len(b) > 0 && len(b)+tlskeys.HeadSize+k+tlskeys.Overhead > outSize {
				break
			}
			c.packets++
			b = c.seal(b, typeData, p[:k])
			in, p = in+k, p[k:]
		}
		if c.outErr != nil {
			return n, c.outErr
		}
		k, err := send(b, in)
		n += k
		if err != nil || k < in {
			return n, err
		}
	}
	return n, nil
}

// payload is how many bytes of data are in the next record at the most. As with
// crypto/tls it is one TCP segment's at first, and grows.
func (c *Conn) payload() int {
	if c.sent >= boostAfter || c.packets > 1000 {
		return maxPlaintext
	}
	return min((segment-tlskeys.HeadSize-tlskeys.Overhead)*int(c.packets+1), maxPlaintext)
}

// refresh goes over to the next keys where that is due.
func (c *Conn) refresh(b []byte) []byte {
	if c.updateDue.Swap(false) || c.out.Seq >= maxRecords {
		b = c.seal(b, typeHandshake, keyUpdate[:])
		if err := c.out.Update(c.suite); err != nil {
			c.outErr = err
		}
	}
	return b
}

// seal appends a record to b.
func (c *Conn) seal(b []byte, typ byte, p []byte) []byte {
	at := len(b)
	b = c.out.Seal(b, typ, p)
	c.sent += uint64(len(b) - at)
	return b
}

// post sends a record as far as the transport takes it at once.
func (c *Conn) post(typ byte, p []byte) error {
	if err := c.out.Ready(c.suite); err != nil {
		return err
	}
	c.pending = c.seal(c.pending, typ, p)
	return c.push()
}

// push writes what is pending as far as the transport takes it at once.
func (c *Conn) push() error {
	n, err := c.pushed(c.pending)
	if c.pending = c.pending[n:]; len(c.pending) == 0 {
		c.pending = nil
	}
	return err
}

// pushed writes b as far as the transport takes it at once.
func (c *Conn) pushed(b []byte) (n int, err error) {
	c.now.b, c.now.n, c.now.err = b, 0, nil
	err = c.raw.Control(c.now.step)
	if c.now.b = nil; err == nil {
		err = c.now.err
	}
	if err != nil {
		c.outErr = err
	}
	return c.now.n, err
}

// atOnce is a write that does not wait.
type atOnce struct {
	b    []byte
	n    int
	err  error
	step func(fd uintptr) // write, made once
}

func (w *atOnce) write(fd uintptr) {
	for w.n < len(w.b) {
		k, err := direct.WriteNow(fd, w.b[w.n:])
		w.n += max(k, 0)
		if err == syscall.EAGAIN {
			return
		}
		if err != nil && err != syscall.EINTR {
			w.err = err
			return
		}
	}
}

// flush writes what is pending.
func (c *Conn) flush() error {
	if len(c.pending) > 0 {
		_, err := c.way.Write(c.pending)
		c.pending, c.outErr = nil, err
	}
	return c.outErr
}
