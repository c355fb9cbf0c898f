package tls13

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/tlskeys"
)

// wait bounds what has to happen.
const wait = 20 * time.Second

var certificate = func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"a.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}()

// tcp returns both ends of a TCP connection.
func tcp(t testing.TB) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	for _, nc := range []net.Conn{c, s} {
		nc.SetDeadline(time.Now().Add(wait))
	}
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// secrets is a client's key log.
type secrets map[string][]byte

func (s secrets) Write(line []byte) (int, error) {
	f := strings.Fields(string(line))
	s[f[0]], _ = hex.DecodeString(f[2])
	return len(line), nil
}

// shaken returns both ends of a connection behind its handshake: the client's and the
// server's by crypto/tls, and the handshake that the server's was over.
func shaken(t testing.TB, cfg *tls.Config, log io.Writer) (client, server *tls.Conn, h *tlskeys.Handshake) {
	t.Helper()
	c, s := tcp(t)
	h = tlskeys.NewHandshake(s)
	cfg = cfg.Clone()
	cfg.Certificates, cfg.KeyLogWriter = []tls.Certificate{certificate}, h.KeyLog()
	client = tls.Client(c, &tls.Config{InsecureSkipVerify: true, KeyLogWriter: log, ClientSessionCache: tls.NewLRUClientSessionCache(1), ServerName: "a.example", Certificates: []tls.Certificate{certificate}})
	server = tls.Server(h, cfg)
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return client, server, h
}

// moved returns what goes on with the connection, in the state that s tells, as another
// process would.
func moved(t testing.TB, nc net.Conn, s *State) *Conn {
	t.Helper()
	s, err := Decode(s.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(nc.(Transport), s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pair returns both ends of a connection, of which ours is the server's.
func pair(t testing.TB, cfg *tls.Config) (client *tls.Conn, server *Conn) {
	t.Helper()
	client, theirs, h := shaken(t, cfg, nil)
	k, ok := h.Keys(theirs.ConnectionState().CipherSuite)
	if !ok {
		t.Fatal("no keys")
	}
	return client, moved(t, h.Conn, Begin(k))
}

// again has another process go on with the connection.
func again(t testing.TB, c *Conn) *Conn {
	t.Helper()
	s, err := c.State()
	if err != nil {
		t.Fatal(err)
	}
	return moved(t, c.Transport, s)
}

// Each side reads what the other has written, whatever the kind of handshake, and however
// often the connection moves on the way.
func TestBothWays(t *testing.T) {
	for name, cfg := range map[string]*tls.Config{
		"plain":              {},
		"no tickets":         {SessionTicketsDisabled: true},
		"client certificate": {ClientAuth: tls.RequireAnyClientCert},
		"another curve":      {CurvePreferences: []tls.CurveID{tls.CurveP384}},
		"HelloRetryRequest":  {CurvePreferences: []tls.CurveID{tls.CurveP521}},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t, cfg)
			for i, size := range []int{1, 2, 1000, 1186, 1187, 40_000, 1, 16384, 16385, 300_000, 20} {
				up, down := bytes.Repeat([]byte{byte('a' + i)}, size), bytes.Repeat([]byte{byte('A' + i)}, size)
				go client.Write(up)
				if got := full(t, server, size); !bytes.Equal(got, up) {
					t.Fatalf("up: %d bytes are others", size)
				}
				written := make(chan struct{})
				go func() { server.Write(down); close(written) }()
				if got := full(t, client, size); !bytes.Equal(got, down) {
					t.Fatalf("down: %d bytes are others", size)
				}
				<-written
				server = again(t, server)
			}
		})
	}
}

func full(t testing.TB, r io.Reader, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if k, err := io.ReadFull(r, b); err != nil {
		t.Fatalf("%d of %d bytes: %v", k, n, err)
	}
	return b
}

// What was read and is nobody's yet, opened or not, goes along with the connection.
func TestReadAheadMoves(t *testing.T) {
	client, server := pair(t, &tls.Config{})
	const text = "0123456789"
	for range 3 {
		io.WriteString(client, text) // a record each
	}
	time.Sleep(10 * time.Millisecond) // most often they are read at once
	got := ""
	for range 3 * len(text) / 3 {
		got += string(full(t, server, 3))
		server = again(t, server)
	}
	if got != strings.Repeat(text, 3) {
		t.Errorf("%q", got)
	}
}

