package handover

import (
	"net"

	"github.com/andrestc/go-plugserver/internal/between/direct"
)

// newDirect returns nil where nc is no connection of package net.
func newDirect(nc net.Conn, out bool) *direct.Way {
	switch nc := below(nc).(type) { // nothing below, where it is sealed
	case *net.TCPConn:
		return direct.New(nc, out)
	case *net.UnixConn:
		return direct.New(nc, out)
	}
	return nil
}

// readSocket reads once. Who reads owns in.
func (c *Conn) readSocket(p []byte) (int, error) {
	if c.in == nil {
		if c.in = newDirect(c.raw, false); c.in == nil {
			return c.raw.Read(p)
		}
	}
	return c.in.Read(p)
}

// writeSocket writes for a handler, which may have several goroutines that do.
func (c *Conn) writeSocket(p []byte) (int, error) {
	out := c.out.Load()
	if out == nil {
		if out = newDirect(c.raw, true); out == nil {
			return c.raw.Write(p)
		}
		if !c.out.CompareAndSwap(nil, out) {
			out = c.out.Load()
		}
	}
	return out.Write(p)
}
