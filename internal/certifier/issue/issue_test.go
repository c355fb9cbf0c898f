package issue

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/wire"
	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testbed.CleanUp()
	os.Exit(code)
}

// answering answers challenges as the gate does.
type answering struct {
	clear *httptest.Server
	tls   net.Listener

	mu    sync.Mutex
	open  []link.Challenge
	asked []string // how it was
}

func newAnswering(t *testing.T) *answering {
	t.Helper()
	a := &answering{}
	a.clear = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, c := range a.open {
			if c.Token != "" && r.URL.Path == "/.well-known/acme-challenge/"+c.Token {
				a.asked = append(a.asked, "in the clear")
				io.WriteString(w, c.Answer)
				return
			}
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(a.clear.Close)
	var err error
	a.tls, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{NextProtos: []string{"acme-tls/1"}, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, c := range a.open {
			if c.Pair != nil && c.Domain == h.ServerName {
				a.asked = append(a.asked, "by a handshake")
				pair, err := tls.X509KeyPair(c.Pair.Certificate, c.Pair.Key)
				return &pair, err
			}
		}
		return nil, io.EOF
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.tls.Close() })
	go func() {
		for {
			c, err := a.tls.Accept()
			if err != nil {
				return
			}
			go func() { c.(*tls.Conn).Handshake(); c.Close() }()
		}
	}()
	return a
}

// run runs a certifier in this process, under a supervisor that has its challenges answered, and
// returns what it tells of certificates.
func run(t *testing.T, a *answering, cfg link.ACME) <-chan link.Message {
	t.Helper()
	ours, theirs, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	supervisor, err := link.New(ours)
	if err != nil {
		t.Fatal(err)
	}
	lc, err := link.New(theirs)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() { Run(lc) })
	told := make(chan link.Message, 99)
	all.Go(func() {
		for {
			m, err := supervisor.Recv()
			if err != nil {
				return
			}
			switch m.Kind {
			case link.Asked:
				a.mu.Lock()
				a.open = m.Challenges
				a.mu.Unlock()
				supervisor.Send(link.Message{Kind: link.Answers, Seq: m.Seq})
			case link.Certified:
				told <- m
			case link.Log:
				t.Log(m.Text)
			}
		}
	})
	t.Cleanup(func() { supervisor.Close(); all.Wait() })
	supervisor.Send(link.Message{Kind: link.Certify, ACME: &cfg})
	return told
}

// next is the next that is told.
func next(t *testing.T, told <-chan link.Message) link.Message {
	t.Helper()
	select {
	case m := <-told:
		return m
	case <-time.After(testbed.Patience):
		t.Fatal("nothing is told")
		panic("unreached")
	}
}

// pebble starts an ACME server, which this process trusts.
func pebble(t *testing.T, cfg testbed.PebbleConfig) *testbed.Pebble {
	t.Helper()
	testbed.NeedPebble(t)
	p := testbed.NewPebble(t, cfg)
	t.Setenv("SSL_CERT_FILE", p.CAFile) // is read once
	p.Start()
	return p
}

// live is the certificate that is published, and all that its file has.
func live(t *testing.T, cfg link.ACME, domain string) (*x509.Certificate, []byte) {
	t.Helper()
	text, err := os.ReadFile(link.LivePath(cfg.Dir, domain))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf, text
}

// A certificate comes by either kind of challenge, where the other finds nobody, and is
// there at the next start. What a crash has left half written is obtained anew.
func TestObtain(t *testing.T) {
	for _, how := range []string{"in the clear", "by a handshake"} {
		t.Run(how, func(t *testing.T) {
			a := newAnswering(t)
			pc := testbed.PebbleConfig{Lasts: time.Hour, TLS: a.tls.Addr().String()}
			if how == "in the clear" {
				pc = testbed.PebbleConfig{Lasts: time.Hour, HTTP: a.clear.Listener.Addr().String()}
			}
			p := pebble(t, pc)
			cfg := link.ACME{Dir: t.TempDir(), Directory: p.Directory, Domains: []string{"a.example"}, Email: "me@a.example", InTheClear: true}
			if m := next(t, run(t, a, cfg)); m.Name != "a.example" || m.Text != "obtained" || m.Refusal != nil {
				t.Fatalf("%+v, %v", m, m.Refusal)
			}
			first, text := live(t, cfg, "a.example")
			if _, err := first.Verify(x509.VerifyOptions{DNSName: "a.example", Roots: p.Roots(), Intermediates: rest(t, text)}); err != nil {
				t.Error(err)
			}
			if a.asked[len(a.asked)-1] != how {
				t.Errorf("the authority has asked %q", a.asked)
			}
			if err := os.Remove(link.LivePath(cfg.Dir, "a.example")); err != nil {
				t.Fatal(err)
			}
			if m := next(t, run(t, a, cfg)); m.Text != "" || m.Refusal != nil {
				t.Errorf("the second start: %+v, %v", m, m.Refusal)
			}
			if again, _ := live(t, cfg, "a.example"); !again.Equal(first) {
				t.Error("the second start has another certificate")
			}
			keys, err := filepath.Glob(filepath.Join(cfg.Dir, "certificates/*/a.example/a.example.key"))
			if err != nil || len(keys) != 1 {
				t.Fatal(keys, err)
			}
			if err := os.WriteFile(keys[0], nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if m := next(t, run(t, a, cfg)); m.Text != "obtained" || m.Refusal != nil {
				t.Errorf("the key was lost: %+v, %v", m, m.Refusal)
			}
		})
	}
}

// rest are the certificates behind the first.
func rest(t *testing.T, text []byte) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%q", text)
	}
	return pool
}

