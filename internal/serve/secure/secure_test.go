package secure

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
)

// wait bounds what has to happen.
const wait = 20 * time.Second

var serial atomic.Int64

// pairOf makes a certificate for the names.
func pairOf(t *testing.T, names ...string) link.Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial.Add(1)), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return link.Pair{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

// plain is a connection that was given to be served.
type plain struct {
	*net.UnixConn
	state *tls.ConnectionState
}

// world is a Server with a listener before it.
type world struct {
	*Server
	addr  string
	given chan plain
	uses  atomic.Int64
	aside atomic.Int64
	logs  chan string
	then  atomic.Pointer[func()] // called once descriptors are more than before
}

func newWorld(t *testing.T, limit time.Duration, cfg *link.TLS) *world {
	t.Helper()
	w := &world{given: make(chan plain, 9), logs: make(chan string, 99)}
	w.Server = New(Config{
		Limit: limit, Aside: func(n int) { w.aside.Add(int64(n)) }, Log: func(s string) { w.logs <- s },
		Uses: func(n int) {
			w.uses.Add(int64(n))
			if f := w.then.Load(); f != nil && n > 0 {
				(*f)()
			}
		},
		Give: func(fd int, _, _ net.Addr, state *tls.ConnectionState, hsts string) {
			f := os.NewFile(uintptr(fd), "plain")
			nc, err := net.FileConn(f)
			f.Close()
			if err != nil {
				t.Error(err)
				return
			}
			nc.SetDeadline(time.Now().Add(wait))
			w.given <- plain{nc.(*net.UnixConn), state}
		},
	})
	if cfg != nil {
		if err := w.Configure(cfg); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		w.Drain(ctx)
		for end := time.Now().Add(wait); w.uses.Load() != 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d descriptors are in use at the end", w.uses.Load())
			}
		}
		for end := time.Now().Add(wait); w.aside.Load() != 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d connections are with nobody at the end", w.aside.Load())
			}
		}
	})
	w.addr = listen(t, w.Server)
	return w
}

// listen gives s the descriptors of those who connect to addr, until the test ends.
func listen(t *testing.T, s *Server) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f, err := c.(*net.TCPConn).File()
			c.Close()
			if err != nil {
				t.Error(err)
				return
			}
			fd, err := syscall.Dup(int(f.Fd()))
			f.Close()
			if err == nil {
				err = syscall.SetNonblock(fd, true)
			}
			if err != nil {
				t.Error(err)
				return
			}
			s.Serve(fd, c.RemoteAddr(), c.LocalAddr())
		}
	}()
	return l.Addr().String()
}

func (w *world) dial(t *testing.T, cfg *tls.Config) *tls.Conn {
	t.Helper()
	if cfg == nil {
		cfg = &tls.Config{}
	}
	cfg.InsecureSkipVerify = true
	c, err := tls.Dial("tcp", w.addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(wait))
	t.Cleanup(func() { c.Close() })
	return c
}

// pair returns both ends of a connection.
func (w *world) pair(t *testing.T) (client *tls.Conn, server plain) {
	t.Helper()
	client = w.dial(t, nil)
	server = <-w.given
	t.Cleanup(func() { server.Close() })
	return client, server
}