// What comes with the last of the handshake is not crypto/tls's.
func TestDataBehindTheHandshake(t *testing.T) {
	c, s := tcp(t)
	// The client's Finished and its first data leave in one segment.
	gather := &gathering{Conn: c}
	client := tls.Client(gather, &tls.Config{InsecureSkipVerify: true})
	h := tlskeys.NewHandshake(s)
	server := tls.Server(h, &tls.Config{Certificates: []tls.Certificate{certificate}, KeyLogWriter: h.KeyLog()})
	go func() {
		client.Handshake()
		io.WriteString(client, "one")
		io.WriteString(client, "two")
		client.CloseWrite()
		gather.flush()
	}()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	k, ok := h.Keys(server.ConnectionState().CipherSuite)
	if !ok || len(k.Ahead) == 0 {
		t.Fatal("nothing was read ahead")
	}
	ours := moved(t, s, Begin(k))
	if got, err := io.ReadAll(ours); string(got) != "onetwo" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// gathering holds back all that is written behind the first record.
type gathering struct {
	net.Conn
	hello bool
	held  []byte
}

func (g *gathering) Write(p []byte) (int, error) {
	if !g.hello {
		g.hello = true
		return g.Conn.Write(p)
	}
	g.held = append(g.held, p...)
	return len(p), nil
}

func (g *gathering) flush() {
	g.SetWriteDeadline(time.Time{}) // crypto/tls has set one
	g.Conn.Write(g.held)
}

// Where crypto/tls goes on, it gets all that was read.
func TestHandshakeOver(t *testing.T) {
	client, server, h := shaken(t, &tls.Config{}, nil)
	h.Over()
	text := strings.Repeat("x", 100_000)
	go io.WriteString(client, text)
	if got := full(t, server, len(text)); string(got) != text {
		t.Error("other bytes")
	}
	go io.WriteString(server, text)
	if got := full(t, client, len(text)); string(got) != text {
		t.Error("other bytes")
	}
}

// A cipher suite that is not known here is crypto/tls's to go on with.
func TestForeignSuite(t *testing.T) {
	_, _, h := shaken(t, &tls.Config{}, nil)
	for _, id := range []uint16{tls.TLS_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, 0} {
		if _, ok := h.Keys(id); ok {
			t.Errorf("%s is known", tls.CipherSuiteName(id))
		}
	}
	_, server, h := shaken(t, &tls.Config{MaxVersion: tls.VersionTLS12}, nil)
	if _, ok := h.Keys(server.ConnectionState().CipherSuite); ok {
		t.Error("a connection of TLS 1.2 has a state")
	}
}

// suites are those of AES-GCM: crypto/tls prefers the first of them whatever a client says.
var suites = []*tlskeys.Suite{tlskeys.SuiteOf(tls.TLS_AES_128_GCM_SHA256), tlskeys.SuiteOf(tls.TLS_AES_256_GCM_SHA384)}

// So both are played by two of ours.
func TestSuites(t *testing.T) {
	for _, s := range suites {
		up, down := bytes.Repeat([]byte{1}, s.Size), bytes.Repeat([]byte{2}, s.Size)
		c, nc := tcp(t)
		server := moved(t, nc, &State{suite: s, in: side{up, 3}, out: side{down, 4}})
		client := moved(t, c, &State{suite: s, in: side{down, 4}, out: side{up, 3}})
		for _, way := range [][2]*Conn{{client, server}, {server, client}, {client, server}} {
			way[0].updateDue.Store(true)
			go io.WriteString(way[0], "text")
			if got := full(t, way[1], 4); string(got) != "text" {
				t.Errorf("suite %x: %q", s.ID, got)
			}
		}
	}
}

// The end that either side tells is the other's, and what goes the other way still
// arrives; it is so in another process, too.
func TestHalfClose(t *testing.T) {
	client, server := pair(t, &tls.Config{})
	io.WriteString(client, "ping")
	client.CloseWrite()
	if got, err := io.ReadAll(server); string(got) != "ping" || err != nil {
		t.Errorf("up: %q, %v", got, err)
	}
	server = again(t, server)
	if _, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("behind the end, in another process: %v", err)
	}
	io.WriteString(server, "pong")
	if err := server.CloseWrite(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(client); string(got) != "pong" || err != nil {
		t.Errorf("down: %q, %v", got, err)
	}
	if _, err := server.Write([]byte("x")); err == nil || err.Error() != "tls: protocol is shutdown" {
		t.Errorf("behind its own end it writes: %v", err)
	}
	if _, err := server.State(); err == nil {
		t.Error("it can go on elsewhere")
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := server.Close(); err != net.ErrClosed {
		t.Errorf("it is closed twice: %v", err)
	}

	client, server = pair(t, &tls.Config{})
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client reads %v, want EOF", err)
	}
	if _, err := server.Write([]byte("x")); err != net.ErrClosed {
		t.Errorf("once closed it writes: %v", err)
	}

	client, server = pair(t, &tls.Config{})
	server.Drop()
	if _, err := client.Read(make([]byte, 1)); err != io.EOF && err != io.ErrUnexpectedEOF {
		t.Errorf("the client reads %v", err)
	}
}

// Deadlines are those of the transport. One of a Read is over with it, one of a Write ends
// the connection, as with crypto/tls.
func TestDeadlines(t *testing.T) {
	client, server := pair(t, &tls.Config{})
	server.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || !strings.HasPrefix(err.Error(), "read tcp "+server.LocalAddr().String()) {
		t.Errorf("read: %v", err)
	}
	if err := server.Await(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("await: %v", err)
	}
	if _, err := server.TryRead(make([]byte, 1)); err != syscall.EAGAIN {
		t.Errorf("try: %v", err)
	}
	io.WriteString(client, "xy")
	for end := time.Now().Add(wait); server.TryAwait() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing comes")
		}
	}
	if n, err := server.TryRead(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("whatever the deadline: %d, %v", n, err)
	}
	server.SetReadDeadline(time.Time{})
	if got := full(t, server, 1); string(got) != "y" {
		t.Errorf("%q", got)
	}

	server.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	_, err := io.Copy(struct{ io.Writer }{server}, zeros{})
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v", err)
	}
	server.SetWriteDeadline(time.Time{})
	if _, again := server.Write([]byte("x")); again != err {
		t.Errorf("once more: %v", again)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Who writes what the transport takes at once goes on later with what is left, and no
// byte comes twice or is missing.
func TestTryWrite(t *testing.T) {
	client, server := pair(t, &tls.Config{})
	text := make([]byte, 8<<20)
	rand.Read(text)
	got := make(chan []byte, 1)
	rest, short := text, 0
	for len(rest) > 0 && short < 5 {
		n, err := server.TryWrite(rest[:min(len(rest), 100_000)])
		if err != nil {
			t.Fatal(err)
		}
		if n < min(len(rest), 100_000) {
			if short++; short == 2 {
				if _, err := server.State(); err == nil {
					t.Error("what the client has not taken is forgotten")
				}
				if server.TryCloseNotify() {
					t.Error("a client that takes nothing is told")
				}
				server.closeSent, server.closeErr = false, nil // it is not meant
				server.pending = server.pending[:len(server.pending)-tlskeys.HeadSize-2-tlskeys.Overhead]
				server.out.Seq--
			}
		}
		rest = rest[n:]
	}
	if short < 5 {
		t.Fatal("the transport has taken all")
	}
	go func() {
		b := make([]byte, len(text))
		io.ReadFull(client, b)
		got <- b
	}()
	for len(rest) > 0 {
		n, err := server.Write(rest[:min(len(rest), 100_000)])
		if err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
		if n, err = server.TryWrite(rest[:min(len(rest), 5000)]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if b := <-got; !bytes.Equal(b, text) {
		t.Error("other bytes came")
	}
}

// A client that takes nothing is told of the end as soon as it does.
func TestNotifyWaits(t *testing.T) {
	client, server := pair(t, &tls.Config{})
	var sent int
	for {
		n, err := server.TryWrite(make([]byte, 1000))
		if err != nil {
			t.Fatal(err)
		}
		if sent += n; n < 1000 {
			break
		}
	}
	n, done := 0, make(chan error)
	if server.TryCloseNotify() {
		t.Fatal("a client that takes nothing is told")
	}
	go func() { done <- server.CloseWrite() }()
	for {
		k, err := client.Read(make([]byte, 1<<16))
		if n += k; err != nil {
			if err != io.EOF {
				t.Error(err)
			}
			break
		}
	}
	if n != sent+1 || <-done != nil { // the byte that was withheld
		t.Errorf("%d bytes of %d", n, sent)
	}
}

// The sizes of records are crypto/tls's.
func TestRecordSizes(t *testing.T) {
	sizes := func(ours bool) (all []int) {
		r, server := rawPair(t, ours)
		go func() {
			for _, n := range []int{1, 5000, 0, 100_000, 20_000, 50_000, 1} {
				server.Write(make([]byte, n))
			}
			server.Close()
		}()
		for {
			head := make([]byte, tlskeys.HeadSize)
			if _, err := io.ReadFull(r.nc, head); err != nil {
				return all
			}
			n := int(head[3])<<8 | int(head[4])
			all = append(all, n)
			io.CopyN(io.Discard, r.nc, int64(n))
		}
	}
	if ours, theirs := fmt.Sprint(sizes(true)), fmt.Sprint(sizes(false)); ours != theirs {
		t.Errorf("ours %s, crypto/tls's %s", ours, theirs)
	}
}

// Keys are used for so many records, and then others, in both processes that know them.
func TestKeysWear(t *testing.T) {
	client, server := pair(t, &tls.Config{})
	io.WriteString(server, "x")
	full(t, client, 1)
	before := server.out.Secret
	c := again(t, server)
	c.out.Ready(c.suite)
	c.out.Seq = maxRecords
	if c.refresh(nil); bytes.Equal(c.out.Secret, before) || c.out.Seq != 0 {
		t.Error("the keys are the same")
	}
}

// What a process says of a connection is taken where it can be true alone.
func TestDecode(t *testing.T) {
	good := func() *State {
		return &State{
			suite: suites[1], in: side{make([]byte, 48), 7}, out: side{make([]byte, 48), 300}, flags: flagAll, useless: 3, packets: 5, sent: 1 << 40,
			hand: []byte{24}, data: []byte("data"), ahead: []byte("ahead"),
		}
	}
	text := good().Append(nil)
	s, err := Decode(text)
	if err != nil || !bytes.Equal(s.Append(nil), text) {
		t.Errorf("%+v, %v", s, err)
	}
	for n := range len(text) {
		if _, err := Decode(text[:n]); err == nil {
			t.Errorf("%d of %d bytes are taken", n, len(text))
		}
	}
	if _, err := Decode(append(text, 0)); err == nil {
		t.Error("a byte too many is taken")
	}
	for name, change := range map[string]func(s *State){
		"a flag":              func(s *State) { s.flags = 1 << 7 },
		"useless records":     func(s *State) { s.useless = maxUseless + 1 },
		"a sequence":          func(s *State) { s.out.seq = maxSeq + 1 },
		"data":                func(s *State) { s.data = make([]byte, maxPlaintext+1) },
		"what was read ahead": func(s *State) { s.ahead = make([]byte, maxRecord+1) },
		"a message":           func(s *State) { s.hand = make([]byte, maxHand+1) },
		"a suite":             func(s *State) { s.suite = &tlskeys.Suite{ID: tls.TLS_CHACHA20_POLY1305_SHA256} },
	} {
		s := good()
		change(s)
		if _, err := Decode(s.Append(nil)); err == nil {
			t.Errorf("%s that cannot be is taken", name)
		}
	}
	most := good()
	most.data, most.ahead = make([]byte, maxPlaintext), make([]byte, maxRecord)
	if b := most.Append(nil); len(b) > MaxState {
		t.Errorf("%d bytes", len(b))
	}
}
