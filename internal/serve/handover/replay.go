package handover

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/parts"
	"github.com/andrestc/go-plugserver/internal/serve/record"
	"github.com/andrestc/go-plugserver/internal/serve/replay"
)

// A stream of HTTP/2 cannot be moved: its connection has others. Its request is told to
// the peer, and the two processes pass on what either side does (package parts), over
// the socket on which everything else passes.

// exchanged is a request whose answer a peer gives in parts, on the side of the client.
type exchanged struct {
	*replay.Request
	seq   uint64
	taken bool // by a peer that is dead
}

// stay is what requests have in common whose connection stays here.
type stay struct {
	local string
	tls   string // encoded
}

type stayKey struct{}

// ConnContext is for the http.Server whose requests are given to Forward.
func ConnContext(ctx context.Context, nc net.Conn) context.Context {
	c := &stay{local: textOf(nc.LocalAddr())}
	if s, ok := nc.(*tls.Conn); ok {
		state := s.ConnectionState()
		hsts := ""
		if h, ok := s.NetConn().(interface{ HSTS() string }); ok {
			hsts = h.HSTS()
		}
		c.tls = encodeState(&state, hsts)
	}
	return context.WithValue(ctx, stayKey{}, c)
}

// Forward answers a request of HTTP/2, by the process that Route names.
func (s *Server) Forward(w http.ResponseWriter, r *http.Request) {
	if r.RequestURI == "*" {
		s.logged(star).ServeHTTP(&ownAnswer{ResponseWriter: w}, r)
		return
	}
	x := replay.New(w, r, s.parted.Load, s.limits.WriteTimeout)
	defer x.Close()
	m := message{remote: r.RemoteAddr}
	if c, ok := r.Context().Value(stayKey{}).(*stay); ok {
		if m.local = c.local; r.TLS != nil {
			m.tls = c.tls
		}
	}
	if len(m.tls) > maxState {
		w.Header().Set("Connection", "close")
		s.logged(tooLargeState).ServeHTTP(&ownAnswer{ResponseWriter: w}, r)
		return
	}
	for copied := false; ; {
		d := s.Route(r)
		if d.Peer == nil {
			x.Stop()
			if s.parted.Load() {
				w.Header().Set("Connection", "close")
			}
			demand(w, m.tls)
			d.Handler.ServeHTTP(&ownAnswer{ResponseWriter: w}, r)
			return
		}
		if d.Copy != nil && !x.HasBody() && !copied {
			copied = true
			copyTo(d.Copy, r, m)
		}
		end := d.Peer.exchange(kindExchange, x, m)
		d.Given()
		switch end {
		case replay.Answered:
			return
		case replay.Aborted:
			panic(http.ErrAbortHandler)
		}
	}
}

var tooLargeState = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "the client's certificates are too large", http.StatusRequestHeaderFieldsTooLarge)
})

// exchange has p's process answer x.
func (p *Peer) exchange(kind byte, x *replay.Request, m message) replay.End {
	id, ok := p.ask(kind, x, m)
	if !ok {
		return replay.Again // the peer is dead
	}
	end := x.Await(port{p, id})
	p.mu.Lock()
	delete(p.exchanged, id)
	p.mu.Unlock()
	return end
}

// ask sends x's head, and remembers x. It reports false where the peer is dead.
func (p *Peer) ask(kind byte, x *replay.Request, m message) (id uint64, ok bool) {
	p.order.Lock()
	p.mu.Lock()
	if p.given || p.dead.Load() {
		p.mu.Unlock()
		p.order.Unlock()
		return 0, false
	}
	p.number++
	p.sent++
	id = p.number
	p.exchanged[id] = exchanged{Request: x, seq: p.sent}
	p.mu.Unlock()
	m.stream = id
	var b [128]byte
	deliver, err := p.wire.Append(kind, m.head(b[:0]), x.Head())
	p.order.Unlock()
	if err != nil || deliver && p.wire.Deliver() != nil {
		// Whether or not it went out, Recover sees to it.
		p.dead.Store(true)
	}
	return id, true
}

// port is an exchange's way to its other side.
type port struct {
	peer *Peer
	id   uint64
}