// A client gets the certificate that is for the name that it asks for, else the first;
// another configuration holds from the next handshake on.
func TestCertificateByName(t *testing.T) {
	a, b, wild := pairOf(t, "a.example", "www.a.example"), pairOf(t, "b.example"), pairOf(t, "*.c.example")
	w := newWorld(t, wait, &link.TLS{Pairs: []link.Pair{a, b, wild}})
	for name, want := range map[string]string{
		"a.example": "a.example", "www.a.example": "a.example", "b.example": "b.example", "x.c.example": "*.c.example",
		"c.example": "a.example", "other.example": "a.example", "": "a.example", "B.EXAMPLE": "b.example",
	} {
		c := w.dial(t, &tls.Config{ServerName: name})
		if got := c.ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("%q gets the certificate of %s, want %s", name, got, want)
		}
		if s := <-w.given; !strings.EqualFold(s.state.ServerName, name) {
			t.Errorf("%q: the server sees %q", name, s.state.ServerName)
		}
	}
	if err := w.Configure(&link.TLS{Pairs: []link.Pair{{Certificate: a.Certificate, Key: b.Key}}}); err == nil {
		t.Error("a pair that does not belong together is taken")
	}
	if err := w.Configure(&link.TLS{Pairs: []link.Pair{b}, MinVersion: tls.VersionTLS13}); err != nil {
		t.Fatal(err)
	}
	if got := w.dial(t, &tls.Config{ServerName: "a.example"}).ConnectionState().PeerCertificates[0].Subject.CommonName; got != "b.example" {
		t.Errorf("the certificate of %s is in force", got)
	}
	if _, err := tls.Dial("tcp", w.addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 is spoken")
	}
	// HTTP/2 is not offered.
	if got := w.dial(t, &tls.Config{NextProtos: []string{"h2", "http/1.1"}}).ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("the protocol is %q", got)
	}
}

// A connection that comes out of its handshake while the others are closed at the end is
// closed like them, and given to nobody.
func TestDrainBehindAHandshake(t *testing.T) {
	w := newWorld(t, wait, &link.TLS{Pairs: []link.Pair{pairOf(t, "a.example")}})
	drained := make(chan struct{})
	calls := 0
	drain := func() {
		if calls++; calls == 2 { // the socket pair's, between handshake and relay
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			w.Drain(ctx)
			close(drained)
		}
	}
	w.then.Store(&drain)
	c := w.dial(t, nil)
	<-drained
	io.Copy(io.Discard, c) // until its end
	for end := time.Now().Add(wait); w.uses.Load() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the connection stays")
		}
	}
	if len(w.given) > 0 {
		t.Error("the connection is given to be served")
	}
}

// Without a pool of authorities crypto/tls would trust whom the system does.
func TestNobodySignsForClients(t *testing.T) {
	cfg, err := New(Config{}).config(&link.TLS{ClientAuth: int(tls.RequireAndVerifyClientCert)})
	if err != nil || cfg.ClientCAs == nil {
		t.Errorf("%+v, %v", cfg, err)
	}
	if _, err := New(Config{}).config(&link.TLS{ClientCAs: []byte("rubbish")}); err == nil {
		t.Error("rubbish is an authority")
	}
}

// Either side's end is the other's, and what goes the other way still arrives.
func TestHalfClose(t *testing.T) {
	w := newWorld(t, wait, &link.TLS{Pairs: []link.Pair{pairOf(t, "a.example")}})
	client, server := w.pair(t)
	io.WriteString(client, "ping")
	client.CloseWrite()
	if got, err := io.ReadAll(server); string(got) != "ping" || err != nil {
		t.Errorf("up: %q, %v", got, err)
	}
	io.WriteString(server, "pong")
	server.Close()
	if got, err := io.ReadAll(client); string(got) != "pong" || err != nil {
		t.Errorf("down: %q, %v", got, err)
	}

	client, server = w.pair(t)
	io.WriteString(server, "bye")
	server.CloseWrite()
	if got, err := io.ReadAll(client); string(got) != "bye" || err != nil {
		t.Errorf("down: %q, %v", got, err)
	}
	io.WriteString(client, "and more")
	buf := make([]byte, 8)
	if _, err := io.ReadFull(server, buf); string(buf) != "and more" || err != nil {
		t.Errorf("up, behind the end: %q, %v", buf, err)
	}
	server.Close()
	if err := closed(client.NetConn()); err != nil {
		t.Errorf("the connection stays: %v", err)
	}

	// A client that is gone is the end for the server, for good.
	client, server = w.pair(t)
	client.NetConn().(*net.TCPConn).SetLinger(0)
	client.NetConn().Close()
	if n, err := server.Read(buf); n != 0 || err == nil {
		t.Errorf("of a client that is gone: %d, %v", n, err)
	}
	for end := time.Now().Add(wait); ; time.Sleep(time.Millisecond) {
		if _, err := io.WriteString(server, "x"); err != nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a client that is gone takes all")
		}
	}
}

