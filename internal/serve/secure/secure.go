// Package secure ends TLS for the gate. It shakes hands on connections that were
// accepted. One of HTTP/1.1 over TLS 1.3 is then served by whoever has it, with the keys that
// were agreed on (package tlskeys); one of HTTP/2 is handed to who serves that. Of all others the
// plain bytes are relayed through a socket pair whose other end is served like any accepted connection. What waits on the way is bounded: a
// relay has one buffer for each direction, and stops reading where the other side takes
// nothing.
package secure

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/direct"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/wire"
	"github.com/andrestc/go-plugserver/internal/serve/tlskeys"
)

// Config is what a Server is given.
type Config struct {
	// Limit bounds a handshake; 0 is no limit, as in net/http.
	Limit time.Duration
	// Give takes the plain end of a connection, a descriptor in non-blocking mode,
	// over.
	Give func(fd int, remote, local net.Addr, state *tls.ConnectionState, hsts string)
	// GiveSealed, if set, takes over the client's own socket, where its records can be
	// opened and sealed by keys.
	GiveSealed func(fd int, remote, local net.Addr, state *tls.ConnectionState, hsts string, keys *tlskeys.Keys)
	// HTTP2, if set, takes over a connection that speaks HTTP/2, and closes it. What is
	// below it has HSTS.
	HTTP2 func(*tls.Conn)
	// Uses is told how many more descriptors are in use, or fewer (below 0).
	Uses func(n int)
	// Aside, if set, is told how many more connections are with nobody whom Give gives them, or
	// fewer (below 0).
	Aside func(n int)
	// Log gets what goes wrong with single connections.
	Log func(string)
}

// Server ends TLS. It has no certificates until it is told some.
type Server struct {
	cfg Config
	tls atomic.Pointer[inForce]

	mu     sync.Mutex // guards the rest
	relays map[*relay]bool
	late   bool // no sealed connection is given any more: its server is about to end
	closed bool
}

// inForce is what a connection goes by from its handshake on.
type inForce struct {
	*tls.Config
	hsts string
}

// New returns a Server.
func New(cfg Config) *Server {
	if cfg.Aside == nil {
		cfg.Aside = func(int) {}
	}
	s := &Server{cfg: cfg, relays: make(map[*relay]bool)}
	s.tls.Store(&inForce{&tls.Config{}, ""})
	return s
}

// Configure has every handshake from now on go by t. After an error all stays as it
// was.
func (s *Server) Configure(t *link.TLS) error {
	cfg, err := s.config(t)
	if err == nil {
		s.tls.Store(&inForce{cfg, t.HSTS})
	}
	return err
}

// Serve sees to an accepted connection, whose descriptor, in non-blocking mode, it takes
// over. It does not wait.
func (s *Server) Serve(fd int, remote, local net.Addr) {
	s.cfg.Uses(1)
	s.cfg.Aside(1)
	go func() {
		aside := 1
		defer func() { s.cfg.Uses(-1); s.cfg.Aside(-aside) }()
		file := os.NewFile(uintptr(fd), "connection")
		nc, err := net.FileConn(file)
		file.Close()
		if err != nil {
			s.cfg.Log(fmt.Sprintf("TLS connection of %v: %v", remote, err))
			return
		}
		defer nc.Close()
		by := s.tls.Load()
		raw := newClosing(nc, remote, local, by.hsts)
		r := &relay{raw: raw, secure: tls.Server(raw, by.Config)}
		if !s.own(r) {
			return
		}
		defer s.disown(r)
		if !s.handshake(r, remote) {
			return
		}
		state := r.secure.ConnectionState()
		given := func() { s.cfg.Aside(-aside); aside = 0 }
		switch {
		case state.NegotiatedProtocol == acmeTLS:
			r.secure.Close() // the handshake was the answer
		case state.NegotiatedProtocol == http2 && s.cfg.HTTP2 != nil:
			s.disown(r)
			raw.Over()
			s.cfg.HTTP2(r.secure)
			<-raw.closed // it has its descriptor until then
		default:
			if keys, ok := raw.Keys(state.CipherSuite); ok {
				s.give(r, remote, local, &state, keys)
				return
			}
			raw.Over()
			s.relay(r, remote, local, &state, given)
		}
	}()
}

// travels reports whether the connection of a client that says hello can be served by
// others than this process. Whether it will be is known later.
func (s *Server) travels(hello *tls.ClientHelloInfo) bool {
	return s.cfg.GiveSealed != nil && slices.Contains(hello.SupportedVersions, tls.VersionTLS13) &&
		(s.cfg.HTTP2 == nil || !slices.Contains(hello.SupportedProtos, http2))
}

// closing is a connection that tells when it is closed.
type closing struct {
	*tlskeys.Handshake
	hsts   string
	once   sync.Once
	closed chan struct{}
}

func newClosing(nc net.Conn, remote, local net.Addr, hsts string) *closing {
	ways := &ways{Conn: nc, remote: remote, local: local, in: direct.New(nc.(direct.Stream), false), out: direct.New(nc.(direct.Stream), true)}
	return &closing{Handshake: tlskeys.NewHandshake(ways), hsts: hsts, closed: make(chan struct{})}
}

// ways is a connection that the runtime is not told of being read and written. Its addresses are the
// client's, also where a proxy has said which.
type ways struct {
	net.Conn
	remote, local net.Addr
	in, out       *direct.Way
}

