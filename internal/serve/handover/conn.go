package handover

import (
	"crypto/tls"
	"errors"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/direct"
	"github.com/andrestc/go-plugserver/internal/serve/http1"
	"github.com/andrestc/go-plugserver/internal/serve/tls13"
)

// Conn is a client's connection while this process has it. It frames the
// requests itself: buf[r:w] begins with the current request's first byte, no
// server is ever given a byte beyond that request's last, and so whatever
// follows can go to any process.
//
// One goroutine at a time reads it and takes requests from it: the one of
// serve, or net/http's while that serves a request (wholeConn).
type Conn struct {
	raw    net.Conn
	sealed *tls13.Conn // raw's, nil where plain bytes pass
	server *Server
	// remote and local are the client's connection's addresses, as accept(2)
	// gave them: a socket whose client has reset it knows them no more.
	remote, local net.Addr
	remoteText    string
	localAddr     string // local's text, once asked for
	// tls is the state of its TLS, encoded, "" for a clear one, and state the same
	// decoded, once asked for.
	tls   string
	state *tls.ConnectionState

	grown atomic.Int64 // by how many bytes buf is larger than at first

	// Owned by the goroutine that reads.
	buf     []byte
	r, w    int
	scan    http1.Scanner
	history history
	loan    *loan  // nil but where it was lent
	from    *Peer  // that has given it, and may have a descriptor still; nil if none
	cookie  uint64 // the socket's, where it came back to who stamps; else 0
	served  int    // requests, here
	chosen  bool   // the first of them was sent here by who accepts
	burst   bool   // the next request had come before the last was answered
	rc      syscall.RawConn
	in      *direct.Way // nil until it is needed, and where raw is not package net's
	// Of the gate: where the last request went, and how many in a row.
	last   Dest
	streak int

	out        atomic.Pointer[direct.Way] // as in
	writeLimit bool                       // a handler has set a write deadline

	mu    sync.Mutex // guards all below; never held while reading
	phase phase
	// evicting says that the connection is to leave before its next request;
	// closing that it is to end then.
	evicting, closing bool
	// held are answers that the client has not got, of the requests before the
	// holder; timed says that release will be called. See hold.
	held   []byte
	holder *forwarded
	timed  bool
	// attention says that a request which was forwarded needs the goroutine.
	attention bool
	reading   bool // from the socket, without the lock
	// deadline is when the wait for the client ends, applied the socket's
	// own. The socket's is set only where it would end a read too late; one
	// that ends a read too early is set anew then.
	deadline, applied time.Time
	// rest, if set, is when the connection leaves the gate for want of requests.
	rest time.Time
	// unasked says that no request has been served since it was accepted.
	unasked bool
	// readLimit is what a handler has set for its request.
	readLimit time.Time
	// looking is closed to end a wait for the client's end.
	looking chan struct{}
	posed   bool // the socket's deadlines are others'; see pose.go
}

// history is what a connection has been through. It travels with it.
type history struct {
	begun bool // a request was served on it: net/http waits for the next otherwise
	post  bool // the last was a POST
	// canceled says that the context of one of its requests has ended before the
	// request: with net/http that is the connection's, so each that follows has ended
	// from its beginning.
	canceled bool
	// moves counts how often the connection has left a process for another
	// handler's request, without staying long in between.
	moves byte
	// stamp is the mark of the process that has accepted it (Server.Key).
	stamp stamp
}

// settled is how many requests in a row a process serves before a connection
// counts as its own again.
const settled = 64

// moved counts that the connection leaves after n requests for another
// handler's.
func (h *history) moved(n int) {
	switch {
	case n >= settled:
		h.moves /= 2
	case h.moves < 1<<8-1:
		h.moves++
	}
}

type phase byte

const (
	idle phase = iota // between two requests, nothing of the next has come
	head              // a part of a request's head has come
	busy              // a request is being served
	left              // the connection is another process's, or a handler's, or closed
)

// longAgo interrupts a blocked Read.
var longAgo = time.Unix(1, 0)