// Certificates are renewed, each time with a key of its own, and the account is made anew
// where the authority has lost it.
func TestRenew(t *testing.T) {
	a := newAnswering(t)
	p := pebble(t, testbed.PebbleConfig{Lasts: 6 * time.Second, TLS: a.tls.Addr().String()})
	cfg := link.ACME{Dir: t.TempDir(), Directory: p.Directory, Domains: []string{"a.example", "b.example"}}
	told := run(t, a, cfg)
	leaves := make(map[string]*x509.Certificate)
	for renewed, restarted := 0, false; renewed < 3; {
		m := next(t, told)
		switch {
		case m.Refusal != nil:
			if !restarted || !strings.Contains(m.Refusal.Reason, "cannot be reached") {
				t.Fatal(m.Refusal)
			}
		case m.Text != "":
			leaf, _ := live(t, cfg, m.Name)
			if last := leaves[m.Name]; last != nil {
				renewed++
				if m.Text != "renewed" || last.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(leaf.PublicKey) {
					t.Errorf("%s %s, by the same key or not", m.Name, m.Text)
				}
			}
			leaves[m.Name] = leaf
			if len(leaves) == 2 && !restarted {
				p.Stop()
				p.Start()
				restarted = true
			}
		}
	}
}

// An authority's refusals are told with their fix, and so is what is no authority.
func TestRefusals(t *testing.T) {
	a := newAnswering(t)
	p := pebble(t, testbed.PebbleConfig{Lasts: time.Hour, TLS: a.tls.Addr().String(), EAB: map[string]string{"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}})
	const bound, key = "kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	limited := httptest.NewUnstartedServer(limiting(t, p))
	limited.TLS = &tls.Config{Certificates: []tls.Certificate{p.CA.Issue(t, time.Hour, "localhost").TLS(t)}}
	limited.StartTLS()
	defer limited.Close()
	foreign := httptest.NewTLSServer(http.NotFoundHandler())
	defer foreign.Close()
	page := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") }))
	page.TLS = limited.TLS
	page.StartTLS()
	defer page.Close()
	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down.Close()
	for _, tt := range []struct {
		name, reason, fix string
		again             time.Duration
		cfg               link.ACME
	}{
		{"rate limited", "refuses (rateLimited): too many", "there is nothing to do but wait; for trials name the authority's staging directory with Directory=", limitedMin, link.ACME{Directory: limited.URL + "/dir", EABKeyID: bound, EABKey: key}},
		{"down", "cannot be reached: dial tcp " + down.Addr().String(), "let this machine open connections to it", unreachedMin, link.ACME{Directory: "https://" + down.Addr().String()}},
		{"nowhere", "is not found: ", "correct Directory=, or let this machine ask", unreachedMin, link.ACME{Directory: "https://ca.invalid/dir"}},
		{"another page", "is no ACME server: HTTP 404", "correct Directory=: it is the URL", unreachedMin, link.ACME{Directory: p.Directory + "/wrong"}},
		{"a web site", "is no ACME server: ", "correct Directory=: it is the URL", unreachedMin, link.ACME{Directory: page.URL}},
		{"not trusted", "has a certificate that is not trusted: ", "update-ca-certificates", unreachedMin, link.ACME{Directory: foreign.URL}},
		{"no binding", "refuses (externalAccountRequired): ", "EABKeyID= and EABKey=", refusedMin, link.ACME{Directory: p.Directory}},
		{"another binding", "refuses (unauthorized): ", "correct EABKeyID= and the key", refusedMin, link.ACME{Directory: p.Directory, EABKeyID: "kid-2", EABKey: key}},
		{"a broken binding", "the key in the file of EABKey= cannot be read", "one line of base64url", unreachedMin, link.ACME{Directory: p.Directory, EABKeyID: bound, EABKey: "!"}},
		{"a bad name", "refuses (rejectedIdentifier): ", "take bad.example out of Domains=", refusedMin, link.ACME{Directory: p.Directory, EABKeyID: bound, EABKey: key, Domains: []string{"bad.example"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Dir = t.TempDir()
			if tt.cfg.Domains == nil {
				tt.cfg.Domains = []string{"a.example"}
			}
			m := next(t, run(t, a, tt.cfg))
			if m.Refusal == nil || !strings.Contains(m.Refusal.Reason, tt.reason) || !strings.Contains(m.Refusal.Mend, tt.fix) || m.Grace != tt.again {
				t.Errorf("got %v, again in %v\nwant %q, %q, %v", m.Refusal, m.Grace, tt.reason, tt.fix, tt.again)
			}
		})
	}
}

// limiting is p, but that it takes no order.
func limiting(t *testing.T, p *testbed.Pebble) http.Handler {
	to, err := url.Parse(p.Directory)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: to.Scheme, Host: to.Host})
		r.Out.Host = r.In.Host // its URLs are of this
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/order-plz") {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusTooManyRequests)
			io.WriteString(w, `{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many certificates for this name","status":429}`)
			return
		}
		proxy.ServeHTTP(w, r)
	})
}
