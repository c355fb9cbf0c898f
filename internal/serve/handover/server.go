package handover

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/access"
	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/serve/http1"
)

// Limits are the bounds on a client's patience and head; zero means none, but
// for MaxHeaderBytes, where it means net/http's default.
type Limits struct {
	IdleTimeout   time.Duration
	HeaderTimeout time.Duration
	// WriteTimeout, of a process that accepts, is how long a client may take nothing of
	// what it is sent; see Listener.patient.
	WriteTimeout   time.Duration
	MaxHeaderBytes int
	// MaxConns is how many connections there may be, in all processes together, for one
	// that accepts to accept more.
	MaxConns int
}

// Dest is where a request goes: to a handler of this process, or to a peer.
type Dest struct {
	Handler http.Handler // where Peer is nil
	Peer    *Peer
	// Given is called once the peer has the request, or cannot get it.
	Given func()
	// Enter asks, later, whether the peer still takes connections; if so,
	// Given is called once more.
	Enter func() bool
	// Stays says that the next request may be another's, alike as it may be: this one is
	// forwarded, if it can be.
	Stays bool
	// Copy, if set, is who else gets the request, where that can be copied; see copyTo.
	Copy *Dest
}

// Mux is what finds the handler of a request, such as *http.ServeMux.
type Mux interface {
	http.Handler
	Handler(r *http.Request) (h http.Handler, pattern string)
}

// Server serves HTTP on connections that may come from and go to other
// processes. Create it with NewServer, start it with Run. The fields are set
// before Run.
type Server struct {
	// Back returns the process that takes the connections of a retired
	// server, and every request that is Elsewhere. It waits for it if need
	// be; nil means that there is none.
	Back func() *Peer

	// Mux, if set, returns what serves requests now, in the place of the
	// handler of NewServer.
	Mux func() Mux

	// Route, if set, says where each request goes; it may wait. This is a
	// process that accepts, then, and hands no connection to a handler. Of who asks,
	// the request has RemoteAddr and TLS.
	// RouteNow does not wait, and reports false where it would have to.
	Route    func(r *http.Request) Dest
	RouteNow func(r *http.Request) (d Dest, ok bool)

	// Lends says that no client's connection leaves this process, which accepts them: what a
	// handler's needs of one it is lent, for one request (lend.go).
	Lends bool

	// Counts is where connections are counted that s accepts, or moves to a peer.
	Counts *counter.Gate

	// Access, if set, is where the requests are logged that s answers by itself.
	Access *access.Log

	// Key, if set, is what a process that accepts stamps connections with, in
	// common with its predecessors: none comes back that they had not accepted.
	Key []byte

	// HTTP2, if set, takes over the connections that begin with HTTP/2's preface, in a
	// process that accepts. Their requests come back by Forward.
	HTTP2 func(net.Conn)

	// Full, if set, is told now and then that there are as many connections as may be: most
	// of them, or, where most is 0, as the descriptors of this process allow.
	Full func(most int)

	base    context.Context
	handler http.Handler
	limits  Limits
	options http1.Options
	http    *http.Server
	parted  atomic.Bool // every answer ends its connection
	feed    feed
	holds   holds
	posing  sync.Map     // net.Conn to *wholeConn; see pose.go
	held    sync.RWMutex // see pose.go
	retired atomic.Bool
	streams atomic.Int64 // requests that were forwarded here and are being served

	most   atomic.Int64 // descriptors that the process may have open, when last looked at
	others atomic.Int64 // of its descriptors are no connections, of a process that accepts
	count  atomic.Int64 // of conns
	aside  atomic.Int64 // connections; see Aside
	beside atomic.Int64 // descriptors that connections of others need here
	heads  atomic.Int64 // bytes; see grow

	mu      sync.Mutex
	conns   map[*Conn]bool   // all that this process owns; true: a handler has hijacked it
	given   int              // of conns, those
	loans   int              // of conns, those that were lent
	cookies map[uint64]*Conn // those of conns that came back, by their sockets' numbers
	changed chan struct{}    // closed when conns or streams shrink; nil where nobody waits for it
	waiting atomic.Bool      // somebody does
	peers   map[*Peer]bool   // of a process that accepts: whose connections count
	told    *Peer            // of another: who is told how many there are; nil if nobody
	fullAt  time.Time        // when Full was called last
	looks   bool             // lookAfterGiven's goroutine runs

	admits sync.Mutex // held while connections are accepted, where their number is bounded
}

