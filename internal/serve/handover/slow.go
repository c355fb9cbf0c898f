package handover

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/http1"
)

// wholeConn is a Conn as net/http's server sees it while that serves what this
// package does not serve itself: bodies, expectations, and what has to be
// refused. It delivers one request, to its last byte and no further. When the
// server asks for the next, the Conn takes the requests again, within Read.
type wholeConn struct {
	*Conn
	fed     bool         // net/http has it
	handler http.Handler // of the request under way
	head    int          // bytes of the head that were not delivered
	body    http1.Body
	shown   int           // bytes behind the body that were delivered, and are still here
	post    bool          // the last request that the server has had is a POST
	late    bool          // unframed, and nothing more comes
	told    bool          // the server knows that the contexts have ended
	noted   string        // what is logged where net/http refuses the request; "" once a handler has it
	first   string        // unframed: to be delivered before all else
	bufr    *bufio.Reader // the server's own, of what was delivered; nil until it is asked for
	ahead   *ahead        // nil until it is needed
	stage   atomic.Int32  // a stage; set by the server's goroutine
	looks   looks         // behind the handler; the Conn's lock guards it

	bodyRead atomic.Int64 // bytes of the body that were delivered
}

type stage = int32

const (
	between  stage = iota // the Conn takes the requests
	framed                // net/http serves one request
	unframed              // net/http reads all there is, refuses it, and closes
	hijacked              // the connection is a handler's
	over                  // the server was told of the end
	parted                // the Conn goes on without it
)

// looks is what net/http makes known of its look-ahead once the handler has returned, by deadlines: none where it begins, and
// one that has passed, then none, where it gives up what reads. Where it begins and is not given up, that is in full duplex, behind
// the answer, at the end of a body that the handler has left.
type looks byte

const (
	running  looks = iota // the handler runs
	returned              // it has returned, and nothing looks ahead
	aborting              // what reads is being given up
	astray                // the look-ahead has begun: net/http's next read of the connection panics
)

// returns notes that the handler has returned.
func (s *wholeConn) returns() {
	s.mu.Lock()
	s.looks = returned
	s.mu.Unlock()
}

// take makes net/http serve the request at the front.
func (s *wholeConn) take(handler http.Handler) {
	s.handler = handler
	s.head = s.scan.Len()
	s.body = http1.NewBody(s.scan.Body)
	s.shown, s.post = 0, s.scan.Post
	s.bodyRead.Store(0)
	s.mu.Lock()
	s.looks = running
	s.mu.Unlock()
	s.note()
	s.stage.Store(framed)
}

// refuse makes net/http serve, and refuse, all that comes; where it is late, no
// more than has come.
func (s *wholeConn) refuse(late bool) {
	s.handler = star // asked for HTTP/2's preface alone
	s.late = late
	s.note()
	if s.fed && s.post {
		// It would drop line ends from here on. What is to be dropped was, and may be
		// behind a later POST than the server knows of.
		s.first = "\r\n\r\n"
	}
	s.stage.Store(unframed)
}

// Read implements net.Conn.
func (s *wholeConn) Read(p []byte) (int, error) {
	if s.stage.Load() == between {
		if err := s.takeNext(); err != nil {
			s.stage.CompareAndSwap(between, over)
			return 0, err
		}
	}
	switch s.stage.Load() {
	case framed:
		return s.readFramed(p)
	case over, parted:
		return 0, errMoved{}
	}
	if s.first != "" {
		n := copy(p, s.first)
		s.first = s.first[n:]
		return n, nil
	}
	if b := s.pending(); len(b) > 0 {
		n := copy(p, b)
		s.consume(n)
		return n, nil
	}
	switch {
	case s.stage.Load() == hijacked:
		return s.raw.Read(p)
	case s.late:
		return 0, os.ErrDeadlineExceeded
	}
	return s.readRaw(p)
}

