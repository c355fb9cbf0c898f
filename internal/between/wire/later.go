package wire

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
	return c.later.Arm(uc.raw, do)
}