// NewServer returns a server of h. Errors of single connections go to errs.
// The context of every request descends from base.
func NewServer(base context.Context, h http.Handler, lim Limits, errs *log.Logger) *Server {
	s := &Server{
		Counts:  new(counter.Gate),
		base:    base,
		handler: h,
		limits:  lim,
		feed:    feed{ch: make(chan *wholeConn), done: make(chan struct{})},
		conns:   make(map[*Conn]bool),
		cookies: make(map[uint64]*Conn),
		peers:   make(map[*Peer]bool),
	}
	s.measure()
	s.options = http1.Options{ErrorLog: errs, KeepAlives: func() bool { return !s.parted.Load() }}
	s.http = &http.Server{
		ErrorLog: errs,
		// The time limits are the Conn's own, but net/http has to know of
		// the one that ends a head which it reads to the end by itself.
		ReadHeaderTimeout: lim.HeaderTimeout,
		IdleTimeout:       lim.IdleTimeout,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       withConn,
		ConnState: func(nc net.Conn, state http.ConnState) {
			s.posedAs(nc).changed(state)
		},
	}
	s.http.MaxHeaderBytes = s.maxHead() + bufferSize // the Conn counts
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.parted.Load() {
			w.Header().Set("Connection", "close")
		}
		whole := wholeOf(r.Context().Value(connKey{}).(net.Conn))
		defer whole.pose(w)()
		defer whole.returns()
		r.TLS = whole.tlsState()
		demand(w, whole.tls)
		whole.noted = ""
		whole.handler.ServeHTTP(w, r)
	})
	return s
}

// maxHead is how long a head may be, in bytes.
func (s *Server) maxHead() int {
	if s.limits.MaxHeaderBytes > 0 {
		return s.limits.MaxHeaderBytes
	}
	return http.DefaultMaxHeaderBytes
}

// maxReplay is how many bytes can come with a connection: as many as a buffer
// holds that has grown until a head was too large.
func (s *Server) maxReplay() int { return 2*s.maxHead() + 8*bufferSize }

