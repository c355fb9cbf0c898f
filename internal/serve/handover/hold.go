package handover

import (
	"sync"
	"time"
)

// Answers to pipelined requests that go to several peers come one at a time, and to
// write each by itself is most of what they cost here. Where the next request is out
// already its answer is likely to follow at once: the one before waits for it, for a
// moment, and they leave in one write.

const (
	// holdFor is how long an answer waits at the most, or a little longer where no
	// processor is free.
	holdFor = time.Millisecond
	// mostHeld bounds what waits on one connection, in bytes.
	mostHeld = 16 << 10
)

// holds are the connections on which answers wait. Its lock comes after theirs.
type holds struct {
	mu    sync.Mutex
	of    []*Conn
	spare []*Conn
	timer *time.Timer // made once
}

// hold takes an answer that is complete, forwards the next request, and keeps the
// answer for that one's. It reports false, and has done nothing, where there is none
// that can be forwarded now. The lock of the connection is held.
func (f *forwarded) hold(a answer, r *receiver) bool {
	c := f.conn
	if !a.done || !a.keep || c.closing || !f.paused || f.busy || len(f.out) > 0 || len(c.held)+len(a.bytes) > mostHeld {
		return false
	}
	if !c.goOn(f, r) {
		return false
	}
	c.held, c.holder = append(c.held, a.bytes...), f
	if !c.timed {
		c.timed = true
		c.server.holds.add(c)
	}
	return true
}

// behindHeld returns b behind what was held, valid until more is. The lock of the
// connection is held.
func (c *Conn) behindHeld(b []byte) []byte {
	if len(c.held) > 0 {
		b = append(c.held, b...)
		c.held = b[:0]
		c.trimHeld()
	}
	return b
}

// unhold makes what was held the goroutine's, which writes it before all else. The lock
// of the connection is held.
func (f *forwarded) unhold() {
	f.out = append(f.out, f.conn.held...)
	f.conn.held = nil
}

func (h *holds) add(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of = append(h.of, c); len(h.of) > 1 {
		return
	}
	if h.timer == nil {
		h.timer = time.AfterFunc(holdFor, h.release)
	} else {
		h.timer.Reset(holdFor)
	}
}

// release writes what has waited long enough.
func (h *holds) release() {
	h.mu.Lock()
	of := h.of
	h.of, h.spare = h.spare[:0], nil
	h.mu.Unlock()
	for i, c := range of {
		c.release()
		of[i] = nil
	}
	h.mu.Lock()
	h.spare = of[:0]
	h.mu.Unlock()
}

func (c *Conn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timed = false
	if len(c.held) == 0 {
		return
	}
	n, _ := c.raw.(quick).tryWrite(c.held) // an error comes again with the rest
	if n < len(c.held) {
		c.held = append(c.held[:0], c.held[n:]...)
		c.holder.unhold()
		c.holder.notify()
		return
	}
	c.held = c.held[:0]
	c.trimHeld()
}

// trimHeld gives a large buffer up that nothing waits in.
func (c *Conn) trimHeld() {
	if len(c.held) == 0 && cap(c.held) > bufferSize {
		c.held = nil
	}
}
