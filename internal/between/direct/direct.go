// Package direct reads and writes stream sockets that the runtime's poller knows, without
// telling the runtime of the calls (ReadNow says why).
package direct

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// Most is how many bytes pass in one call without the runtime being told of
// it: more may take longer than it should not know of.
const Most = 16 << 10

// Stream is a connection of package net, or a file of package os that is one.
type Stream interface {
	io.ReadWriter
	syscall.Conn
}

// Way is one way of a stream socket, by ReadNow or WriteNow. The runtime's
// poller waits, and deadlines are kept, as if the Stream had made the call itself.
type Way struct {
	conn Stream
	raw  syscall.RawConn
	out  bool
	step func(fd uintptr) bool // try, made once

	mu  sync.Mutex // guards the rest; held during a call, as package net does
	p   []byte
	n   int
	err error
}

// New returns one way of conn: out of this process, or into it. It returns nil where
// conn has no descriptor any more.
func New(conn Stream, out bool) *Way {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil
	}
	d := &Way{conn: conn, raw: raw, out: out}
	d.step = d.try
	return d
}

// Read implements io.Reader.
func (d *Way) Read(p []byte) (int, error) {
	if len(p) == 0 || len(p) > Most {
		return d.conn.Read(p)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.p, d.n, d.err = p, 0, nil
	return d.done("read", d.raw.Read(d.step))
}

// Write implements io.Writer.
func (d *Way) Write(p []byte) (int, error) {
	if len(p) > Most {
		return d.conn.Write(p)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.p, d.n, d.err = p, 0, nil
	return d.done("write", d.raw.Write(d.step))
}

// try returns false where there is to be waited.
func (d *Way) try(fd uintptr) bool {
	for d.n < len(d.p) {
		call := ReadNow
		if d.out {
			call = WriteNow
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

func (d *Way) done(name string, err error) (int, error) {
	d.p = nil
	if err == nil {
		err = d.err
	}
	if nc, ok := d.conn.(net.Conn); ok {
		err = Error(nc, name, err)
	}
	return d.n, err
}

// Error is what a call on a connection fails with, in net's words.
func Error(nc net.Conn, name string, err error) error {
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