func (w *ways) Read(p []byte) (int, error)  { return w.in.Read(p) }
func (w *ways) Write(p []byte) (int, error) { return w.out.Write(p) }
func (w *ways) RemoteAddr() net.Addr        { return w.remote }
func (w *ways) LocalAddr() net.Addr         { return w.local }

// HSTS is the Strict-Transport-Security of answers over it; "" for none.
func (c *closing) HSTS() string { return c.hsts }

func (c *closing) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// handshake reports whether one came about. What a client gets that speaks no TLS is
// net/http's.
func (s *Server) handshake(r *relay, remote net.Addr) bool {
	if s.cfg.Limit > 0 {
		r.raw.SetDeadline(time.Now().Add(s.cfg.Limit))
	}
	err := r.secure.Handshake()
	if err == nil {
		r.raw.SetDeadline(time.Time{})
		return true
	}
	reason := err.Error()
	if re, ok := err.(tls.RecordHeaderError); ok && re.Conn != nil && looksLikeHTTP(re.RecordHeader) {
		io.WriteString(re.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
		reason = "client sent an HTTP request to an HTTPS server"
	}
	s.cfg.Log(fmt.Sprintf("http: TLS handshake error from %v: %s", remote, reason))
	return false
}

// looksLikeHTTP reports whether a TLS record header looks like it might have been a
// misdirected plaintext HTTP request (net/http).
func looksLikeHTTP(hdr [5]byte) bool {
	switch string(hdr[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}

// give gives the client's socket to be served, with its keys. It counts as another's from
// then on.
func (s *Server) give(r *relay, remote, local net.Addr, state *tls.ConnectionState, keys *tlskeys.Keys) {
	fd, err := wire.Dup(r.raw.Conn.(*ways).Conn.(syscall.Conn))
	if err != nil {
		s.cfg.Log(fmt.Sprintf("TLS connection of %v: %v", remote, err))
		r.secure.Close()
		return
	}
	s.mu.Lock()
	over := s.late || s.closed
	if !over {
		s.cfg.GiveSealed(fd, remote, local, state, r.raw.hsts, keys)
	}
	s.mu.Unlock()
	if over {
		syscall.Close(fd)
		r.secure.Close()
	}
}

// relay gives the plain end of r to be served, calls given, and returns once the connection is
// over.
func (s *Server) relay(r *relay, remote, local net.Addr, state *tls.ConnectionState, given func()) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		s.cfg.Log(fmt.Sprintf("TLS connection of %v: %v", remote, os.NewSyscallError("socketpair", err)))
		r.secure.Close()
		return
	}
	s.cfg.Uses(1)
	defer s.cfg.Uses(-1)
	plain := os.NewFile(uintptr(fds[0]), "relay")
	defer plain.Close()
	raw, err := plain.SyscallConn()
	if err != nil {
		syscall.Close(fds[1])
		return // there is none without a descriptor
	}
	s.mu.Lock()
	over := s.closed // Drain has closed all that there were: it would not see this one
	r.plain, r.answers, r.asks = plain, raw, direct.New(plain, true)
	r.passed()
	s.mu.Unlock()
	if over {
		syscall.Close(fds[1])
		r.secure.Close()
		return
	}
	s.cfg.Give(fds[1], remote, local, state, r.raw.hsts)
	given()
	r.run()
}

func (s *Server) own(r *relay) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.relays[r] = true
	}
	return !s.closed
}

func (s *Server) disown(r *relay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.relays, r)
}

const (
	// settling is how long a connection is quiet before it counts as one that a
	// handler has hijacked: what was answered is with the client by then.
	settling = 250 * time.Millisecond
	// shaking bounds the handshakes that are under way at the end.
	shaking = time.Second
)

// Shaken returns once no handshake is under way, or has taken too long for the end, or ctx
// is done. From then on no connection is given that is served by others. None comes any
// more.
func (s *Server) Shaken(ctx context.Context) {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for began := time.Now(); s.shaking() && time.Since(began) < shaking && ctx.Err() == nil; {
		<-look.C
	}
	s.mu.Lock()
	s.late = true
	s.mu.Unlock()
}

func (s *Server) shaking() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.relays {
		if r.plain == nil {
			return true
		}
	}
	return false
}

// Drain returns once what was answered is with the clients, or ctx is done, and closes
// what is left: at the end of the service that are connections that handlers have
// hijacked. No connection comes any more.
func (s *Server) Drain(ctx context.Context) {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	watched := watch{last: time.Now()}
	for {
		now := time.Now()
		if watched.awake(now) && !s.busy(now) {
			break
		}
		select {
		case <-look.C:
			continue
		case <-ctx.Done():
		}
		break
	}
	s.mu.Lock()
	s.closed = true
	var all sync.WaitGroup
	for r := range s.relays {
		plain := r.plain
		all.Add(1)
		go func() { defer all.Done(); r.cut(plain) }()
	}
	s.mu.Unlock()
	all.Wait()
}

// watch tells whether this process has run, so that nothing of what came meanwhile waits
// to be relayed: a clock runs on while it does not.
type watch struct {
	last time.Time // of the last look
	woke time.Time // when it had not run for a while
}

// awake reports whether the process has run for as long as what is quiet is watched.
func (w *watch) awake(now time.Time) bool {
	if now.Sub(w.last) > settling/2 {
		w.woke = now
	}
	w.last = now
	return now.Sub(w.woke) >= settling
}

// busy reports whether anything is on its way, or was a moment before now.
func (s *Server) busy(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.relays {
		if r.plain != nil && (r.owes.Load() || now.Sub(time.Unix(0, r.last.Load())) < settling) {
			return true
		}
	}
	return false
}