// closed waits for the end of the TCP connection.
func closed(nc net.Conn) error {
	nc.SetDeadline(time.Now().Add(wait))
	if _, err := io.Copy(io.Discard, nc); err != nil && !strings.Contains(err.Error(), "reset") {
		return err
	}
	return nil
}

// Much passes both ways at once, and who takes nothing stops who sends.
func TestNothingUnbounded(t *testing.T) {
	w := newWorld(t, wait, &link.TLS{Pairs: []link.Pair{pairOf(t, "a.example")}})
	client, server := w.pair(t)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	got := make(chan []byte, 2)
	go func() {
		client.Write(big)
		client.CloseWrite()
	}()
	go func() {
		server.Write(big)
		server.CloseWrite()
	}()
	for _, r := range []io.Reader{client, server} {
		go func() {
			all, _ := io.ReadAll(r)
			got <- all
		}()
	}
	for range 2 {
		if b := <-got; !bytes.Equal(b, big) {
			t.Errorf("%d of %d bytes came", len(b), len(big))
		}
	}
	deaf, dumb := w.pair(t)
	for _, from := range []net.Conn{deaf, dumb} {
		from.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := io.Copy(from, io.LimitReader(zeros{}, 1<<30)); err == nil || n > 64<<20 {
			t.Errorf("%T: %d bytes went to who reads nothing, %v", from, n, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A handshake that does not come about ends in time, and one in the clear by the words
// of net/http.
func TestHandshakes(t *testing.T) {
	w := newWorld(t, 100*time.Millisecond, &link.TLS{Pairs: []link.Pair{pairOf(t, "a.example")}})
	for _, tt := range []struct{ sent, want, log string }{
		{"", "", "i/o timeout"},
		{"\x16\x03\x01", "", "i/o timeout"},
		{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n", "client sent an HTTP request to an HTTPS server"},
		{"SSH-2.0-x\r\n", "", "first record does not look like a TLS handshake"},
	} {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(wait))
		io.WriteString(c, tt.sent)
		got, _ := io.ReadAll(c)
		if string(got) != tt.want && tt.want != "" {
			t.Errorf("%q: got %q, want %q", tt.sent, got, tt.want)
		}
		if log := <-w.logs; !strings.HasPrefix(log, "http: TLS handshake error from "+c.LocalAddr().String()) || !strings.Contains(log, tt.log) {
			t.Errorf("%q: logged %q", tt.sent, log)
		}
		c.Close()
	}
	none := newWorld(t, wait, nil)
	if _, err := tls.Dial("tcp", none.addr, &tls.Config{InsecureSkipVerify: true}); err == nil {
		t.Error("a handshake without a certificate")
	}
}

// Sessions go on with another server that has the keys of their tickets, and end where
// the keys are others.
func TestTickets(t *testing.T) {
	pair, old, fresh := pairOf(t, "a.example"), bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	cache := tls.NewLRUClientSessionCache(9)
	for _, tt := range []struct {
		keys    [][]byte
		resumed bool
	}{
		{[][]byte{old}, false}, {[][]byte{old}, true}, {[][]byte{fresh, old}, true}, {[][]byte{fresh}, true}, {[][]byte{old}, false},
	} {
		w := newWorld(t, wait, &link.TLS{Pairs: []link.Pair{pair}, Tickets: tt.keys})
		c := w.dial(t, &tls.Config{ServerName: "a.example", ClientSessionCache: cache})
		s := <-w.given
		io.WriteString(s, "x") // the ticket comes before it
		c.Read(make([]byte, 1))
		if got := c.ConnectionState().DidResume; got != tt.resumed || s.state.DidResume != got {
			t.Errorf("%q: resumed %t, %t, want %t", tt.keys, got, s.state.DidResume, tt.resumed)
		}
		s.Close()
	}
	if _, err := New(Config{}).config(&link.TLS{Tickets: [][]byte{{1}}}); err == nil {
		t.Error("a short key is taken")
	}
}

// A process that has not run for a while does not take that for quiet.
func TestWatch(t *testing.T) {
	began := time.Now()
	w := watch{last: began}
	for _, tt := range []struct {
		at   time.Duration
		want bool
	}{
		{0, true}, {10 * time.Millisecond, true}, {110 * time.Millisecond, true},
		{400 * time.Millisecond, false}, // it did not run
		{410 * time.Millisecond, false}, {500 * time.Millisecond, false}, {600 * time.Millisecond, false}, {650 * time.Millisecond, true},
		{time.Second, false},
	} {
		if got := w.awake(began.Add(tt.at)); got != tt.want {
			t.Errorf("at %v: %v, want %v", tt.at, got, tt.want)
		}
	}
}

// At the end what was answered reaches the client, and what is quiet is closed with
// close_notify.
func TestDrain(t *testing.T) {
	w := newWorld(t, wait, &link.TLS{Pairs: []link.Pair{pairOf(t, "a.example")}})
	client, server := w.pair(t)
	quiet, hijacked := w.pair(t)
	defer hijacked.Close()
	answer := bytes.Repeat([]byte("answer"), 1<<20)
	go func() {
		server.Write(answer)
		server.Close()
	}()
	got, begun := make(chan []byte), make(chan struct{})
	go func() {
		first := make([]byte, 1)
		io.ReadFull(client, first)
		close(begun)
		<-time.After(2 * settling) // it is a slow client
		all, _ := io.ReadAll(client)
		got <- append(first, all...)
	}()
	<-begun
	w.Drain(context.Background())
	if b := <-got; !bytes.Equal(b, answer) {
		t.Errorf("%d of %d bytes came", len(b), len(answer))
	}
	if n, err := quiet.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the quiet one: %d, %v", n, err)
	}
	if n, err := hijacked.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("its handler: %d, %v", n, err)
	}
}

// A handshake by which an authority asks whether a name is ours shows what proves it, and
// nothing of it is served; other clients notice nothing of it.
func TestChallengeByHandshake(t *testing.T) {
	a, proof := pairOf(t, "a.example"), pairOf(t, "proof")
	w := newWorld(t, wait, &link.TLS{
		Pairs: []link.Pair{a}, ClientAuth: int(tls.RequireAnyClientCert),
		Challenges: []link.Challenge{{Domain: "a.example", Pair: &proof}, {Domain: "b.example", Token: "in the clear"}},
	})
	asks := &tls.Config{ServerName: "A.example", NextProtos: []string{acmeTLS}, InsecureSkipVerify: true}
	c := w.dial(t, asks)
	if s := c.ConnectionState(); s.NegotiatedProtocol != acmeTLS || s.PeerCertificates[0].Subject.CommonName != "proof" {
		t.Errorf("%q by the certificate of %s", s.NegotiatedProtocol, s.PeerCertificates[0].Subject.CommonName)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection's end is %v", err)
	}
	for _, cfg := range []*tls.Config{
		{ServerName: "b.example", NextProtos: []string{acmeTLS}},
		{ServerName: "a.example", NextProtos: []string{acmeTLS, "other"}},
	} {
		cfg.InsecureSkipVerify = true
		if c, err := tls.Dial("tcp", w.addr, cfg); err == nil {
			t.Errorf("%q: %q is spoken", cfg.NextProtos, c.ConnectionState().NegotiatedProtocol)
		}
	}
	if err := w.Configure(&link.TLS{Pairs: []link.Pair{a}}); err != nil {
		t.Fatal(err)
	}
	if _, err := tls.Dial("tcp", w.addr, asks); err == nil {
		t.Error("it is answered once it is over")
	}
	if got := w.dial(t, &tls.Config{ServerName: "a.example", NextProtos: []string{"http/1.1"}}).ConnectionState().PeerCertificates[0].Subject.CommonName; got != "a.example" {
		t.Errorf("another client gets the certificate of %s", got)
	}
	if s := <-w.given; s.state.NegotiatedProtocol != "http/1.1" {
		t.Errorf("%q is served", s.state.NegotiatedProtocol)
	}
	select {
	case s := <-w.given:
		t.Errorf("%q is served", s.state.NegotiatedProtocol)
	default:
	}
}
