package secure

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/serve/tlskeys"
)

// rsaPair has what clients get that know of RSA alone.
func rsaPair(t *testing.T, name string) link.Pair {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
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

// serveOurs serves what comes out of our handshakes as far as a client can tell that it was
// let in: an answer in HTTP/1.1, the first frame of HTTP/2.
func serveOurs(t *testing.T, by *link.TLS) (addr string) {
	t.Helper()
	s := New(Config{
		Limit: wait, Uses: func(int) {}, Log: func(string) {},
		Give: func(fd int, _, _ net.Addr, _ *tls.ConnectionState, _ string) {
			f := os.NewFile(uintptr(fd), "plain")
			go func() {
				defer f.Close()
				f.Read(make([]byte, 1024))
				io.WriteString(f, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}()
		},
		GiveSealed: func(fd int, _, _ net.Addr, _ *tls.ConnectionState, _ string, keys *tlskeys.Keys) {
			c, err := sealedOf(fd, keys)
			if err != nil {
				t.Error(err)
				return
			}
			go func() {
				defer c.Close()
				c.Read(make([]byte, 1024))
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}()
		},
		HTTP2: func(c *tls.Conn) {
			defer c.Close()
			c.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}) // SETTINGS
			c.Read(make([]byte, 1024))
		},
	})
	if err := s.Configure(by); err != nil {
		t.Fatal(err)
	}
	return listen(t, s)
}

// serveTheirs is net/http's ListenAndServeTLS.
func serveTheirs(t *testing.T, by *link.TLS) (addr string) {
	t.Helper()
	cfg := &tls.Config{MinVersion: by.MinVersion, ClientAuth: tls.ClientAuthType(by.ClientAuth), ClientCAs: x509.NewCertPool()}
	cfg.ClientCAs.AppendCertsFromPEM(by.ClientCAs)
	for _, p := range by.Pairs {
		pair, err := tls.X509KeyPair(p.Certificate, p.Key)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Certificates = append(cfg.Certificates, pair)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{TLSConfig: cfg, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ReadHeaderTimeout: wait, ErrorLog: log.New(io.Discard, "", 0)}
	go srv.ServeTLS(l, "", "")
	t.Cleanup(func() { srv.Close() })
	return l.Addr().String()
}

// meet shakes hands as cfg says, and tells all that a client learns of the server.
func meet(addr string, cfg *tls.Config) string {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return err.Error()
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(wait))
	c := tls.Client(nc, cfg)
	if err := c.Handshake(); err != nil {
		return "handshake: " + kindOf(err)
	}
	s := c.ConnectionState()
	told := fmt.Sprintf("version %x, suite %x, curve %v, protocol %q, resumed %v, stapled %d, SCTs %d, ECH %v, certificates",
		s.Version, s.CipherSuite, s.CurveID, s.NegotiatedProtocol, s.DidResume, len(s.OCSPResponse), len(s.SignedCertificateTimestamps), s.ECHAccepted)
	for _, p := range s.PeerCertificates {
		told += fmt.Sprintf(" %v by %v", p.Subject, p.PublicKeyAlgorithm)
	}
	// What a server of TLS 1.3 thinks of a client's certificate comes later.
	if s.NegotiatedProtocol == http2 {
		io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	} else {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		return told + ", and then: " + kindOf(err)
	}
	return told
}

// kindOf leaves addresses out.
func kindOf(err error) string {
	if op, ok := err.(*net.OpError); ok {
		return op.Err.Error()
	}
	return err.Error()
}

type hello struct {
	name string
	cfg  *tls.Config
	any  bool // what a client's certificate does is the same with any of its kind
}

// hellos are those of clients that know one thing each, and of some that know much.
func hellos(client tls.Certificate) (all []hello) {
	add := func(name string, cfg *tls.Config) {
		cfg.InsecureSkipVerify = true
		if cfg.ServerName == "" {
			cfg.ServerName = "a.example"
		}
		kind, _, _ := strings.Cut(name, " ")
		all = append(all, hello{name, cfg, slices.Contains([]string{"suite", "curve", "ALPN", "name"}, kind)})
	}
	for v := uint16(tls.VersionTLS10 - 1); v <= tls.VersionTLS13; v++ {
		add("alone "+tls.VersionName(v), &tls.Config{MinVersion: v, MaxVersion: v})
		add("up to "+tls.VersionName(v), &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: v})
	}
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		add("suite "+s.Name, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{s.ID}})
	}
	for _, c := range []tls.CurveID{tls.CurveP256, tls.CurveP384, tls.CurveP521, tls.X25519, tls.X25519MLKEM768, 99} {
		add("curve "+c.String(), &tls.Config{CurvePreferences: []tls.CurveID{c}})
		add("curve of TLS 1.2 "+c.String(), &tls.Config{CurvePreferences: []tls.CurveID{c}, MaxVersion: tls.VersionTLS12})
	}
	for _, p := range [][]string{nil, {"h2"}, {"http/1.1"}, {"h2", "http/1.1"}, {"http/1.1", "h2"}, {"http/1.0"}, {"h3"}, {"acme-tls/1"}, {"x", "http/1.1"}} {
		add(fmt.Sprintf("ALPN %q", p), &tls.Config{NextProtos: p})
		add(fmt.Sprintf("ALPN of TLS 1.2 %q", p), &tls.Config{NextProtos: p, MaxVersion: tls.VersionTLS12})
	}
	for _, n := range []string{"a.example", "A.EXAMPLE", "a.example.", "b.example", "x.c.example", "c.example", "y.x.c.example", "nobody.example", "127.0.0.1", "::1"} {
		add("name "+n, &tls.Config{ServerName: n})
	}
	for _, max := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		add("certificate, "+tls.VersionName(max), &tls.Config{MaxVersion: max, Certificates: []tls.Certificate{client}})
		add("resumed, "+tls.VersionName(max), &tls.Config{MaxVersion: max, ClientSessionCache: tls.NewLRUClientSessionCache(9)})
		add("resumed with a certificate, "+tls.VersionName(max), &tls.Config{MaxVersion: max, ClientSessionCache: tls.NewLRUClientSessionCache(9), Certificates: []tls.Certificate{client}})
	}
	add("no tickets", &tls.Config{SessionTicketsDisabled: true})
	return all
}

