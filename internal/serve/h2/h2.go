// Package h2 serves HTTP/2 for the gate, by net/http's own server. Its connections stay
// with the gate; what a stream asks for goes elsewhere, by the handler.
//
// It needs what net/http has had since Go 1.24, so no cell imports it.
package h2

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Config is what a Server is given.
type Config struct {
	Handler     http.HandlerFunc
	ConnContext func(context.Context, net.Conn) context.Context
	// IdleTimeout and MaxHeaderBytes are http.Server's.
	IdleTimeout    time.Duration
	MaxHeaderBytes int
	Log            *log.Logger
}

// Server serves connections that speak HTTP/2.
type Server struct {
	cfg Config

	mu    sync.Mutex // guards the rest
	now   *serving
	older []*serving // is to end
	over  bool
}

// serving is one of net/http's servers.
type serving struct {
	http *http.Server
	feed feed
}

// New returns a Server.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg}
	s.now = s.begin()
	return s
}

func (s *Server) begin() *serving {
	var p http.Protocols
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	n := &serving{
		http: &http.Server{
			Handler: s.cfg.Handler, ConnContext: s.cfg.ConnContext, Protocols: &p,
			IdleTimeout: s.cfg.IdleTimeout, MaxHeaderBytes: s.cfg.MaxHeaderBytes, ErrorLog: s.cfg.Log,
		},
		feed: feed{ch: make(chan net.Conn), done: make(chan struct{})},
	}
	go n.http.Serve(&n.feed)
	return n
}

// Serve serves a connection, which is s's from then on: one in the clear that begins with
// HTTP/2's preface, or a *tls.Conn whose handshake has agreed on HTTP/2.
func (s *Server) Serve(nc net.Conn) {
	s.mu.Lock()
	n := s.now
	s.mu.Unlock()
	for !n.feed.put(nc) {
		s.mu.Lock()
		over := s.over
		n = s.now
		s.mu.Unlock()
		if over {
			nc.Close()
			return
		}
	}
}

// Part tells every client that its connection ends: requests that were begun are
// answered, others it has to send again (GOAWAY). Connections that come after it are
// served: whoever answers their requests ends them ("Connection: close").
func (s *Server) Part() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || len(s.older) > 0 {
		return
	}
	old := s.now
	s.older = append(s.older, old)
	s.now = s.begin()
	go old.http.Shutdown(context.Background())
}

// Shutdown ends s: it waits until all connections have ended, or ctx is done. Then
// what is left is closed.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Part()
	s.mu.Lock()
	s.over = true
	all := append(s.older, s.now)
	s.mu.Unlock()
	var err error
	for _, n := range all {
		err = errors.Join(err, n.http.Shutdown(ctx))
	}
	for _, n := range all {
		n.http.Close()
	}
	return err
}

// feed is the listener of net/http's server: what it is fed, it accepts.
type feed struct {
	ch   chan net.Conn
	done chan struct{} // closed by Close
	once sync.Once
}

// put reports false where the server is to end.
func (f *feed) put(nc net.Conn) bool {
	select {
	case f.ch <- nc:
		return true
	case <-f.done:
		return false
	}
}

// Accept implements net.Listener.
func (f *feed) Accept() (net.Conn, error) {
	select {
	case nc := <-f.ch:
		return nc, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (f *feed) Close() error {
	f.once.Do(func() { close(f.done) })
	return nil
}

// Addr implements net.Listener.
func (f *feed) Addr() net.Addr { return addr{} }

type addr struct{}

func (addr) Network() string { return "unix" }
func (addr) String() string  { return "h2" }
