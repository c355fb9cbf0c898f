package tls13

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/direct"
	"github.com/andrestc/go-plugserver/internal/serve/tlskeys"
)

// Transport is what the records of a connection pass over: a stream socket whose
// SyscallConn reads and writes it in non-blocking mode.
type Transport interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// Conn is a connection behind its handshake. It is a net.Conn as *tls.Conn is one: Close
// and CloseWrite tell the client that nothing follows.
type Conn struct {
	Transport
	suite *tlskeys.Suite
	raw   syscall.RawConn
	way   io.Writer // the transport's writing side

	// updateDue says that the client wants our next record by new keys. It is answered
	// with that, which is as early as it has to be: who reads does not wait for who
	// writes.
	updateDue atomic.Bool
	alertDue  atomic.Int32 // an alert, and 1; see fail
	closed    atomic.Bool

	reading sync.Mutex
	in      tlskeys.Half
	inErr   error // for good
	input

	writing sync.Mutex
	out     tlskeys.Half
	outErr  error // for good
	output
}

// New returns the connection in that state over t.
func New(t Transport, s *State) (*Conn, error) {
	raw, err := t.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Conn{Transport: t, suite: s.suite, raw: raw, way: t}
	switch t.(type) {
	case *net.TCPConn, *net.UnixConn:
		c.way = direct.New(t, true)
	}
	c.in = tlskeys.Half{Secret: s.in.secret, Seq: s.in.seq}
	c.out = tlskeys.Half{Secret: s.out.secret, Seq: s.out.seq}
	c.data, c.kept, c.hand, c.useless = s.data, s.ahead, s.hand, s.useless
	c.packets, c.sent = s.packets, s.sent
	c.step, c.output.now.step = c.try, c.output.now.write
	if s.flags&flagEnded != 0 {
		c.inErr = io.EOF
	}
	c.updateDue.Store(s.flags&flagUpdate != 0)
	return c, nil
}

// errOver says that nobody can go on with a connection.
var errOver = errors.New("the TLS connection is over, or has bytes that the client has not taken")

// State returns what another process has to know to go on. Nothing may be read or
// written meanwhile, nor afterwards where the other does. What it returns is c's memory.
func (c *Conn) State() (*State, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.outErr != nil || c.closeSent || len(c.pending) > 0 || c.withheld || c.inErr != nil && c.inErr != io.EOF {
		return nil, errOver
	}
	s := &State{
		suite: c.suite, in: side{c.in.Secret, c.in.Seq}, out: side{c.out.Secret, c.out.Seq},
		useless: c.useless, packets: c.packets, sent: c.sent, hand: c.hand, data: c.data, ahead: c.unopened(),
	}
	if c.inErr != nil {
		s.flags |= flagEnded
	}
	if c.updateDue.Load() {
		s.flags |= flagUpdate
	}
	return s, nil
}

// Drop closes the transport, and tells the client nothing: another process goes on.
func (c *Conn) Drop() error { return c.Transport.Close() }

// closeWait bounds how long the client is waited for that takes nothing, at the end.
const closeWait = 5 * time.Second

// CloseWrite tells the client that nothing follows (close_notify). It waits up to 5 s for
// it to take that; every Write fails from now on.
func (c *Conn) CloseWrite() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.notify()
}

// notify is CloseWrite with the lock held.
func (c *Conn) notify() error {
	if c.tryNotify() {
		return c.closeErr
	}
	c.SetWriteDeadline(time.Now().Add(closeWait))
	c.closeErr = c.flush()
	c.SetWriteDeadline(time.Now())
	return c.closeErr
}

// TryCloseNotify is CloseWrite that does not wait. It reports false where the client
// takes nothing, or somebody writes.
func (c *Conn) TryCloseNotify() bool {
	if !c.writing.TryLock() {
		return false
	}
	defer c.writing.Unlock()
	return c.tryNotify()
}

func (c *Conn) tryNotify() bool {
	if !c.closeSent {
		c.closeSent = true
		// As with crypto/tls it is sent behind a Write that has failed, too: a client that
		// lacks a record does not take what came before for the whole.
		c.closeErr = c.post(typeAlert, []byte{levelWarning, 0})
	}
	if c.closeErr == nil && len(c.pending) > 0 {
		c.closeErr = c.push()
	}
	return c.closeErr != nil || len(c.pending) == 0
}

// Close implements net.Conn. Where somebody writes, the client is told nothing.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	var told error
	if c.writing.TryLock() {
		told = c.notify()
		c.writing.Unlock()
	}
	if err := c.Transport.Close(); err != nil {
		return err
	}
	return told
}

// What a record is of (RFC 8446, section 5.1).
const (
	typeCCS       = 20
	typeAlert     = 21
	typeHandshake = 22
	typeData      = tlskeys.KindSealed
)

const (
	maxPlaintext = 1 << 14
	maxCipher    = maxPlaintext + 256
	maxRecord    = tlskeys.HeadSize + maxCipher
)

// Alerts (RFC 8446, section 6), and their levels.
const (
	levelWarning, levelError = 1, 2

	alertUnexpectedMessage tls.AlertError = 10
	alertBadRecordMAC      tls.AlertError = 20
	alertRecordOverflow    tls.AlertError = 22
	alertDecodeError       tls.AlertError = 50
	alertProtocolVersion   tls.AlertError = 70
	alertUserCanceled      tls.AlertError = 90
)
