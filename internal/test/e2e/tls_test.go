package e2e

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// tellSource tells what a handler sees of TLS; tell is the same, here.
const tellSource = `package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
)

func Handlers() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{"/tell": tell, "/other": tell}
}

func tell(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	fmt.Fprintf(w, "%s to %v, host %s, proto %s, abs %v", r.RemoteAddr, r.Context().Value(http.LocalAddrContextKey).(net.Addr), r.Host, r.Proto, r.URL.IsAbs())
	s := r.TLS
	if s == nil {
		fmt.Fprint(w, ", clear")
		return
	}
	fmt.Fprintf(w, ", version %x, suite %x, name %q, protocol %q, complete %v, resumed %v, unique %d", s.Version, s.CipherSuite,
		s.ServerName, s.NegotiatedProtocol, s.HandshakeComplete, s.DidResume, len(s.TLSUnique))
	for _, c := range s.PeerCertificates {
		fmt.Fprintf(w, ", of %s %s", c.Subject, c.SerialNumber)
	}
	for _, chain := range s.VerifiedChains {
		fmt.Fprintf(w, ", chain of %d to %s", len(chain), chain[len(chain)-1].Subject)
	}
}
`

func tell(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	fmt.Fprintf(w, "%s to %v, host %s, proto %s, abs %v", r.RemoteAddr, r.Context().Value(http.LocalAddrContextKey).(net.Addr), r.Host, r.Proto, r.URL.IsAbs())
	s := r.TLS
	if s == nil {
		fmt.Fprint(w, ", clear")
		return
	}
	fmt.Fprintf(w, ", version %x, suite %x, name %q, protocol %q, complete %v, resumed %v, unique %d", s.Version, s.CipherSuite,
		s.ServerName, s.NegotiatedProtocol, s.HandshakeComplete, s.DidResume, len(s.TLSUnique))
	for _, c := range s.PeerCertificates {
		fmt.Fprintf(w, ", of %s %s", c.Subject, c.SerialNumber)
	}
	for _, chain := range s.VerifiedChains {
		fmt.Fprintf(w, ", chain of %d to %s", len(chain), chain[len(chain)-1].Subject)
	}
}

// serveTLS is net/http's ListenAndServeTLS with the certificates of s, without HTTP/2.
func serveTLS(t *testing.T, cfg *tls.Config) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(tell), TLSConfig: cfg, Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	go srv.ServeTLS(l, "", "")
	t.Cleanup(func() { srv.Shutdown(context.Background()) })
	return l.Addr().String()
}

