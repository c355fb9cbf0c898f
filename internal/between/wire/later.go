package wire

import (
	"errors"
	"os"
	"time"
)

// ErrQuiet is Recv's where nothing has come for a while.
var ErrQuiet = errors.New("receive frame: nothing has come for a while")

// Quiet has a Recv that waits return ErrQuiet, once nothing has come since the Quiet before: so that Later can take its place, which
// costs more each time that something comes. Any goroutine may call it, one at a time.
func (c *Conn) Quiet() {
	n := c.reads.Load()
	if uc, ok := c.uc.(*polled); ok && n == c.quiet && !c.resting.Load() {
		uc.SetReadDeadline(time.Now())
	}
	c.quiet = n
}

// interrupted is what a read returns that Quiet has ended, or err.
func (c *Conn) interrupted(err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	c.uc.(*polled).SetReadDeadline(time.Time{})
	if c.w > c.r {
		return nil // the rest is on its way
	}
	return ErrQuiet
}

// Later has do called, in a goroutine of its own, once Recv has something to return, be it the end: it is for a process
// that has thousands of connections, of which few have something to say at a time. Until then nobody calls Recv, and what the last one
// returned is not valid any more. It reports false where it does not: Recv is to be called then, which waits.
func (c *Conn) Later(do func()) bool {
	uc, ok := c.uc.(*polled)
	if !ok || c.w > c.r {
		return false
	}
	if c.room != nil {
		rooms.Put(c.room)
		c.room, c.buf, c.r, c.w = nil, nil, 0, 0
	}
	c.resting.Store(true)
	return c.later.Arm(uc.raw, do)
}