// errMoved ends net/http's goroutine for a connection that has left. It is a
// timeout, which net/http logs nothing of.
type errMoved struct{}

func (errMoved) Error() string   { return "connection has left" }
func (errMoved) Timeout() bool   { return true }
func (errMoved) Temporary() bool { return true }

var (
	// errBroken says that net/http has to tell the client what is wrong.
	errBroken = errors.New("malformed request")
	// errLate says that net/http has to see what has come of a head in time: of a
	// line that is malformed as far as it goes it tells.
	errLate = errors.New("the rest of the head has not come in time")
	// errTooLarge says that the head is beyond the limit. That net/http counts
	// other than we do: what it has in its buffer when it begins to.
	errTooLarge = errors.New("head too large")
)

// bufferSize is net/http's. As many bytes a head may have beyond MaxHeaderBytes,
// and as many again where net/http has them in its buffer when it begins to count:
// from the second request on.
const bufferSize = 4 << 10

// headLimit is the limit on a head of which so much has come when it is looked at first:
// what comes over TLS comes in records, of which the first may be short.
func (c *Conn) headLimit(first int) int {
	limit := c.server.maxHead() + bufferSize
	switch {
	case c.loan != nil: // who has lent it has looked
		return math.MaxInt
	case !c.history.begun:
		return limit
	case c.sealed != nil:
		return limit + min(first, bufferSize)
	}
	return limit + bufferSize
}

// pending are the bytes that wait for a reader.
func (c *Conn) pending() []byte { return c.buf[c.r:c.w] }

// putBack appends what was read past the Conn to what waits.
func (c *Conn) putBack(b []byte) {
	c.buf = append(c.buf[:c.w], b...)
	c.w += len(b)
	c.buf = c.buf[:cap(c.buf)]
}

// consume drops the first n bytes that wait.
func (c *Conn) consume(n int) {
	if c.r += n; c.r == c.w {
		c.r, c.w = 0, 0
		if len(c.buf) > 4*bufferSize {
			c.buf = nil
			c.shrink()
		}
	}
}

// head waits until a whole request's head is at the front of the buffer. It
// returns errBroken, errLate or errTooLarge where the client may be told, errMoved where
// the connection has left, errPreface where it speaks HTTP/2, and any other error where it
// has to be closed.
func (c *Conn) head() error {
	c.scan = http1.Scanner{}
	// Between two requests net/http waits for four bytes before it looks.
	first, limit := 1, math.MaxInt
	if c.history.begun {
		first = 4
	}
	for {
		if c.history.post && c.w-c.r >= first {
			// RFC 7230, section 3.5: old clients send a line end
			// behind a POST's body.
			c.history.post = false
			c.skipLineEnds()
		}
		waits := c.w - c.r
		if waits >= first {
			limit = min(limit, c.headLimit(waits)) // the first time says it
			status := c.scan.Scan(c.pending())
			switch {
			case status == http1.Whole && c.scan.Len() <= limit:
				return nil
			case status == http1.Broken:
				is, more := c.beginsHTTP2()
				if is {
					return errPreface
				}
				if !more {
					return errBroken
				}
				c.scan = http1.Scanner{} // if it is none, that is seen again
			case waits >= limit:
				return errTooLarge
			}
		}
		if err := c.wait(waits >= first); err != nil {
			return err
		}
		err := c.fill()
		switch {
		case err == nil:
		case errors.Is(err, errInterrupted):
			if err := c.interrupted(); err != nil {
				return err
			}
		case errors.Is(err, errRest):
			if c.goToRest() {
				return errMoved{}
			}
		case err == errTooLarge:
			return err
		case c.w-c.r < first:
			return err
		case isTimeout(err):
			return errLate
		default:
			return errBroken // a part of a head, and no more
		}
	}
}

// maxHeads bounds the bytes of all connections' buffers together, beyond what each
// has at first.
const maxHeads = 64 << 20