// What is offered is what net/http's server offers with the same certificates, whatever the
// client knows: versions, cipher suites, curves, protocols, names, client certificates,
// sessions; and what is no hello gets the same alert.
func TestHellosAreAnsweredAsNetHTTPDoes(t *testing.T) {
	a, b, wild, client := pairOf(t, "a.example"), pairOf(t, "b.example"), pairOf(t, "*.c.example"), pairOf(t, "client.example")
	pairs := []link.Pair{a, rsaPair(t, "a.example"), b, wild}
	mine, err := tls.X509KeyPair(client.Certificate, client.Key)
	if err != nil {
		t.Fatal(err)
	}
	for name, by := range map[string]*link.TLS{
		"defaults":           {Pairs: pairs},
		"one certificate":    {Pairs: pairs[:1]},
		"TLS 1.0 and later":  {Pairs: pairs, MinVersion: tls.VersionTLS10},
		"TLS 1.3":            {Pairs: pairs, MinVersion: tls.VersionTLS13},
		"certificate wanted": {Pairs: pairs, ClientAuth: int(tls.RequireAndVerifyClientCert), ClientCAs: client.Certificate},
		"of another":         {Pairs: pairs, ClientAuth: int(tls.RequireAndVerifyClientCert), ClientCAs: b.Certificate},
		"any certificate":    {Pairs: pairs, ClientAuth: int(tls.RequireAnyClientCert)},
		"if given":           {Pairs: pairs, ClientAuth: int(tls.VerifyClientCertIfGiven), ClientCAs: b.Certificate},
		"asked for":          {Pairs: pairs, ClientAuth: int(tls.RequestClientCert)},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := serveOurs(t, by), serveTheirs(t, by)
			for _, h := range hellos(mine) {
				if !slices.Contains([]string{"defaults", "TLS 1.0 and later"}, name) && h.any {
					continue
				}
				one, other := h.cfg.Clone(), h.cfg.Clone()
				if h.cfg.ClientSessionCache != nil {
					other.ClientSessionCache = tls.NewLRUClientSessionCache(9)
				}
				for n := range 2 { // the second may be resumed
					if got, want := meet(ours, one), meet(theirs, other); got != want {
						t.Errorf("%s, connection %d:\n got %s\nwant %s", h.name, n+1, got, want)
					}
				}
			}
			for name, raw := range rawHellos(t) {
				if got, want := answerTo(t, ours, raw), answerTo(t, theirs, raw); !bytes.Equal(got, want) {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}

// rawHellos are what no client of crypto/tls says.
func rawHellos(t *testing.T) map[string][]byte {
	t.Helper()
	client, server := net.Pipe()
	go tls.Client(client, &tls.Config{ServerName: "a.example", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS12}).Handshake()
	sent := make([]byte, 4096)
	n, err := server.Read(sent)
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	sent = sent[:n]
	at := 5 + 4 + 2 + 32
	at += 1 + int(sent[at])
	at += 2 + int(sent[at])<<8 + int(sent[at+1]) // the compression methods
	with := func(change func(b []byte)) []byte { b := bytes.Clone(sent); change(b); return b }
	return map[string][]byte{
		"HTTP":                         []byte("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
		"HTTP by another method":       []byte("DELETE / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
		"SSH":                          []byte("SSH-2.0-OpenSSH_9.2\r\n"),
		"SSLv2":                        []byte("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80\x02\x00\x80\x03\x00\x80\x04\x00\x80\x05\x00\x80\x06\x00\x40\x07\x00\xc00123456789abcdef"),
		"a hello that is marked SSLv3": with(func(b []byte) { b[9], b[10] = 3, 0 }),
		"compression alone":            with(func(b []byte) { b[at+1] = 1 }),
		"a heartbeat":                  []byte("\x18\x03\x02\x00\x03\x01\x40\x00"),
		"an alert":                     []byte("\x15\x03\x01\x00\x02\x02\x28"),
		"ChangeCipherSpec":             []byte("\x14\x03\x01\x00\x01\x01"),
		"application data":             []byte("\x17\x03\x03\x00\x01x"),
		"an empty record":              []byte("\x16\x03\x01\x00\x00"),
		"a large record":               append([]byte("\x16\x03\x01\x50\x00"), make([]byte, 0x5000)...),
		"an unknown record":            []byte("\x63\x03\x01\x00\x01x"),
		"a hello that is cut":          sent[:len(sent)/2],
	}
}

// answerTo is what a server says to raw, until either has ended, but for what is random.
func answerTo(t *testing.T, addr string, raw []byte) []byte {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(wait))
	nc.Write(raw)
	nc.(*net.TCPConn).CloseWrite()
	got, _ := io.ReadAll(nc) // also reset, where bytes of ours were not read
	if len(got) > 80 && got[0] == 0x16 && got[5] == 2 {
		// A ServerHello: its version, cipher suite and compression are not random.
		suite := 43 + 1 + int(got[43])
		return append(bytes.Clone(got[9:11]), got[suite:suite+3]...)
	}
	return got
}
