package handover

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/wire"
)

// Limits are the bounds on a client's patience and head; zero means none, but
// for MaxHeaderBytes, where it means net/http's default.
type Limits struct {
	IdleTimeout    time.Duration
	HeaderTimeout  time.Duration
	MaxHeaderBytes int
}

// Server serves HTTP on connections that may come from and go to other
// processes. Create it with NewServer, start it with Run.
type Server struct {
	// Back returns the process that takes the connections of a retired
	// server, waiting for it if need be, or nil if there is none. Set it
	// before Run.
	Back func() *Peer

	// Route, if set before Run, may hand over a request whose head arrived
	// in one piece without net/http's server having to serve it first. It
	// returns the peer, or nil where the server should see to it, and a
	// function that is called when the connection has been given.
	Route func(r *http.Request) (p *Peer, given func())

	http    *http.Server
	parted  atomic.Int64 // when answers began to end their connections, in Unix nanoseconds; 0 = not yet
	feed    feed
	retired atomic.Bool

	mu      sync.Mutex
	conns   map[*Conn]struct{} // all that this process owns
	changed chan struct{}      // closed and replaced whenever conns shrinks
}

// NewServer returns a server of h. Errors of single connections go to errs.
// The context of every request descends from base.
func NewServer(base context.Context, h http.Handler, lim Limits, errs *log.Logger) *Server {
	s := &Server{
		feed:    feed{ch: make(chan *Conn), done: make(chan struct{})},
		conns:   make(map[*Conn]struct{}),
		changed: make(chan struct{}),
	}
	s.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.parted.Load() != 0 {
				w.Header().Set("Connection", "close")
			}
			h.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: lim.HeaderTimeout,
		IdleTimeout:       lim.IdleTimeout,
		MaxHeaderBytes:    lim.MaxHeaderBytes,
		ErrorLog:          errs,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       withConn,
		ConnState:         s.connState,
	}
	return s
}

// Run serves the connections fed to s, until Shutdown.
func (s *Server) Run() error {
	if err := s.http.Serve(&s.feed); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Accept takes connections from l until it is closed, and then returns
// net.ErrClosed. The listener stays the caller's.
func (s *Server) Accept(l net.Listener) error {
	var pause time.Duration
	for {
		nc, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			// Out of descriptors or memory: the backlog holds the clients
			// while connections end.
			s.http.ErrorLog.Printf("accept: %v", err)
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			select {
			case <-time.After(pause):
			case <-s.feed.done:
				return net.ErrClosed
			}
			continue
		}
		pause = 0
		c := &Conn{raw: nc, server: s, waits: fresh}
		s.track(c)
		if s.Route == nil {
			s.feed.put(c)
			continue
		}
		go s.first(c)
	}
}

// first reads a new connection once: most often that is a request's whole head.
func (s *Server) first(c *Conn) {
	if d := s.http.ReadHeaderTimeout; d > 0 {
		c.raw.SetReadDeadline(time.Now().Add(d))
	}
	buf := buffers.Get().(*[4 << 10]byte)
	n, err := c.raw.Read(buf[:])
	c.rec = append(c.rec, buf[:n]...)
	buffers.Put(buf)
	if n == 0 && err != nil {
		c.Close()
		return
	}
	s.dispatch(c)
}

// dispatch gives a connection to the peer that its first request is for, and
// where that cannot be told yet, or there is none, to net/http's server.
func (s *Server) dispatch(c *Conn) {
	if s.Route != nil && len(c.rec) > 0 {
		br := readers.Get().(*bufio.Reader)
		br.Reset(bytes.NewReader(c.rec))
		r, err := http.ReadRequest(br)
		br.Reset(nil)
		readers.Put(br)
		if err == nil {
			if p, given := s.Route(r); p != nil {
				err := p.send(c, false)
				given()
				if err == nil {
					return
				}
			}
		}
	}
	s.feed.put(c)
}

var (
	buffers = sync.Pool{New: func() any { return new([4 << 10]byte) }}
	readers = sync.Pool{New: func() any { return bufio.NewReader(nil) }}
)

