package wire

import "runtime"

// maxPosted is how many bytes of frames wait to be written before Post waits,
// too.
const maxPosted = 1 << 20

// Post writes one frame like Send, but together with what other goroutines post
// at the same time: one of them writes for all. An error of an earlier write is
// every later one's.
func (c *Conn) Post(kind byte, parts ...[]byte) error {
	writes, err := c.Append(kind, parts...)
	if writes {
		err = c.Deliver()
	}
	return err
}

// Append is Post in two steps: it puts the frame behind all that was posted, and
// reports whether the caller has to call Deliver, which writes; else another
// goroutine does.
func (c *Conn) Append(kind byte, parts ...[]byte) (deliver bool, err error) {
	return c.append(kind, parts, true)
}

// AppendNow is Append, but takes the frame however many wait to be written: it is
// for who has looked at Full, and may not wait.
func (c *Conn) AppendNow(kind byte, parts ...[]byte) (deliver bool, err error) {
	return c.append(kind, parts, false)
}

func (c *Conn) append(kind byte, parts [][]byte, wait bool) (deliver bool, err error) {
	q := &c.posted
	q.Lock()
	defer q.Unlock()
	for wait && len(q.buf) >= maxPosted && q.err == nil {
		q.room.Wait()
	}
	q.buf, err = appendFrame(q.buf, kind, 0, parts)
	if err == nil {
		err = q.err
	}
	if err != nil || q.writing {
		return false, err
	}
	q.writing = true
	return true, nil
}

// Full reports whether Append would wait.
func (c *Conn) Full() bool {
	c.posted.Lock()
	defer c.posted.Unlock()
	return len(c.posted.buf) >= maxPosted
}

// Deliver writes what was appended.
func (c *Conn) Deliver() error {
	runtime.Gosched() // who is ready to append does it before we write
	q := &c.posted
	for {
		c.out.Lock()
		err := c.flushPosted()
		c.out.Unlock()
		q.Lock()
		if len(q.buf) == 0 || err != nil {
			q.writing = false
			q.Unlock()
			return err
		}
		q.Unlock()
	}
}

// DeliverNow is Deliver, but does not wait: it reports false where somebody still
// has to call Deliver.
func (c *Conn) DeliverNow() (all bool, err error) {
	now, ok := c.uc.(interface{ writeNow(p []byte) (int, error) })
	if !ok || !c.out.TryLock() {
		return false, nil
	}
	defer c.out.Unlock()
	q := &c.posted
	q.Lock()
	defer q.Unlock()
	n := 0
	if q.err == nil {
		if n, err = now.writeNow(q.buf); !Passing(err) {
			q.err = err
		}
	}
	q.buf = q.buf[:copy(q.buf, q.buf[n:])]
	if len(q.buf) > 0 && q.err == nil {
		return false, nil
	}
	if q.writing = false; cap(q.buf) > 256<<10 {
		q.buf = nil
	}
	q.room.Broadcast()
	return true, q.err
}

// Queue is Post, but for the writing: the next Post, Send or Flush does it.
func (c *Conn) Queue(kind byte, parts ...[]byte) error {
	q := &c.posted
	q.Lock()
	defer q.Unlock()
	b, err := appendFrame(q.buf, kind, 0, parts)
	if err == nil {
		err = q.err
	}
	q.buf = b
	return err
}

// Flush writes what was queued.
func (c *Conn) Flush() error {
	c.posted.Lock()
	n := len(c.posted.buf)
	c.posted.Unlock()
	if n == 0 {
		return nil
	}
	c.out.Lock()
	defer c.out.Unlock()
	return c.flushPosted()
}

// flushPosted writes what was posted. The lock of out is held.
func (c *Conn) flushPosted() error {
	q := &c.posted
	q.Lock()
	b := q.buf
	q.buf, q.spare = q.spare[:0], nil
	err := q.err
	q.Unlock()
	if err == nil && len(b) > 0 {
		err = writeAll(c.uc, b)
	}
	q.Lock()
	if cap(b) <= 256<<10 {
		q.spare = b
	}
	if err != nil {
		q.err = err
	}
	q.room.Broadcast()
	q.Unlock()
	return err
}
