package handover

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a connection that can be handed over: it keeps the bytes read since
// the current request began, so that another process can replay them.
//
// What it knows of net/http's server, and TestServerReads pins per Go release:
// the server reads a connection through one bufio.Reader, filling it as far as
// it goes, so len(p) of a Read between two requests tells how many bytes are
// buffered already; it sets a read deadline before and after it waits there;
// and while a handler runs it may read one single byte ahead.
type Conn struct {
	raw    net.Conn
	server *Server
	// remote and local replace the raw connection's addresses where the
	// socket is a stand-in for the client's (Proxy).
	remote, local net.Addr

	writeLimit atomic.Bool // a write deadline is set
	left       atomic.Bool // the connection is another process's

	mu    sync.Mutex // guards all below; never held while reading
	phase phase
	// rec[:pos] was delivered to the reader, rec[pos:] waits to be. While the
	// phase is head, rec holds every byte since the request began.
	rec []byte
	pos int
	// size is the reader's buffer, learnt from the first Read.
	size int
	// start says whether the current request begins with rec[0].
	start start
	// waits counts down the deadlines that the server sets around its wait
	// between two requests: while it is positive, nothing of the next
	// request has been taken from the buffer.
	waits int
	// ahead says that the byte rec[0] was read by the server's look-ahead of
	// one byte while the request before was being served.
	ahead bool
	// deadline is the read deadline that the server wishes, applied the
	// socket's. The server sets several for each request, and most are over
	// before a read has to wait: the socket's is set only where it would end
	// a read too late. One that ends a read too early is set anew then.
	deadline, applied time.Time
	reading           bool // from the socket, without the lock
	// waiting says that lookAhead waits, until ended or timer wakes it.
	waiting bool
	ended   chan struct{}
	timer   *time.Timer
	// evicting says that the connection is to be handed over before its next
	// request.
	evicting bool
}

type phase byte

const (
	head   phase = iota // between requests, or reading a request's head
	served              // a handler of this process has the request
	moved               // the connection is another process's
)

type start byte

const (
	unknown    start = iota // nothing was read since the last request
	aligned                 // rec begins with the request
	misaligned              // the request began in the buffer: pipelined
)

// fresh is the waits of a connection whose server has read nothing yet.
const fresh = 1 << 30

// longAgo interrupts a blocked Read.
var longAgo = time.Unix(1, 0)

// errMoved ends the server's goroutine for a connection that was handed over.
// It is a timeout, which net/http logs nothing of.
type errMoved struct{}

func (errMoved) Error() string   { return "connection was handed over" }
func (errMoved) Timeout() bool   { return true }
func (errMoved) Temporary() bool { return true }

func (c *Conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	if c.size == 0 {
		c.size = len(p)
	}
	if c.phase == head && c.start == unknown {
		c.start = misaligned
		if c.waits > 0 && c.size-len(p) == c.pos {
			c.start = aligned
		}
	}
	room := len(p)
	if c.start != aligned && c.server.retired.Load() {
		// The client pipelines. Byte by byte, nothing of the next request
		// gets into the buffer, and with it the connection can leave.
		p = p[:1]
		if c.pos == len(c.rec) {
			c.mu.Unlock()
			if err := c.refill(room); err != nil {
				return 0, err
			}
			c.mu.Lock()
		}
	}
	if c.pos < len(c.rec) {
		n := copy(p, c.rec[c.pos:])
		c.pos += n
		c.noteAhead(p[:n], room)
		c.mu.Unlock()
		return n, nil
	}
	c.mu.Unlock()

	n, err := c.readRaw(p, room)

	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.phase {
	case head:
		c.rec = append(c.rec, p[:n]...)
		c.pos += n
	case served:
		c.noteAhead(p[:n], room)
	case moved:
	}
	return n, err
}

// refill reads what there is into rec, all of which was delivered.
func (c *Conn) refill(room int) error {
	var more [4 << 10]byte
	n, err := c.readRaw(more[:], room)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == served {
		c.rec, c.pos = c.rec[:0], 0
	}
	c.rec = append(c.rec, more[:n]...)
	if n > 0 {
		return nil
	}
	return err
}

// noteAhead remembers the byte that the server may have read ahead.
func (c *Conn) noteAhead(got []byte, room int) {
	if c.phase != served || len(got) == 0 {
		return
	}
	c.ahead = room == 1
	if c.ahead && c.pos == len(c.rec) {
		c.rec = append(c.rec[:0], got[0])
		c.pos = 1
	}
}

