package handover

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

func certificate(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

// Every field of a state that crypto/tls exports arrives. A field that a release of Go
// adds is found here.
func TestTLSState(t *testing.T) {
	a, b, root := certificate(t, "a"), certificate(t, "b"), certificate(t, "root")
	full := &tls.ConnectionState{
		Version: tls.VersionTLS12, HandshakeComplete: true, DidResume: true, CipherSuite: tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		NegotiatedProtocol: "http/1.1", ServerName: "example.com",
		PeerCertificates: []*x509.Certificate{a, b}, VerifiedChains: [][]*x509.Certificate{{a, b, root}, {a, root}},
		SignedCertificateTimestamps: [][]byte{{1}, {2, 3}}, OCSPResponse: []byte("ocsp"), TLSUnique: []byte("unique"), ECHAccepted: true,
	}
	v := reflect.ValueOf(full).Elem()
	for name, value := range map[string]any{fieldMutual: true, fieldCurve: tls.X25519, fieldRetried: true} {
		if f := v.FieldByName(name); f.IsValid() {
			f.Set(reflect.ValueOf(value))
		}
	}
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() && v.Field(i).IsZero() {
			t.Errorf("nobody has thought of %s", f.Name)
		}
	}
	for _, s := range []*tls.ConnectionState{{}, {Version: tls.VersionTLS13, HandshakeComplete: true}, full} {
		text := encodeState(s, "max-age=5")
		got, err := decodeState(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := got.ExportKeyingMaterial("label", nil, 8); err != errKeyingMaterial {
			t.Errorf("keying material: %v", err)
		}
		w := reflect.ValueOf(got).Elem()
		for i := range w.NumField() {
			f := w.Type().Field(i)
			if f.IsExported() && !reflect.DeepEqual(w.Field(i).Interface(), reflect.ValueOf(s).Elem().Field(i).Interface()) {
				t.Errorf("%s is %v", f.Name, w.Field(i).Interface())
			}
		}
		for n := range len(text) {
			if got, err := decodeState(text[:n]); err == nil {
				t.Fatalf("%d of %d bytes are %+v", n, len(text), got)
			}
		}
		if _, err := decodeState(text + "x"); err == nil {
			t.Error("a byte too many is taken")
		}
	}
}

// The state travels in a message, and a clear connection's has not a byte for it.
func TestTLSInMessage(t *testing.T) {
	m := message{history: history{begun: true, moves: 3}, stream: 300, wait: time.Second, remote: "1.2.3.4:5", local: "[::1]:443", bytes: []byte("rest")}
	clear := append(m.head(nil), m.bytes...)
	m.tls = encodeState(&tls.ConnectionState{Version: tls.VersionTLS13}, "")
	secured := append(m.head(nil), m.bytes...)
	if len(secured) != len(clear)+1+len(m.tls) || clear[0]&flagTLS != 0 || secured[0]&flagTLS == 0 {
		t.Errorf("clear %q, secured %q", clear, secured)
	}
	got, err := decode(secured)
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("%+v, %v", got, err)
	}
	for n := range len(secured) - len(m.bytes) {
		if _, err := decode(secured[:n]); err == nil {
			t.Errorf("%d of %d bytes are taken", n, len(secured))
		}
	}
}

// A connection that was taken over TLS is served like one that was accepted, and its
// handler sees the client's addresses and its own state of TLS.
func TestTake(t *testing.T) {
	seen := make(chan *tls.ConnectionState, 9)
	mux := http.NewServeMux()
	mux.HandleFunc("/b", func(w http.ResponseWriter, r *http.Request) {
		s := r.TLS
		if s == nil {
			seen <- s
		} else {
			was := *s
			seen <- &was
			s.ServerName = "changed" // it is this request's alone
		}
		io.WriteString(w, r.RemoteAddr+" "+r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
	})
	mux.Handle("/", Elsewhere)
	a, _, _ := newSides(t, Limits{}, func(s *side) {
		if s.name == "b" {
			s.srv.Mux = func() Mux { return mux }
		}
	})
	for _, raw := range []string{
		"GET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"GET /b HTTP/1.1\r\nHost: h\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
	} {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		client := &socket{fd: fds[1], remote: addr{"unix", "x"}, local: addr{"unix", "y"}}
		remote, local := &net.TCPAddr{IP: net.IPv4(1, 2, 3, 4), Port: 5}, &net.TCPAddr{IP: net.IPv4(9, 9, 9, 9), Port: 443}
		a.srv.Take(fds[0], remote, local, &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: "example.com"}, "max-age=5")
		io.WriteString(client, raw)
		got, err := io.ReadAll(client)
		client.Close()
		if err != nil || !strings.HasSuffix(string(got), "1.2.3.4:5 9.9.9.9:443") || strings.Count(string(got), "\r\nStrict-Transport-Security: max-age=5\r\n") != strings.Count(raw, "HTTP/1.1") {
			t.Errorf("%q: %q, %v", raw, got, err)
		}
		for range strings.Count(raw, "/b ") {
			if s := <-seen; s == nil || s.ServerName != "example.com" || !s.HandshakeComplete {
				t.Errorf("%q: the handler sees %+v", raw, s)
			}
		}
	}
}

// A client whose certificates no message has room for is refused at once.
func TestTakeTooLarge(t *testing.T) {
	a, _, _ := newSides(t, Limits{})
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	client := &socket{fd: fds[1], remote: addr{"unix", "x"}, local: addr{"unix", "y"}}
	defer client.Close()
	large := &x509.Certificate{Raw: make([]byte, maxState)}
	a.srv.Take(fds[0], client.remote, client.local, &tls.ConnectionState{PeerCertificates: []*x509.Certificate{large}}, "")
	if got, err := io.ReadAll(client); len(got) > 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if n := a.srv.Conns(); n != 0 {
		t.Errorf("%d connections are taken", n)
	}
}
