package handover

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/between/wire"
)

// directMost is how many bytes pass in one call without the runtime being told of
// it: more may take longer than it should not know of.
const directMost = 16 << 10

// direct is one way of a TCP connection, by wire.ReadNow or WriteNow: see there why.
// Package net waits, and keeps the deadlines, as if it had made the call itself.
type direct struct {
	conn *net.TCPConn
	raw  syscall.RawConn
	out  bool
	step func(fd uintptr) bool // try, made once

	mu  sync.Mutex // guards the rest; held during a call, as package net does
	p   []byte
	n   int
	err error
}

// newDirect returns nil where nc is no TCP connection of package net.
func newDirect(nc net.Conn, out bool) *direct {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	d := &direct{conn: tcp, raw: raw, out: out}
	d.step = d.try
	return d
}

// Read implements io.Reader.
func (d *direct) Read(p []byte) (int, error) {
	if len(p) == 0 || len(p) > directMost {
		return d.conn.Read(p)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.p, d.n, d.err = p, 0, nil
	return d.done("read", d.raw.Read(d.step))
}

// Write implements io.Writer.
func (d *direct) Write(p []byte) (int, error) {
	if len(p) > directMost {
		return d.conn.Write(p)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.p, d.n, d.err = p, 0, nil
	return d.done("write", d.raw.Write(d.step))
}

// try returns false where there is to be waited.
func (d *direct) try(fd uintptr) bool {
	for d.n < len(d.p) {
		call := wire.ReadNow
		if d.out {
			call = wire.WriteNow
		}
		n, err := call(fd, d.p[d.n:])
		d.n += max(n, 0)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return false
		case err == nil && n == 0:
			d.err = io.EOF
			return true
		case err != nil || !d.out:
			d.err = err
			return true
		}
	}
	return true
}

func (d *direct) done(name string, err error) (int, error) {
	d.p = nil
	if err == nil {
		err = d.err
	}
	return d.n, netError(d.conn, name, err)
}

// netError is what a call on a connection fails with, in net's words.
func netError(nc net.Conn, name string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		op.Op = name
		return err
	}
	local, remote := nc.LocalAddr(), nc.RemoteAddr()
	return &net.OpError{Op: name, Net: local.Network(), Source: local, Addr: remote, Err: os.NewSyscallError(name, err)}
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