// takeNext is next, for a handler that ends the goroutine, too (runtime.Goexit):
// net/http then closes what it takes for an idle connection.
func (s *wholeConn) takeNext() error {
	ok := false
	defer func() {
		if !ok && !s.hasLeft() {
			s.stage.Store(over)
			s.close()
		}
	}()
	err := s.next(s)
	ok = true
	if err == nil && s.history.canceled && !s.told {
		// Its contexts live. A new one's have ended.
		fresh := &wholeConn{Conn: s.Conn, fed: true, handler: s.handler, head: s.head, body: s.body, post: s.post, late: s.late}
		fresh.stage.Store(s.stage.Load())
		s.stage.Store(parted)
		s.server.feed.put(fresh)
		return errMoved{}
	}
	return err
}

func (s *wholeConn) readFramed(p []byte) (n int, err error) {
	if s.head > 0 {
		n = copy(p, s.pending()[:s.head])
		s.consume(n)
		s.head -= n
		if s.head > 0 {
			return n, nil
		}
	}
	switch {
	case n > 0:
	case s.body.Ended():
		return 0, s.lookAhead()
	case s.body.Looking():
		n, err = s.show(p)
		return n, s.fails(err)
	}
	if n == 0 && s.w == s.r {
		n, err = s.readBody(p)
		return n, s.fails(err)
	}
	if n == 0 {
		if err := s.mayTake(); err != nil {
			return 0, s.fails(err)
		}
	}
	b := s.pending()
	k := s.body.Next(b[:min(len(b), len(p)-n)])
	copy(p[n:], b[:k])
	s.consume(k)
	s.bodyRead.Add(int64(k))
	s.taken()
	return n + k, nil
}

// fails is err, of a read of a body: it has net/http end the contexts of the connection. A handler that was too
// slow may go on, and so may the connection.
func (s *wholeConn) fails(err error) error {
	if err != nil {
		s.mu.Lock()
		s.history.canceled, s.told = true, true
		s.mu.Unlock()
	}
	return err
}

// readBody reads the body from the socket, in pieces of the sizes that net/http asks
// for: they decide what else it has in its buffer when a chunk ends.
func (s *wholeConn) readBody(p []byte) (n int, err error) {
	left, counted := s.body.Left()
	if counted {
		p = p[:min(int64(len(p)), left)]
	}
	posed := s.isPosed() // nothing to do for a limit, or to be told
	switch {
	case posed && counted && len(p) > 0 && int64(len(p)) < left && s.reader() != nil:
		n, err = s.readAhead(s.ahead, p, left)
	case posed:
		n, err = s.raw.Read(p)
	default:
		n, err = s.readRaw(p)
	}
	k := s.body.Next(p[:n])
	if k < n {
		s.putBack(p[k:n])
	}
	s.bodyRead.Add(int64(k))
	return k, err
}

// show has net/http look at what follows the request. It stays here, for
// whoever serves it.
func (s *wholeConn) show(p []byte) (n int, err error) {
	for s.w-s.r == s.shown {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n = copy(p, s.pending()[s.shown:])
	s.shown += n
	s.body.Show(p[:n])
	return n, nil
}

// lookAhead waits for the client's end while the request is served.
func (s *wholeConn) lookAhead() error {
	c := s.Conn
	c.mu.Lock()
	if c.deadline.Equal(longAgo) {
		c.mu.Unlock()
		return os.ErrDeadlineExceeded // given up before it began
	}
	stopped := make(chan struct{})
	c.looking = stopped
	if !c.posed {
		c.apply(c.deadline)
	}
	c.mu.Unlock()
	err := c.awaitEnd(stopped)
	c.mu.Lock()
	c.looking = nil
	if !isTimeout(err) || !c.deadline.Equal(longAgo) {
		s.history.canceled, s.told = true, true
	}
	c.mu.Unlock()
	return err
}

// SetReadDeadline implements net.Conn. Between two requests the Conn's own
// limits hold, which are the server's.
func (s *wholeConn) SetReadDeadline(t time.Time) error {
	c := s.Conn
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.stage.Load() == hijacked:
		c.apply(t)
	case s.stage.Load() != between:
		c.deadline = t
		switch {
		case s.looks == running:
		case t.Equal(longAgo):
			s.looks = aborting
		case s.looks == aborting:
			s.looks = returned
		default:
			s.looks = astray
		}
		if c.posed || c.looking != nil || c.reading && c.sooner(t) {
			c.apply(t)
		}
		if c.looking != nil && t.Equal(longAgo) {
			close(c.looking)
			c.looking = nil
		}
	}
	return nil
}

