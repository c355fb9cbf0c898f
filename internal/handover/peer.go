package handover

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/wire"
)

// Peer is another process that takes connections and gives them.
//
// A connection that was sent stays open here until the peer has taken it: what
// a peer leaves in its socket when it dies is not lost. What it has taken, it
// may have begun to serve, and that is never sent twice.
type Peer struct {
	wire *wire.Conn
	dead atomic.Bool // set for good by the first hand-over that failed

	mu     sync.Mutex // guards the rest
	counts *counts    // nil once the peer is given up
	sent   uint64     // frames
	kept   []kept     // in the order sent
	sweep  *time.Timer
}

// kept is a connection that was sent and may not have been taken.
type kept struct {
	seq  uint64
	conn *Conn
	idle bool
}

// sweepAfter is how long a connection stays open here after it was taken, at
// the most. Its new owner's shutdown(2) ends it for the client all the same.
const sweepAfter = 5 * time.Millisecond

// NewPeer returns the peer at the other end of sock and closes sock and page.
// The page is a Page that both sides map; one of them is the first.
func NewPeer(sock, page *os.File, first bool) (*Peer, error) {
	counts, err := mapCounts(page, first)
	page.Close()
	if err != nil {
		sock.Close()
		return nil, err
	}
	wc, err := wire.FromFile(sock)
	if err != nil {
		return nil, err
	}
	return &Peer{wire: wc, counts: counts}, nil
}

// CloseWrite tells the peer that no more connections come.
func (p *Peer) CloseWrite() error { return p.wire.CloseWrite() }

// Close ends the peer's socket.
func (p *Peer) Close() error { return p.wire.Close() }

// Dead reports whether a connection could not be given to the peer.
func (p *Peer) Dead() bool { return p.dead.Load() }

// send gives c's socket, with what has to be replayed, to the peer, and takes
// c over. After an error c is still the caller's.
func (p *Peer) send(c *Conn, idle bool) error {
	m := message{idle: idle}
	if idle && !c.deadline.IsZero() {
		m.wait = max(time.Until(c.deadline), time.Millisecond)
	}
	if c.remote != nil {
		m.remote = c.remote.String()
	}
	if c.local != nil {
		m.local = c.local.String()
	}
	return p.sendFD(c, &m, c.record(), &kept{conn: c, idle: idle})
}

// sendFD sends m with the descriptor behind sock. With keep, sock is taken over.
func (p *Peer) sendFD(sock syscall.Conn, m *message, replay []byte, keep *kept) error {
	sc, err := sock.SyscallConn()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var sendErr error
	if err := sc.Control(func(fd uintptr) {
		sendErr = p.wire.Send(kindConn, []int{int(fd)}, m.head(), replay)
	}); err != nil {
		return err // the connection's own socket is gone
	}
	if sendErr != nil {
		p.dead.Store(true)
		return sendErr
	}
	p.sent++
	if keep != nil {
		keep.seq = p.sent
		keep.conn.leave()
		p.kept = append(p.kept, *keep)
	}
	p.release()
	return nil
}

// took counts a frame that the peer has sent.
func (p *Peer) took() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counts != nil {
		p.counts.ours.Add(1)
	}
}

// release closes what the peer has taken. The lock is held.
func (p *Peer) release() {
	if p.counts == nil {
		return
	}
	taken, n := p.counts.theirs.Load(), 0
	for n < len(p.kept) && p.kept[n].seq <= taken {
		p.kept[n].conn.drop()
		n++
	}
	p.kept = append(p.kept[:0], p.kept[n:]...)
	if len(p.kept) == 0 {
		return
	}
	if p.sweep == nil {
		p.sweep = time.AfterFunc(sweepAfter, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.release()
		})
	} else {
		p.sweep.Reset(sweepAfter)
	}
}

// lost gives a dead peer up and returns the connections that it has not taken.
// They are the caller's again.
func (p *Peer) lost() []kept {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release()
	if p.counts != nil {
		p.counts.unmap()
		p.counts = nil
	}
	lost := p.kept
	p.kept = nil
	return lost
}

// proxy serves one request by way of p without moving its connection: what was
// read of it cannot be replayed, because the client has pipelined.
func (s *Server) proxy(w http.ResponseWriter, r *http.Request, c *Conn, p *Peer) {
	if c != nil {
		c.claim()
	}
	t := &http.Transport{
		DisableKeepAlives:  true,
		DisableCompression: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return p.dial(r)
		},
	}
	rp := httputil.ReverseProxy{
		Transport: t,
		ErrorLog:  s.http.ErrorLog,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL.Scheme, pr.Out.URL.Host = "http", "handler"
			pr.Out.URL.RawQuery = pr.In.URL.RawQuery
			for _, k := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if v, ok := pr.In.Header[k]; ok {
					pr.Out.Header[k] = v
				}
			}
		},
		FlushInterval: -1,
	}
	rp.ServeHTTP(w, r)
}

// dial returns a new connection to the peer's server on which it sees the
// addresses of r's client.
func (p *Peer) dial(r *http.Request) (net.Conn, error) {
	ours, theirs, err := wire.Pair()
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	defer theirs.Close()
	nc, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	m := message{remote: r.RemoteAddr}
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		m.local = a.String()
	}
	if err := p.sendFD(theirs, &m, nil, nil); err != nil {
		nc.Close()
		return nil, fmt.Errorf("hand over a request: %w", err)
	}
	return nc, nil
}
