package handover

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/http1"
)

// stream is a request that was forwarded here, and carries its answer: back in
// parts, as long as they are small, and over the connection itself once the
// answer needs more of it than that.
type stream struct {
	requestContext
	server *Server
	peer   *Peer
	id     uint64
	aside  func() // or nil; see serveStream

	fetched chan *Conn    // capacity 1
	orphans chan struct{} // closed when the peer has died
	once    sync.Once

	mu   sync.Mutex // guards the rest
	conn *Conn      // once it was fetched
	sent int        // bytes of the answer
	last bool       // the handler has returned
	out  []byte     // what is to go with the answer's end
	err  error
}

// errOrphan says that the peer that has the connection is dead.
var errOrphan = errors.New("the connection's process has died")

// orphan ends the stream: its peer is dead.
func (st *stream) orphan() { st.once.Do(func() { close(st.orphans) }) }

// serveStream answers a request that p has forwarded, m, whose head is given
// apart, and returns the
// connection where it was fetched and carries another request. With aside, the
// caller's goroutine has others to serve: it is called where this request needs
// more than a moment.
func (s *Server) serveStream(p *Peer, m message, head string, plain bool, aside func()) *Conn {
	st := &stream{
		server: s, peer: p, id: m.stream, aside: aside,
		fetched: make(chan *Conn, 1), orphans: make(chan struct{}),
	}
	st.requestContext = requestContext{base: s.base, server: s.http, local: p.localOf(m.local), began: time.Now(), watch: st.watch, chosen: true}
	if m.canceled {
		st.Gone()
	}
	p.mu.Lock()
	if p.given {
		p.mu.Unlock()
		return nil
	}
	p.serving[st.id] = st
	p.mu.Unlock()
	s.streams.Add(1)
	ok := false
	defer func() {
		if !ok {
			st.end(false) // the handler has ended the goroutine
		}
	}()
	c := st.serve(head, plain, m)
	ok = true
	if c != nil && aside == nil {
		s.serve(c)
		return nil
	}
	return c
}

// serve answers the request.
func (st *stream) serve(head string, plain bool, m message) *Conn {
	s := st.server
	state, err := st.peer.stateOf(m.tls)
	if err != nil {
		s.http.ErrorLog.Print(err)
		st.finish(answer{done: true})
		return nil
	}
	var r *http.Request
	if plain {
		r, err = http1.Request(&st.requestContext, head, true)
	}
	if !plain || err != nil || s.Mux == nil {
		st.finish(answer{move: true}) // net/http's own words are wanted
		return nil
	}
	w, ok := s.answer(s.Mux(), r, st, &st.requestContext, m.remote, state, m.tls)
	if st.elsewhere {
		st.finish(answer{elsewhere: true})
		return nil
	}
	st.mu.Lock()
	st.last = true
	st.mu.Unlock()
	if w.Hijacked() {
		st.forget()
		return nil
	}
	keep := ok && w.Finish()
	st.Unwatch()
	return st.end(keep)
}

// end completes the answer.
func (st *stream) end(keep bool) *Conn {
	st.mu.Lock()
	c, out := st.conn, st.out
	st.mu.Unlock()
	if c == nil {
		st.finish(answer{done: true, keep: keep, bytes: out})
		return nil
	}
	st.forget()
	c.history.canceled = st.canceled()
	c.clearLimits()
	if !keep {
		c.close()
		return nil
	}
	if c.loan != nil {
		c.served++ // it gives the loan back
	}
	return c
}

// finish says the last word about the request.
func (st *stream) finish(a answer) {
	var b [16]byte
	a.stream = st.id
	if st.aside != nil {
		st.peer.wire.Queue(kindAnswer, a.head(b[:0]), a.bytes)
	} else {
		st.peer.wire.Post(kindAnswer, a.head(b[:0]), a.bytes)
	}
	st.forget()
}

func (st *stream) post(kind byte, a answer) error {
	var b [16]byte
	a.stream = st.id
	return st.peer.wire.Post(kind, a.head(b[:0]), a.bytes)
}

// forget ends the count of the request.
func (st *stream) forget() {
	st.peer.mu.Lock()
	delete(st.peer.serving, st.id)
	st.peer.mu.Unlock()
	st.server.streamOver()
}

// streamOver ends the count of a request that was forwarded here.
func (s *Server) streamOver() {
	if s.streams.Add(-1) == 0 && s.waiting.Load() {
		s.mu.Lock()
		s.shrunk()
		s.mu.Unlock()
	}
}

// Write implements http1.Transport.
func (st *stream) Write(b []byte) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case st.err != nil:
		return 0, st.err
	case st.conn != nil:
		return st.checked(st.conn.writeSocket(b))
	case st.sent+len(b) > window:
		c, err := st.fetch()
		if err != nil {
			return 0, err
		}
		return st.checked(c.writeSocket(b))
	case st.last:
		st.sent += len(b)
		st.out = append(st.out, b...)
		return len(b), nil
	default:
		st.sent += len(b)
		if err := st.post(kindAnswer, answer{bytes: b}); err != nil {
			return st.checked(0, err)
		}
		return len(b), nil
	}
}

func (st *stream) checked(n int, err error) (int, error) {
	if err != nil {
		st.Gone()
	}
	return n, err
}

// fetch returns the client's connection, with all that was answered so far
// written. The lock is held.
func (st *stream) fetch() (*Conn, error) {
	if st.conn != nil || st.err != nil {
		return st.conn, st.err
	}
	if st.aside != nil {
		st.aside() // somebody has to receive it
		st.aside = nil
	}
	err := st.post(kindFetch, answer{})
	if err == nil {
		st.conn, err = st.await()
	}
	if err != nil {
		st.err = err
		st.Gone()
		return nil, err
	}
	return st.conn, nil
}

// await waits for the connection. A peer that retires this process gives it, and
// then no more: what it has given counts.
func (st *stream) await() (*Conn, error) {
	var c *Conn
	select {
	case c = <-st.fetched:
	case <-st.orphans:
		select {
		case c = <-st.fetched:
		default:
			return nil, errOrphan
		}
	}
	if c == nil {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (st *stream) fetchLocked() (*Conn, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.fetch()
}

// ReadFrom implements http1.Transport.
func (st *stream) ReadFrom(r io.Reader) (int64, error) {
	c, err := st.fetchLocked()
	if err != nil {
		return 0, err
	}
	return (&exchange{conn: c}).ReadFrom(r)
}

// Hijack implements http1.Transport.
func (st *stream) Hijack() (net.Conn, []byte, error) {
	st.Unwatch()
	c, err := st.fetchLocked()
	if err != nil {
		return nil, nil, err
	}
	return c.hijack(0)
}

// SetReadDeadline implements http1.Transport.
func (st *stream) SetReadDeadline(t time.Time) error {
	c, err := st.fetchLocked()
	if err != nil {
		return err
	}
	return c.SetReadDeadline(t)
}

// SetWriteDeadline implements http1.Transport.
func (st *stream) SetWriteDeadline(t time.Time) error {
	c, err := st.fetchLocked()
	if err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// watch begins to watch the client.
func (st *stream) watch(now bool, gone func()) (stop func()) {
	c, err := st.fetchLocked()
	if err != nil {
		gone()
		return func() {}
	}
	return c.watch(now, gone)
}

// arrived is the connection that was fetched, or nil where it is lost.
func (st *stream) arrived(c *Conn) {
	if c != nil {
		c.begin()
	}
	select {
	case st.fetched <- c:
	default: // nobody has fetched it
		if c != nil {
			c.close()
		}
	}
}