// Run serves the connections fed to s, until Shutdown.
func (s *Server) Run() error {
	if err := s.http.Serve(&s.feed); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// awaitRoom waits while there are too many connections and l is open.
func (s *Server) awaitRoom(l *Listener) {
	full := func() bool { return s.tooMany() || s.vacant() == 0 }
	for full() && !l.closed.Load() {
		s.measure()
		changed := s.awaited()
		if !full() {
			return
		}
		s.isFull()
		select {
		case <-changed:
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// newConn makes a connection that is to become s's own.
func (s *Server) newConn(nc net.Conn, remote, local net.Addr) *Conn {
	c := &Conn{raw: nc, server: s, remote: remote, local: local}
	if s, ok := nc.(*secured); ok {
		c.sealed = s.sealed
	}
	if remote != nil {
		c.remoteText = remote.String()
	}
	if s.limits.HeaderTimeout > 0 {
		c.deadline = time.Now().Add(s.limits.HeaderTimeout)
	}
	return c
}

// own makes c, which is complete, s's own.
func (s *Server) own(c *Conn) {
	s.mu.Lock()
	s.conns[c] = false
	if c.cookie != 0 {
		s.cookies[c.cookie] = c
	}
	if c.loan != nil {
		s.loans++
	}
	s.count.Add(1)
	s.tell()
	s.mu.Unlock()
	if s.parted.Load() { // Part may not have seen it
		c.part()
	}
}

// Recover takes back what a dead peer has not taken. Nothing may be sent to it
// any more.
func (s *Server) Recover(p *Peer) {
	p.dead.Store(true)
	s.unjoin(p)
	conns, requests, ended, xs := p.lost()
	for _, k := range conns {
		if k.loan == nil {
			go s.kept(k)
		}
	}
	for _, f := range requests {
		f.change(again)
		f.given()
	}
	for _, f := range ended {
		f.change(broken)
		f.given()
	}
	for _, k := range conns {
		if k.loan != nil { // only now it may seem closed
			p.mu.Lock()
			k.loan.taken()
			p.mu.Unlock()
		}
	}
	for _, x := range xs {
		x.Lost(x.taken)
	}
}

// missed sees to a connection that p had no descriptor for. It waits: some
// become free by and by.
func (s *Server) missed(p *Peer, k kept) {
	time.Sleep(fullFor / 4)
	if k.stream != 0 {
		if p.giveFor(k.conn, k.stream, k.given) == nil {
			return
		}
		p.lostFor(k.stream)
	}
	s.kept(k)
}

// kept goes on with a connection that was sent and is not the peer's.
func (s *Server) kept(k kept) {
	switch {
	case k.stream != 0:
		k.conn.close() // its request has died with the peer
		k.arrived()
	case s.Back == nil || !k.idle || !s.handBack(k.conn):
		s.serve(s.again(k.conn))
	}
}

// again makes c, which another process did not get, a connection of s as if it
// had just been handed to s.
func (s *Server) again(c *Conn) *Conn {
	n := s.newConn(c.raw, c.remote, c.local)
	n.buf, n.r, n.w, n.history, n.deadline, n.from, n.cookie = c.buf, c.r, c.w, c.history, c.deadline, c.from, c.cookie
	n.tls, n.state = c.tls, c.state
	n.grown.Store(c.grown.Swap(0))
	if n.r < n.w {
		n.phase = head
	}
	s.own(n)
	s.forget(c)
	// Whoever made all leave, or end, may not have met it.
	if s.retired.Load() {
		n.evict()
	}
	select {
	case <-s.feed.done:
		n.end()
	default:
	}
	return n
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

// handBack sends a connection on which no request is under way; its goroutine
// waits. It reports false where there is nobody to take it, and it may stay.
func (s *Server) handBack(c *Conn) bool {
	for p := s.Back(); p != nil; p = s.Back() {
		if err := p.give(c); err == nil || !p.Dead() {
			return true // or the server has closed it
		}
	}
	if !s.retired.Load() || s.parted.Load() {
		return false
	}
	s.http.ErrorLog.Printf("connection of %v closed: nobody took it back", c.remote)
	c.drop()
	return true
}

// Conns returns how many connections s owns.
func (s *Server) Conns() int {
	s.forgetClosed()
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Server) owned() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.conns))
}

// Probe asks s for an answer as a client would, and returns an error if there
// is none by the time that ctx is done. No handler gets to see the request. A
// server that shuts down answers nobody, and is as it should be.
func (s *Server) Probe(ctx context.Context) error {
	err := s.probe(ctx)
	select {
	case <-s.feed.done:
		return nil
	default:
		return err
	}
}

func (s *Server) probe(ctx context.Context) error {
	ours, theirs := net.Pipe()
	defer ours.Close()
	if deadline, ok := ctx.Deadline(); ok {
		ours.SetDeadline(deadline)
	}
	c := s.newConn(theirs, theirs.RemoteAddr(), theirs.LocalAddr())
	s.own(c)
	go s.serve(c)
	if _, err := io.WriteString(ours, "OPTIONS * HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(ours), nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	if given, ok := s.conns[c]; ok {
		delete(s.conns, c)
		if given {
			s.given--
		}
		if c.loan != nil {
			s.loans--
		}
		if s.cookies[c.cookie] == c {
			delete(s.cookies, c.cookie)
		}
		s.count.Add(-1)
		s.tell()
		s.shrunk()
	}
	s.mu.Unlock()
	c.shrink()
}

// giveAway notes that c is a handler's.
func (s *Server) giveAway(c *Conn) {
	s.mu.Lock()
	if given, ok := s.conns[c]; ok && !given {
		s.conns[c] = true
		s.given++
		s.lookAfterGiven()
		s.shrunk()
	}
	s.mu.Unlock()
}

// forgetClosed stops to count the connections that handlers have closed.
func (s *Server) forgetClosed() {
	var closed []*Conn
	s.mu.Lock()
	if s.given > 0 {
		for c, given := range s.conns {
			if given && c.closed() {
				closed = append(closed, c)
			}
		}
	}
	s.mu.Unlock()
	for _, c := range closed {
		s.forget(c)
	}
}

// feed is the listener of net/http's server: what it is fed, it accepts.
type feed struct {
	ch   chan *wholeConn
	done chan struct{} // closed by stop
	once sync.Once
}

func (f *feed) put(c *wholeConn) {
	select {
	case f.ch <- c:
	case <-f.done:
		c.close()
	}
}

func (f *feed) stop() { f.once.Do(func() { close(f.done) }) }

// Accept implements net.Listener.
func (f *feed) Accept() (net.Conn, error) {
	select {
	case c := <-f.ch:
		return c.asNet(), nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (f *feed) Close() error { f.stop(); return nil }

// Addr implements net.Listener.
func (f *feed) Addr() net.Addr { return addr{"unix", "hand-over"} }

type connKey struct{}

func withConn(ctx context.Context, nc net.Conn) context.Context {
	whole := wholeOf(nc)
	if whole.history.canceled {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		cancel()
		whole.told = true
	}
	return context.WithValue(ctx, connKey{}, nc)
}