// readRaw reads from the socket for a Read of room bytes. An eviction hands the
// connection over, unless a request is under way.
func (c *Conn) readRaw(p []byte, room int) (int, error) {
	for {
		c.mu.Lock()
		if c.evicting {
			c.evicting = false
			// A Read of one byte is the server's look-ahead: a request
			// is under way.
			if c.phase == head && c.start == aligned && room > 1 {
				c.phase = moved
				c.left.Store(true)
				c.mu.Unlock()
				c.server.handBack(c)
				return 0, errMoved{}
			}
		}
		if room == 1 && !c.lookAhead() {
			c.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		if c.sooner(c.deadline) || c.applied.Equal(longAgo) {
			c.apply(c.deadline)
		}
		c.reading = true
		c.mu.Unlock()

		n, err := c.raw.Read(p)

		c.mu.Lock()
		c.reading = false
		again := n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && !c.expired()
		if again {
			c.apply(c.deadline) // what has passed was an earlier one
		}
		c.mu.Unlock()
		if !again {
			return n, err
		}
	}
}

// lookAheadDelay is how long a request is served before the server's look-ahead
// begins to read, to notice that the client has left. Most requests are over
// by then, and spare two system calls and a wait.
const lookAheadDelay = 5 * time.Millisecond

// lookAhead waits until it is time to look ahead; it reports false where the
// server has given the look-ahead up. The lock is held, but for the wait.
func (c *Conn) lookAhead() bool {
	if c.ended == nil {
		c.ended, c.timer = make(chan struct{}, 1), time.NewTimer(lookAheadDelay)
	} else {
		c.timer.Reset(lookAheadDelay)
	}
	select {
	case <-c.ended: // left over
	default:
	}
	for !c.deadline.Equal(longAgo) {
		c.waiting = true
		c.mu.Unlock()
		due := false
		select {
		case <-c.ended:
		case <-c.timer.C:
			due = true
		}
		c.mu.Lock()
		c.waiting = false
		if due {
			return true
		}
	}
	c.timer.Stop()
	return false
}

// sooner reports whether t ends a read before what is applied does.
func (c *Conn) sooner(t time.Time) bool {
	return !t.IsZero() && (c.applied.IsZero() || t.Before(c.applied))
}

func (c *Conn) apply(t time.Time) {
	c.applied = t
	c.raw.SetReadDeadline(t)
}

// expired reports whether the server's own deadline has passed.
func (c *Conn) expired() bool {
	return !c.deadline.IsZero() && !c.deadline.After(time.Now())
}

// evict hands the connection over as soon as no request is under way.
func (c *Conn) evict() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == head && !c.evicting {
		c.evicting = true
		if c.reading {
			c.apply(longAgo)
		}
	}
}

// claim keeps the request in this process: no more is recorded until it ends.
func (c *Conn) claim() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != head {
		return
	}
	c.phase = served
	if c.pos == len(c.rec) {
		c.rec, c.pos = c.rec[:0], 0
		if cap(c.rec) > 16<<10 {
			c.rec = nil
		}
	}
	c.ahead = false
	c.evicting = false
}

// boundary notes that a request has ended and the next may begin.
func (c *Conn) boundary() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == moved {
		return
	}
	rest := c.rec[c.pos:]
	if c.ahead {
		rest = c.rec[c.pos-1:]
	}
	c.rec = append(c.rec[:0], rest...)
	c.pos = 0
	if c.ahead {
		c.pos = 1
	}
	c.ahead, c.start, c.waits, c.phase = false, unknown, 2, head
}

// replayable reports whether rec is exactly what was read since the request
// began. It is not where a client has pipelined requests.
func (c *Conn) replayable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase == head && c.start == aligned
}

// detach marks the hijacked connection as another process's.
func (c *Conn) detach() {
	c.mu.Lock()
	c.phase = moved
	c.left.Store(true)
	c.mu.Unlock()
}

// record returns what the next process has to replay. A server tolerates
// stray line ends between two requests, but not before the first (RFC 9112,
// section 2.2).
func (c *Conn) record() []byte { return bytes.TrimLeft(c.rec, "\r\n") }

// await blocks until the connection's next request begins, for at most d.
func (c *Conn) await(d time.Duration) error {
	c.SetReadDeadline(time.Now().Add(d))
	c.mu.Lock()
	c.start = aligned
	c.mu.Unlock()
	first := make([]byte, 4<<10)
	n, err := c.readRaw(first, len(first))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec = append(c.rec, first[:n]...)
	c.start, c.waits = unknown, fresh
	if n > 0 {
		return nil
	}
	return err
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = t
	if c.phase == head && c.waits > 0 {
		c.waits--
	}
	if c.reading && c.sooner(t) {
		c.apply(t)
	}
	if c.waiting {
		select {
		case c.ended <- struct{}{}:
		default:
		}
	}
	c.mu.Unlock()
	return nil
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetWriteDeadline(t); err != nil {
		return err
	}
	return c.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn. The server clears it after every
// request; mostly there is none.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() && !c.writeLimit.Load() {
		return nil
	}
	c.writeLimit.Store(!t.IsZero())
	return c.raw.SetWriteDeadline(t)
}

func (c *Conn) Write(p []byte) (int, error) {
	if c.left.Load() {
		return 0, errMoved{} // another process answers, not this server's 400
	}
	return c.raw.Write(p)
}

// ReadFrom lets net/http send a file without copying it through this process
// (sendfile(2), splice(2)).
func (c *Conn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.raw, r) }

// CloseWrite shuts down the writing side, as net/http does after an error
// that the client should be able to read.
func (c *Conn) CloseWrite() error {
	if w, ok := c.raw.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// Close implements net.Conn. Of a connection that is handed over, the peer
// closes this process's descriptor. Any other ends for the client too, even
// while the process that it came from still has a descriptor of it.
func (c *Conn) Close() error {
	if c.left.Load() {
		return nil
	}
	c.CloseWrite()
	return c.drop()
}

// drop closes this process's descriptor.
func (c *Conn) drop() error {
	c.server.forget(c)
	return c.raw.Close()
}

// leave marks the connection as another process's.
func (c *Conn) leave() { c.left.Store(true) }

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr {
	if c.local != nil {
		return c.local
	}
	return c.raw.LocalAddr()
}

// RemoteAddr implements net.Conn; it is the client's.
func (c *Conn) RemoteAddr() net.Addr {
	if c.remote != nil {
		return c.remote
	}
	return c.raw.RemoteAddr()
}

// SyscallConn gives access to the socket, as on a *net.TCPConn.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.raw.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

type connKey struct{}

// connOf returns the connection that the request came over.
func connOf(r *http.Request) *Conn {
	c, _ := r.Context().Value(connKey{}).(*Conn)
	return c
}

func withConn(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, nc)
}