// What a handler sees of a connection over TLS is what it sees with net/http,
// whichever way the request came to it: with its connection, forwarded, or by
// net/http's own server.
func TestTLSStateIsNetHTTPs(t *testing.T) {
	dir := testbed.NewDir(t)
	clients := testbed.NewAuthority(t, "clients' authority")
	ca := filepath.Join(dir, "clients.pem")
	if err := os.WriteFile(ca, clients.PEM, 0o644); err != nil {
		t.Fatal(err)
	}
	s := testbed.StartSecure(t, dir, []string{"ClientCA=" + ca, "ClientAuth=verify-if-given"})
	s.Put("tell", testbed.Go(tellSource).Build(t))
	s.Put("calm", plain(t, "/calm", "calm"))
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	reference := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: clients.Pool, ClientAuth: tls.VerifyClientCertIfGiven})

	for _, tt := range []struct {
		name   string
		change func(*tls.Config)
	}{
		{"default", func(c *tls.Config) {}},
		{"1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }},
		{"ALPN", func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }},
		{"certificate", func(c *tls.Config) {
			c.Certificates = []tls.Certificate{clients.Issue(t, time.Hour, "client.example").TLS(t)}
		}},
		{"certificate, 1.2", func(c *tls.Config) {
			c.MaxVersion, c.Certificates = tls.VersionTLS12, []tls.Certificate{clients.Issue(t, time.Hour, "client.example").TLS(t)}
		}},
	} {
		base := s.Config.Clone()
		tt.change(base)
		// What is told is compared but for the addresses, which are the client's own.
		ask := func(cfg *tls.Config, addr string) (told []string) {
			c, err := testbed.DialTLS(addr, cfg)
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			defer c.Close()
			mask := strings.NewReplacer(c.LocalAddr().String(), "CLIENT", c.RemoteAddr().String(), "SERVER")
			for _, raw := range []string{
				"GET /tell HTTP/1.1\r\nHost: h\r\n\r\n", "GET /tell HTTP/1.1\r\nHost: h\r\n\r\n", "GET /calm HTTP/1.1\r\nHost: h\r\n\r\n", "GET /tell HTTP/1.1\r\nHost: h\r\n\r\n",
				testbed.PostRequest("/tell", "body"), testbed.PostRequest("/other", "body"), "GET /calm HTTP/1.1\r\nHost: h\r\n\r\n", "GET /other HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
			} {
				a, err := c.Do(raw)
				if err != nil || a.Status != 200 {
					t.Fatalf("%s: %q: %d, %v", tt.name, raw, a.Status, err)
				}
				if strings.Contains(raw, "/calm") {
					continue
				}
				told = append(told, mask.Replace(string(a.Body)))
			}
			// The last answer is followed by close_notify: a cut end would be
			// io.ErrUnexpectedEOF.
			if _, err := c.R.ReadByte(); err != io.EOF {
				t.Errorf("%s: the end of the connection is %v", tt.name, err)
			}
			return told
		}
		ours, theirs := base.Clone(), base.Clone()
		ours.ClientSessionCache, theirs.ClientSessionCache = tls.NewLRUClientSessionCache(9), tls.NewLRUClientSessionCache(9)
		for range 2 { // the second is resumed
			got, want := ask(ours, s.Secure), ask(theirs, reference)
			if strings.Join(got, "\n") != strings.Join(want, "\n") || len(got) != 6 {
				t.Errorf("%s: got\n%s\nwant\n%s", tt.name, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
	if a, err := s.Dial().Get("/tell"); err != nil || !strings.HasSuffix(string(a.Body), ", clear") {
		t.Errorf("in the clear: %q, %v", a.Body, err)
	}
}

// Handlers are replaced ten times a second, and the certificate is renewed by flips of a
// symbolic link, under TLS clients that post without pause. Nobody may notice.
func TestTLSReloadUnderLoad(t *testing.T) {
	replacements := 30
	if testing.Short() {
		replacements = 15
	}
	dir := testbed.NewDir(t)
	s := testbed.StartSecure(t, dir, nil)
	for _, version := range []string{"one", "two"} {
		s.CA.Issue(t, 200*24*time.Hour, "e2e.example", version+".example").Write(t, dir, version)
	}
	s.Put("busy", plain(t, "/busy", number(0)))
	s.Put("calm", plain(t, "/calm", "calm"))
	dial := func() (*testbed.Client, error) { return s.DialTLS(nil) }
	relayed := s.Config.Clone()
	relayed.MaxVersion = tls.VersionTLS12
	loads := []*testbed.Load{
		testbed.Plan{Dial: func() (*testbed.Client, error) { return s.DialTLS(relayed) }, Clients: 3, Paths: []string{"/busy", "/calm"}}.Run(t),
		testbed.Plan{Dial: dial, Clients: 10, Paths: []string{"/busy"}}.Run(t),
		testbed.Plan{Dial: dial, Clients: 6, Paths: []string{"/busy", "/calm"}}.Run(t),
		testbed.Plan{Dial: dial, Clients: 2, Paths: []string{"/busy"}, Fresh: true}.Run(t),
		testbed.Plan{Addr: s.Addr, Clients: 4, Paths: []string{"/busy", "/calm"}}.Run(t),
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := range replacements {
		<-tick.C
		s.Drop("busy", plain(t, "/busy", number(n+1)))
		if n%15 == 5 {
			version := []string{"one", "two"}[n/15%2]
			renew(t, dir, version)
			awaitCertificate(t, s, version)
		}
	}
	for _, l := range loads {
		l.Unharmed(t)
	}
}

// renew has the daemon's certificate be the one of the name, in its folder, by flips of
// symbolic links.
func renew(t *testing.T, dir, name string) {
	t.Helper()
	for _, ext := range []string{".pem", ".key"} {
		link := filepath.Join(dir, "flip")
		if err := os.Symlink(filepath.Join(dir, name+ext), link); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link, filepath.Join(dir, "server"+ext)); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitCertificate waits until clients get the certificate that is for name.example.
func awaitCertificate(t *testing.T, s *testbed.Secure, name string) {
	t.Helper()
	await(t, "the renewed certificate", func() bool {
		c, err := s.DialTLS(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return slices.Contains(c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].DNSNames, name+".example")
	})
}

// A gate that dies takes its connections of TLS 1.2 with it, and no others: those of TLS 1.3
// go on in the cells, and with the next gate. Clients resume their sessions with that.
func TestTLSGateKilled(t *testing.T) {
	s := testbed.StartSecure(t, testbed.NewDir(t), nil, testbed.Allow("gate died"))
	s.Put("calm", plain(t, "/calm", "calm"))
	s.Put("other", plain(t, "/other", "other"))
	cfg := s.Config.Clone()
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(9)
	ask := func() bool {
		t.Helper()
		c, err := s.DialTLS(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if a, err := c.Get("/calm"); err != nil || string(a.Body) != "calm" {
			t.Fatalf("%q, %v", a.Body, err)
		}
		return c.Conn.(*tls.Conn).ConnectionState().DidResume
	}
	if ask() {
		t.Error("the first session is resumed")
	}
	if !ask() {
		t.Error("the second is not")
	}
	hold := func(cfg *tls.Config) *testbed.Client {
		t.Helper()
		c, err := s.DialTLS(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if a, err := c.Get("/calm"); err != nil || string(a.Body) != "calm" {
			t.Fatalf("%q, %v", a.Body, err)
		}
		return c
	}
	old := s.Config.Clone()
	old.MaxVersion = tls.VersionTLS12
	held, relayed := hold(nil), hold(old)
	gate := s.Status().Daemon.GatePID
	syscall.Kill(gate, syscall.SIGKILL)
	if _, err := relayed.R.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("TLS 1.2 behind the gate's end: %v", err)
	}
	if !ask() {
		t.Error("the session is not resumed with the next gate")
	}
	for _, path := range []string{"/calm", "/other", "/calm", "/nobodys", "/calm"} {
		if a, err := held.Get(path); err != nil || path != "/nobodys" && string(a.Body) != path[1:] {
			t.Fatalf("%s, over a connection that has outlived its gate: %q, %v", path, a.Body, err)
		}
	}
}

// Whom ClientCA= does not name is not let in, by no session either.
func TestTLSClientCertificates(t *testing.T) {
	dir := testbed.NewDir(t)
	ours, others := testbed.NewAuthority(t, "ours"), testbed.NewAuthority(t, "others")
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, ours.PEM, 0o644); err != nil {
		t.Fatal(err)
	}
	s := testbed.StartSecure(t, dir, []string{"ClientCA=" + ca})
	s.Put("tell", testbed.Go(tellSource).Build(t))
	cache := tls.NewLRUClientSessionCache(9)
	ask := func(by *testbed.Authority) (string, error) {
		cfg := s.Config.Clone()
		cfg.ClientSessionCache = cache
		if by != nil {
			cfg.Certificates = []tls.Certificate{by.Issue(t, time.Hour, "client.example").TLS(t)}
		}
		c, err := s.DialTLS(cfg)
		if err != nil {
			return "", err
		}
		defer c.Close()
		a, err := c.Get("/tell")
		return string(a.Body), err
	}
	for _, by := range []*testbed.Authority{nil, others} {
		if told, err := ask(by); err == nil {
			t.Errorf("was let in: %s", told)
		}
	}
	for range 2 {
		if told, err := ask(ours); err != nil || !strings.Contains(told, ", of CN=client.example ") || !strings.Contains(told, "chain of 2 to CN=ours") {
			t.Errorf("%q, %v", told, err)
		}
	}
	if err := os.WriteFile(ca, others.PEM, 0o644); err != nil {
		t.Fatal(err)
	}
	if errs, code := s.Reload(); code != 0 {
		t.Fatal(errs)
	}
	await(t, "the other authority", func() bool {
		_, err := ask(others)
		return err == nil
	})
	cache = tls.NewLRUClientSessionCache(9)
	if told, err := ask(ours); err == nil {
		t.Errorf("was let in: %s", told)
	}
}

// await waits for what no record of the log tells.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(testbed.Patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s does not come", what)
		}
	}
}

// Clients that do not shake hands hold up nobody, and are closed in time. One that
// speaks no TLS is told so.
func TestTLSHandshakes(t *testing.T) {
	s := testbed.StartSecure(t, testbed.NewDir(t), nil, testbed.Flags("--header-timeout", "1s"))
	s.Put("calm", plain(t, "/calm", "calm"))
	var slow []net.Conn
	for i := range 20 {
		c, err := net.Dial("tcp", s.Secure)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 {
			c.Write([]byte{22, 3, 1, 0}) // a part of a record
		}
		slow = append(slow, c)
	}
	c, err := s.DialTLS(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if a, err := c.Get("/calm"); err != nil || string(a.Body) != "calm" {
		t.Errorf("%q, %v", a.Body, err)
	}
	for _, c := range slow {
		c.SetReadDeadline(time.Now().Add(testbed.AnswerWait))
		if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("a slow client: %v", err)
		}
	}
	clear, err := testbed.Dial("tcp", s.Secure)
	if err != nil {
		t.Fatal(err)
	}
	defer clear.Close()
	clear.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	got, _ := io.ReadAll(clear)
	if want := "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"; string(got) != want {
		t.Errorf("in the clear: %q, want %q", got, want)
	}
}

// What a client has sent before it ends its side is answered, and what a handler does
// with a connection that it hijacks reaches the client, to the end of either side.
func TestTLSHalfClose(t *testing.T) {
	s := testbed.StartSecure(t, testbed.NewDir(t), nil)
	s.Put("kitchen", kitchen(t))
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} { // the second is relayed
		cfg := s.Config.Clone()
		cfg.MaxVersion = version
		halfClose(t, s, cfg)
	}
}

func halfClose(t *testing.T, s *testbed.Secure, cfg *tls.Config) {
	t.Helper()
	dial := func() *testbed.Client {
		t.Helper()
		c, err := s.DialTLS(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	c := dial()
	body := strings.Repeat("x", 300<<10)
	c.Send(testbed.PostRequest("/k/sum", body))
	c.Conn.(*tls.Conn).CloseWrite()
	if a, err := c.Receive("POST"); err != nil || !strings.HasPrefix(string(a.Body), fmt.Sprintf("%d %x", len(body), sha256.Sum256([]byte(body)))) {
		t.Errorf("half-closed: %q, %v", a.Body, err)
	}
	if _, err := c.R.ReadByte(); err != io.EOF {
		t.Errorf("the end is %v", err)
	}

	c = dial()
	c.Send("GET /k/upgrade HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n")
	if resp, err := http.ReadResponse(c.R, nil); err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	c.Send("one\ntwo\n")
	c.Conn.(*tls.Conn).CloseWrite()
	if rest, err := io.ReadAll(c.R); string(rest) != "one!\ntwo!\n" || err != nil {
		t.Errorf("upgraded: %q, %v", rest, err)
	}
}

// Large bodies pass both ways, also for a client that reads slowly, and the gate keeps
// next to nothing of them.
func TestTLSLargeBodies(t *testing.T) {
	s := testbed.StartSecure(t, testbed.NewDir(t), nil)
	s.Put("kitchen", kitchen(t))
	const size = 128 << 20
	stuck, err := s.DialTLS(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	stuck.Send(fmt.Sprintf("GET /k/big?n=%d HTTP/1.1\r\nHost: h\r\n\r\n", size))
	if _, err := stuck.R.Peek(1); err != nil {
		t.Fatal(err)
	}
	c, err := s.DialTLS(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	body := strings.Repeat("0123456789abcdef", size/32)
	if a, err := c.Post("/k/sum", body); err != nil || !strings.HasPrefix(string(a.Body), fmt.Sprintf("%d %x", len(body), sha256.Sum256([]byte(body)))) {
		t.Errorf("up: %q, %v", a.Body, err)
	}
	if kb := resident(t, s.Status().Daemon.GatePID); kb > 100<<10 {
		t.Errorf("the gate has %d KB", kb)
	}
	a, err := stuck.Receive("GET")
	if err != nil || len(a.Body) != size {
		t.Errorf("down: %d bytes, %v", len(a.Body), err)
	}
}

// resident is the memory of a process, in KB.
func resident(t *testing.T, pid int) (kb int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatal(err)
	}
	return kb
}

// A pair that is bad is refused by name, with its fix, and the one before stays; so it
// is for a key that all can read. An expiry that is near is told.
func TestTLSRefusals(t *testing.T) {
	dir := testbed.NewDir(t)
	s := testbed.StartSecure(t, dir, nil)
	good, err := os.ReadFile(filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	want := func(says string) {
		t.Helper()
		out, errs, code := s.Ctl("reload")
		if code == 0 || !strings.Contains(strings.Join(strings.Fields(out+errs), " "), says) {
			t.Errorf("reload: exit %d, %s%s, want %q", code, out, errs, says)
		}
		if c, err := s.DialTLS(nil); err != nil {
			t.Errorf("the pair before is not in force: %v", err)
		} else {
			c.Close()
		}
	}
	key := filepath.Join(dir, "server.key")
	put := func(text []byte, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(key, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(key, mode); err != nil {
			t.Fatal(err)
		}
	}
	put(s.CA.Issue(t, time.Hour, "other.example").Key, 0o600)
	want("do not belong together")
	put(good, 0o644)
	want("chmod 640")
	put([]byte("rubbish"), 0o600)
	want("no private key is in it")
	put(good, 0o600)
	if errs, code := s.Reload(); code != 0 {
		t.Errorf("reload: %s", errs)
	}
	mark := s.Log.Len()
	s.CA.Issue(t, 13*24*time.Hour, "e2e.example").Write(t, dir, "server")
	s.WaitLogFrom(mark, "the near end of the certificate", func(e testbed.Entry) bool {
		return e.Get("event") == "certificate_expires" && strings.Contains(e.Msg(), "e2e.example, 127.0.0.1 expires in 12 days")
	})
	if out, _, _ := s.Ctl("status"); !strings.Contains(out, "certificate of e2e.example, 127.0.0.1 expires on") {
		t.Errorf("status: %s", out)
	}
}

// keySource looks for a private key wherever a handler can look.
const keySource = `package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strings"
)

func Handler() (string, http.HandlerFunc) {
	return "/look", func(w http.ResponseWriter, r *http.Request) {
		secret := []byte(r.FormValue("secret"))
		for _, kv := range os.Environ() {
			if strings.HasPrefix(kv, "CREDENTIALS_DIRECTORY=") || bytes.Contains([]byte(kv), secret) {
				fmt.Fprintln(w, "environment", kv)
			}
		}
		for _, pid := range append([]string{"self"}, strings.Split(r.FormValue("pids"), ",")...) {
			fds, err := os.ReadDir("/proc/" + pid + "/fd")
			for _, fd := range fds {
				to, _ := os.Readlink("/proc/" + pid + "/fd/" + fd.Name())
				if strings.HasSuffix(to, ".key") || pid != "self" {
					fmt.Fprintln(w, "descriptor", pid, to)
				}
			}
			if pid == "self" {
				continue
			}
			if err == nil {
				fmt.Fprintln(w, "descriptors of", pid)
			}
			if f, err := os.Open("/proc/" + pid + "/mem"); err == nil {
				f.Close()
				fmt.Fprintln(w, "memory of", pid)
			}
		}
		fmt.Fprint(w, "looked")
	}
}
`

// No cell has the key: not in its environment or its descriptors, and the memory of the
// processes that have it is closed to it, though they are of one user.
func TestTLSKeyIsNoCells(t *testing.T) {
	dir := testbed.NewDir(t)
	as := asNobody(t, dir)
	s := testbed.StartSecure(t, dir, nil, as, testbed.Wrap(func(cmd *exec.Cmd) {
		for _, file := range []string{"server.key", "server.pem"} {
			if os.Getuid() == 0 {
				os.Chown(filepath.Join(dir, file), nobody, nobody)
			}
		}
		cmd.Env = append(cmd.Env, "CREDENTIALS_DIRECTORY="+dir)
	}))
	s.Put("look", testbed.Go(keySource).Build(t))
	c, err := s.DialTLS(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d := s.Status().Daemon
	a, err := c.Get(fmt.Sprintf("/look?secret=MIGHAgEAMB&pids=%d,%d", d.PID, d.GatePID))
	if err != nil || string(a.Body) != "looked" {
		t.Errorf("%q, %v", a.Body, err)
	}
}