// SetDeadline implements net.Conn.
func (s *wholeConn) SetDeadline(t time.Time) error {
	if err := s.SetWriteDeadline(t); err != nil {
		return err
	}
	return s.SetReadDeadline(t)
}

// Write implements net.Conn.
func (s *wholeConn) Write(p []byte) (int, error) {
	if s.stage.Load() >= over {
		return 0, errMoved{} // another process answers, not this server's 400
	}
	if s.noted != "" {
		s.logAnswer(p)
	}
	return s.raw.Write(p)
}

// CloseWrite is what net/http looks for; it has to stand here, since a wholeTCP
// would find two of them one level down.
func (s *wholeConn) CloseWrite() error { return s.closeWrite() }

// Close implements net.Conn.
func (s *wholeConn) Close() error {
	switch {
	case s.stage.Load() == hijacked:
		s.CloseWrite()
		s.server.forget(s.Conn)
		return s.raw.Close()
	case s.stage.Load() == parted:
	case s.hasLeft():
	case s.stage.Load() == between:
		// A server that shuts down, from another goroutine: it takes the
		// connection for an idle one.
		s.end()
	default:
		s.close()
	}
	return nil
}

// changed follows the server's own view of the connection. It may end the
// server's goroutine, which logs nothing of it, and calls Close.
func (s *wholeConn) changed(state http.ConnState) {
	switch state {
	case http.StateIdle:
		s.setPosed(false)
		s.done()
		switch {
		case s.stage.Load() == unframed || s.head > 0 || !s.body.Ended() || s.isAstray():
			// net/http and we do not agree: not one more byte, and no more of
			// those that it has. Nor where it is about to panic, which ends the connection there, too.
			s.stage.Store(over)
			panic(http.ErrAbortHandler)
		case s.shown > 0:
			s.stage.Store(parted)
			go s.server.serve(s.Conn)
			panic(http.ErrAbortHandler) // it would serve what it was shown
		}
		s.stage.Store(between)
	case http.StateHijacked:
		s.consume(s.shown)
		if s.head == 0 && s.body.Ended() {
			s.readOne()
		}
		s.stage.Store(hijacked)
		s.giveAway()
		s.surrender()
	}
}

func (s *wholeConn) isAstray() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks == astray
}

// LocalAddr implements net.Conn.
func (s *wholeConn) LocalAddr() net.Addr { return s.local }

// RemoteAddr implements net.Conn; it is the client's.
func (s *wholeConn) RemoteAddr() net.Addr { return s.remote }

// ReadFrom lets net/http send a file without copying it through this process
// (sendfile(2), splice(2)).
func (s *wholeConn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(s.raw, r) }

// wholeTCP has what else a handler may expect of a connection that it hijacks.
type wholeTCP struct {
	*wholeConn
	rest
}

// rest puts the methods of a net.TCPConn behind those of a wholeConn.
type rest struct{ *net.TCPConn }

// asNet returns s as a listener returns it.
func (s *wholeConn) asNet() net.Conn {
	if tcp, ok := s.raw.(*net.TCPConn); ok {
		return wholeTCP{s, rest{tcp}}
	}
	return s
}

func wholeOf(nc net.Conn) *wholeConn {
	if t, ok := nc.(wholeTCP); ok {
		return t.wholeConn
	}
	return nc.(*wholeConn)
}