// Receive takes the connections that p hands over, until p hands over no
// more (nil) or fails. Without Route it also ends, with ErrDescriptors, where
// the process has no descriptor left for one: p keeps that connection, and gets
// it back when this process ends.
func (s *Server) Receive(p *Peer) error {
	if s.Route == nil {
		// net/http's server takes them from here: one goroutine less to wake.
		err := s.http.Serve(&receiver{s, p})
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	for {
		c, err := s.receive(p)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		go s.dispatch(c)
	}
}

// receive returns the next connection that has a request.
func (s *Server) receive(p *Peer) (*Conn, error) {
	for {
		f, err := p.wire.Recv()
		if err != nil && !errors.Is(err, wire.ErrFDsLost) {
			return nil, err
		}
		var c *Conn
		var m message
		if err == nil {
			c, m, err = s.conn(f)
		}
		if err != nil && exhausted(err) && s.Route == nil {
			return nil, ErrDescriptors
		}
		p.took() // before anything of it is served
		if err != nil {
			s.http.ErrorLog.Print(err)
			continue
		}
		s.track(c)
		if m.idle && len(c.rec) == 0 {
			go s.await(c, m.wait)
			continue
		}
		return c, nil
	}
}

// ErrDescriptors says that this process can take no connection.
var ErrDescriptors = errors.New("take over connection: too many open files")

func exhausted(err error) bool {
	return errors.Is(err, wire.ErrFDsLost) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// receiver is a peer as a listener.
type receiver struct {
	server *Server
	peer   *Peer
}

// Accept implements net.Listener.
func (r *receiver) Accept() (net.Conn, error) { return r.server.receive(r.peer) }

// Close implements net.Listener. The peer learns that nothing is taken here
// any more.
func (r *receiver) Close() error { return r.peer.wire.CloseRead() }

// Addr implements net.Listener.
func (r *receiver) Addr() net.Addr { return addr{"unix", "hand-over"} }

// await feeds c once its next request begins, so that the time limit on a
// request's head does not run while there is none.
func (s *Server) await(c *Conn, wait time.Duration) {
	if wait == 0 {
		wait = 1 << 62
	}
	if err := c.await(wait); err != nil {
		c.Close()
		return
	}
	s.dispatch(c)
}

// conn makes a connection of a frame that handed one over.
func (s *Server) conn(f wire.Frame) (*Conn, message, error) {
	m, err := decode(f.Body)
	if err == nil && (f.Kind != kindConn || len(f.FDs) != 1) {
		err = errMessage
	}
	if err != nil {
		for _, fd := range f.FDs {
			syscall.Close(fd)
		}
		return nil, m, err
	}
	file := os.NewFile(uintptr(f.FDs[0]), "connection")
	defer file.Close()
	nc, err := net.FileConn(file)
	if err != nil {
		return nil, m, fmt.Errorf("take over connection: %w", err)
	}
	return &Conn{
		raw: nc, server: s, waits: fresh,
		remote: addrOf(m.remote), local: addrOf(m.local),
		rec: append([]byte(nil), m.replay...),
	}, m, nil
}

// HandOver gives the request, and its connection with it, to p. The handler
// must return at once and not touch w or r again.
func (s *Server) HandOver(w http.ResponseWriter, r *http.Request, p *Peer) {
	c := connOf(r)
	if c == nil || !c.replayable() {
		s.proxy(w, r, c, p)
		return
	}
	if _, _, err := http.NewResponseController(w).Hijack(); err != nil {
		s.proxy(w, r, c, p)
		return
	}
	c.detach()
	if p.send(c, false) != nil {
		s.again(c)
	}
}

// Recover takes back what a dead peer has not taken. Nothing may be sent to it
// any more.
func (s *Server) Recover(p *Peer) {
	for _, k := range p.lost() {
		if s.Back != nil && k.idle {
			go s.handBack(k.conn)
		} else {
			s.again(k.conn)
		}
	}
}

// again serves a connection that could not be handed over as if it had just
// been handed to s: its request is routed anew.
func (s *Server) again(c *Conn) {
	n := &Conn{raw: c.raw, server: s, remote: c.remote, local: c.local, rec: c.record(), waits: fresh}
	s.track(n)
	s.forget(c)
	s.feed.put(n)
}

// Retire makes every connection leave before its next request: the idle ones
// at once, the others when their request ends.
func (s *Server) Retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired.Store(true)
	for c := range s.conns {
		c.evict()
	}
}

// handBack sends a connection that was evicted; its server goroutine waits.
func (s *Server) handBack(c *Conn) {
	for p := s.Back(); p != nil; p = s.Back() {
		if p.send(c, true) == nil {
			return
		}
	}
	s.http.ErrorLog.Printf("connection of %v closed: nobody took it back", c.RemoteAddr())
	c.drop()
}

// Drained waits until s owns no connection, or ctx is done.
func (s *Server) Drained(ctx context.Context) error {
	for {
		s.mu.Lock()
		n, changed := len(s.conns), s.changed
		s.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Conns returns how many connections s owns.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// lingering is how long a server that shuts down still waits for connections
// to get their next answer, which tells the client to open a new one.
const lingering = 200 * time.Millisecond

// Part makes every answer from now on end its connection, so that a client that
// sends soon learns of the end from an answer. Shutdown begins with it, at the
// latest.
func (s *Server) Part() { s.parted.CompareAndSwap(0, time.Now().UnixNano()) }

// Shutdown ends s gracefully. For a moment requests are answered with
// "Connection: close"; then idle connections are closed, and requests under way
// finish until ctx is done. Then what is left is closed.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Part()
	linger, cancel := context.WithDeadline(ctx, time.Unix(0, s.parted.Load()).Add(lingering))
	s.Drained(linger)
	cancel()
	s.feed.stop()
	err := s.http.Shutdown(ctx)
	s.mu.Lock()
	left := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		left = append(left, c)
	}
	s.mu.Unlock()
	if err != nil {
		s.http.Close()
	}
	for _, c := range left {
		c.drop()
	}
	return err
}

// Linger waits, from Part on, for as long as clients are given to learn of the
// end. Other processes still hand connections over to s meanwhile.
func (s *Server) Linger() {
	s.Part()
	time.Sleep(time.Until(time.Unix(0, s.parted.Load()).Add(lingering)))
}

// Probe asks s for an answer as a client would, and returns an error if there
// is none by the time that ctx is done. No handler gets to see the request.
func (s *Server) Probe(ctx context.Context) error {
	ours, theirs := net.Pipe()
	defer ours.Close()
	if deadline, ok := ctx.Deadline(); ok {
		ours.SetDeadline(deadline)
	}
	c := &Conn{raw: theirs, server: s, waits: fresh}
	s.track(c)
	go s.feed.put(c)
	if _, err := io.WriteString(ours, "OPTIONS * HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(ours), nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (s *Server) connState(nc net.Conn, state http.ConnState) {
	if c, ok := nc.(*Conn); ok && state == http.StateIdle {
		c.boundary()
		if s.retired.Load() {
			c.evict()
		}
	}
}

func (s *Server) track(c *Conn) {
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
}

func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	if _, ok := s.conns[c]; ok {
		delete(s.conns, c)
		close(s.changed)
		s.changed = make(chan struct{})
	}
	s.mu.Unlock()
}

// Claim marks the request as served here; net/http's server may then read the
// rest of it. A handler that answers itself calls it first.
func Claim(r *http.Request) {
	if c := connOf(r); c != nil {
		c.claim()
	}
}

// feed is the listener of a Server: what it is fed, it accepts.
type feed struct {
	ch   chan *Conn
	done chan struct{} // closed by stop
	once sync.Once
}

func (f *feed) put(c *Conn) {
	select {
	case f.ch <- c:
	case <-f.done:
		c.Close()
	}
}

func (f *feed) stop() { f.once.Do(func() { close(f.done) }) }

// Accept implements net.Listener.
func (f *feed) Accept() (net.Conn, error) {
	select {
	case c := <-f.ch:
		return c, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (f *feed) Close() error { f.stop(); return nil }

// Addr implements net.Listener.
func (f *feed) Addr() net.Addr { return addr{"unix", "hand-over"} }