// Parts implements parts.Port.
func (t port) Parts(b []byte) error { return t.post(kindParts, b) }

// Word implements parts.Port.
func (t port) Word(word byte, n int) error {
	var b [16]byte
	return t.post(kindWord, parts.AppendWord(b[:0], word, n))
}

func (t port) post(kind byte, b []byte) error {
	var head [16]byte
	a := answer{stream: t.id}
	return t.peer.wire.Post(kind, a.head(head[:0]), b)
}

// exchanging is a request that is answered here in parts.
type exchanging struct {
	requestContext
	*record.Answer
	peer    *Peer
	id      uint64
	remote  string
	tls     *tls.ConnectionState
	encoded string
}

// exchangeParts passes on what p's process says of an exchange. It does not wait.
func (p *Peer) exchangeParts(kind byte, a answer) error {
	p.mu.Lock()
	mine, ours := p.exchanged[a.stream]
	theirs := p.exchanging[a.stream]
	p.mu.Unlock()
	if !ours && theirs == nil {
		return nil // it has ended
	}
	if kind == kindParts {
		if ours {
			return mine.Parts(a.bytes)
		}
		theirs.Parts(a.bytes)
		return nil
	}
	word, n, err := parts.DecodeWord(a.bytes)
	switch {
	case err != nil:
		return errMessage
	case ours:
		mine.Word(word, n)
	case word == parts.WordCancel:
		theirs.cancel(false)
	default:
		theirs.Word(word, n)
	}
	return nil
}

// cancel says that the client has gone; or, orphaned, that its process has.
func (e *exchanging) cancel(orphaned bool) {
	e.Gone()
	e.Cancel(orphaned)
}

// take remembers a request that p's process has told of, for what else it tells of it.
// The caller answers it, unless it is nil.
func (s *Server) take(p *Peer, m message, copied bool) *exchanging {
	a, err := record.Decode(string(m.bytes), port{p, m.stream})
	var state *tls.ConnectionState
	if err == nil {
		state, err = p.stateOf(m.tls)
	}
	if err != nil {
		s.http.ErrorLog.Print(err)
		record.Refuse(port{p, m.stream})
		return nil
	}
	e := &exchanging{Answer: a, peer: p, id: m.stream, remote: m.remote, tls: state, encoded: m.tls}
	e.requestContext = requestContext{base: s.base, server: s.http, local: p.localOf(m.local), began: time.Now(), received: a.Received, chosen: true, copied: copied}
	p.mu.Lock()
	if p.given {
		p.mu.Unlock()
		return nil
	}
	p.exchanging[m.stream] = e
	p.mu.Unlock()
	s.streams.Add(1)
	return e
}

// answerExchange has the handler answer. With aside, the caller's goroutine has others
// to serve: it is called where this request needs more than a moment, and what ends the
// answer is written with those of others.
func (s *Server) answerExchange(e *exchanging, aside func()) {
	ok := false
	defer s.exchangeOver(e)
	defer func() {
		e.end()
		switch p := recover(); {
		case e.elsewhere:
			e.Elsewhere()
		case ok:
			e.Finish()
		default:
			if p != nil && p != http.ErrAbortHandler {
				s.logPanic("http2", e.remote, p)
			}
			e.Abort() // also where the handler has ended the goroutine (runtime.Goexit)
		}
	}()
	if aside != nil {
		e.Beside(aside, func(b []byte) error {
			var h [16]byte
			a := answer{stream: e.id}
			return e.peer.wire.Queue(kindParts, a.head(h[:0]), b)
		})
	}
	w, r, err := e.Request(&e.requestContext)
	if err != nil || s.Mux == nil {
		return
	}
	r.RemoteAddr, r.TLS = e.remote, e.tls
	demand(w, e.encoded)
	s.Mux().ServeHTTP(w, r)
	if form := r.MultipartForm; form != nil {
		form.RemoveAll()
	}
	ok = true
}

// exchangeOver ends the count of an exchange.
func (s *Server) exchangeOver(e *exchanging) {
	e.peer.mu.Lock()
	delete(e.peer.exchanging, e.id)
	e.peer.mu.Unlock()
	s.streamOver()
}
