package handover

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/wire"
)

// Peer is another process that takes connections and gives them.
type Peer struct {
	wire *wire.Conn
	dead atomic.Bool // set for good by the first hand-over that failed
}

// NewPeer returns the peer at the other end of f's socket and closes f.
func NewPeer(f *os.File) (*Peer, error) {
	wc, err := wire.FromFile(f)
	if err != nil {
		return nil, err
	}
	return &Peer{wire: wc}, nil
}

// CloseWrite tells the peer that no more connections come.
func (p *Peer) CloseWrite() error { return p.wire.CloseWrite() }

// Close ends the peer's socket.
func (p *Peer) Close() error { return p.wire.Close() }

// send gives c's socket, with what has to be replayed, to the peer. The
// caller still has to close its own descriptor.
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
	return p.sendFD(c, &m, c.record())
}

// sendFD sends m with the descriptor behind sock, which stays the caller's.
func (p *Peer) sendFD(sock syscall.Conn, m *message, replay []byte) error {
	sc, err := sock.SyscallConn()
	if err != nil {
		return err
	}
	var sendErr error
	if err := sc.Control(func(fd uintptr) {
		sendErr = p.wire.Send(kindConn, []int{int(fd)}, m.head(), replay)
	}); err != nil {
		return err // the connection's own socket is gone
	}
	if sendErr != nil {
		p.dead.Store(true)
	}
	return sendErr
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
	if err := p.sendFD(theirs, &m, nil); err != nil {
		nc.Close()
		return nil, fmt.Errorf("hand over a request: %w", err)
	}
	return nc, nil
}

// Dead reports whether a connection could not be given to the peer.
func (p *Peer) Dead() bool { return p.dead.Load() }