// grow asks for n more bytes of buffer. They are given back by shrink.
func (c *Conn) grow(n int) bool {
	if c.server.heads.Add(int64(n)) > maxHeads {
		c.server.heads.Add(-int64(n))
		return false
	}
	c.grown.Add(int64(n))
	return true
}

func (c *Conn) shrink() { c.server.heads.Add(-c.grown.Swap(0)) }

// skipLineEnds drops line ends within the first four bytes.
func (c *Conn) skipLineEnds() {
	for n := 0; n < 4 && c.r < c.w; n++ {
		if b := c.buf[c.r]; b != '\r' && b != '\n' {
			return
		}
		c.consume(1)
	}
}

// wait says how long the client may take for what comes next: as in net/http,
// the limit on a head begins with the connection, and later with the head.
func (c *Conn) wait(begun bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.phase == left:
		return errMoved{}
	case c.phase == busy:
		c.unasked = false
		c.deadline = after(c.server.patience(begun))
	case c.phase == idle && begun && (c.history.begun || c.server.parted.Load()):
		c.deadline = after(c.server.patience(begun))
	case c.phase == head || !begun:
		return nil
	}
	c.phase = idle
	if begun {
		c.phase = head
	}
	return nil
}

// after returns the end of a wait that begins now; none has none.
func after(limit time.Duration) time.Time {
	if limit <= 0 {
		return time.Time{}
	}
	return time.Now().Add(limit)
}

// part bounds the wait for a request, or for its rest: the server is to end.
func (c *Conn) part() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase > head {
		return // wait sees to it
	}
	c.rest = time.Time{}
	if t := after(c.server.patience(c.phase == head || c.unasked)); c.deadline.IsZero() || t.Before(c.deadline) {
		c.deadline = t
		if c.reading && c.sooner(t) {
			c.apply(t)
		}
	}
}

var errInterrupted = errors.New("read interrupted")

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// fill reads once behind what waits. It returns errInterrupted where evict or
// end wants the goroutine's attention.
func (c *Conn) fill() error {
	if c.w == len(c.buf) {
		switch {
		case c.buf == nil:
			c.buf = make([]byte, bufferSize)
		case c.r > 0:
			c.w = copy(c.buf, c.pending())
			c.r = 0
		case !c.grow(len(c.buf)):
			return errTooLarge
		default:
			c.buf = append(c.buf, make([]byte, len(c.buf))...)
		}
	}
	n, err := c.readRaw(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	return err
}

// readRaw reads from the socket until c.deadline.
func (c *Conn) readRaw(p []byte) (int, error) {
	for {
		c.mu.Lock()
		if c.attention || c.phase <= head && (c.evicting || c.closing) {
			c.attention = false
			c.mu.Unlock()
			return 0, errInterrupted
		}
		limit := c.limit()
		if !c.posed && (c.sooner(limit) || c.applied.Equal(longAgo)) {
			c.apply(limit)
		}
		c.reading = true
		c.mu.Unlock()

		n, err := c.readSocket(p)

		c.mu.Lock()
		c.reading = false
		again := n == 0 && isTimeout(err) && !c.posed && !c.expired()
		if again {
			if c.phase == idle && passed(c.rest) {
				err, again = errRest, false
			}
			c.apply(c.limit()) // what has passed was an earlier one
		}
		if !again && n == 0 && isTimeout(err) && c.phase <= head && c.expired() {
			// What came as the time was up is answered.
			if n = c.readNow(p); n > 0 {
				err = nil
			}
		}
		c.mu.Unlock()
		if !again {
			return n, err
		}
	}
}

// sooner reports whether t ends a read before what is applied does.
func (c *Conn) sooner(t time.Time) bool {
	return !t.IsZero() && (c.applied.IsZero() || t.Before(c.applied))
}

func (c *Conn) apply(t time.Time) {
	c.applied = t
	c.raw.SetReadDeadline(t)
}

func (c *Conn) expired() bool { return passed(c.deadline) }

func passed(t time.Time) bool { return !t.IsZero() && !t.After(time.Now()) }

// limit returns when a read has to end.
func (c *Conn) limit() time.Time {
	if !c.rest.IsZero() && c.phase == idle && (c.deadline.IsZero() || c.rest.Before(c.deadline)) {
		return c.rest
	}
	return c.deadline
}

// evict makes the connection leave before its next request, end makes it end
// then.
func (c *Conn) evict() { c.interrupt(&c.evicting) }
func (c *Conn) end()   { c.interrupt(&c.closing) }

func (c *Conn) interrupt(why *bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loan != nil && why == &c.evicting {
		return // it is here for one request, and leaves with that
	}
	*why = true
	if c.reading && c.phase <= head {
		c.apply(longAgo)
	}
}

// interrupted does what evict and end ask for. No request is under way.
func (c *Conn) interrupted() error {
	c.mu.Lock()
	closing, evicting := c.closing, c.evicting
	c.evicting = false
	before := c.phase
	if evicting && !closing {
		c.phase = left
	}
	c.mu.Unlock()
	switch {
	case closing:
		return net.ErrClosed
	case !evicting:
		return nil // a word about a request that has ended
	}
	if c.server.handBack(c) {
		return errMoved{}
	}
	c.become(before)
	return nil
}

// begin marks the request at the front as being served here.
func (c *Conn) begin() {
	c.become(busy)
	if c.loan != nil {
		c.loan.begin()
	}
}

// become sets the phase and returns the one before.
func (c *Conn) become(p phase) (before phase) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, c.phase = c.phase, p
	return before
}

func (c *Conn) hasLeft() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase == left
}

// remaining returns how long the client may still take.
func (c *Conn) remaining() time.Duration {
	if c.deadline.IsZero() {
		return 0
	}
	return max(time.Until(c.deadline), time.Millisecond)
}

// close ends the connection for the client, even while the process that it
// came from still has a descriptor of it.
func (c *Conn) close() {
	c.become(left)
	c.closeWrite()
	if c.sealed != nil {
		c.sealed.Transport.CloseWrite() // for whoever has a descriptor still
	}
	c.drop()
}

// endNow has the client know that nothing follows, before drop. It reports false where
// that would have to wait for the client.
func (c *Conn) endNow() bool { return c.sealed == nil || c.sealed.TryCloseNotify() }

// closeWrite shuts down the writing side, as net/http does after an error
// that the client should be able to read.
func (c *Conn) closeWrite() error {
	if w, ok := c.raw.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// drop closes this process's descriptor.
func (c *Conn) drop() {
	c.server.forget(c)
	if c.sealed != nil {
		c.sealed.Drop() // raw would tell the client
		return
	}
	c.raw.Close()
}

// SetWriteDeadline implements http1.Transport.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeLimit = !t.IsZero()
	return c.raw.SetWriteDeadline(t)
}

// clearLimits ends what a handler has set for its request.
func (c *Conn) clearLimits() {
	if c.writeLimit {
		c.SetWriteDeadline(time.Time{})
	}
	c.mu.Lock()
	c.readLimit = time.Time{}
	c.mu.Unlock()
}

// giveAway makes the connection a handler's. It is still counted, until the
// handler closes it.
func (c *Conn) giveAway() {
	if c.from != nil {
		c.from.alone()
		c.from = nil
	}
	c.become(left)
	c.server.giveAway(c)
	c.raw.SetDeadline(time.Time{})
}

// closed reports whether the handler that has hijacked c has closed it.
func (c *Conn) closed() bool {
	sc, err := c.syscallConn()
	return err != nil || sc.Control(func(uintptr) {}) != nil
}

// localText returns the local address's text.
func (c *Conn) localText() string {
	if c.localAddr == "" {
		c.localAddr = textOf(c.local)
	}
	return c.localAddr
}

// syscallConn gives access to the socket; no handler gets it so (wholeConn).
func (c *Conn) syscallConn() (syscall.RawConn, error) {
	sc, ok := below(c.raw).(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	if c.rc == nil {
		rc, err := sc.SyscallConn()
		if err != nil {
			return nil, err
		}
		c.rc = rc
	}
	return c.rc, nil
}
