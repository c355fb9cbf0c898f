package testbed

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Pebble is an ACME server, Debian's pebble, with a name server for which every name leads
// to 127.0.0.1.
type Pebble struct {
	Directory string // its URL
	// CA is who vouches for the server itself, not for its certificates: one for all of
	// a run. Clients are to trust CAFile, as SSL_CERT_FILE.
	CA     *Authority
	CAFile string

	tb      TB
	dir     string
	config  map[string]any
	dns     string
	cmd     *exec.Cmd
	printed *bytes.Buffer
}

// PebbleConfig is how a Pebble is.
type PebbleConfig struct {
	HTTP, TLS string        // the addresses that it asks challenges at; "" is one where nobody is
	Lasts     time.Duration // of its certificates
	EAB       map[string]string
}

// NeedPebble skips a test where Debian's package is not installed.
func NeedPebble(tb Skipper) {
	tb.Helper()
	Need(tb, "there is no ACME server to test with: apt-get install pebble", "pebble", "pebble-challtestsrv")
}

// NewPebble makes an ACME server, which does not run yet.
func NewPebble(tb TB, cfg PebbleConfig) *Pebble {
	tb.Helper()
	p := &Pebble{tb: tb, dir: NewDir(tb), printed: new(bytes.Buffer)}
	p.CA, p.CAFile = pebbleCA(tb)
	cert, key := p.CA.Issue(tb, time.Hour, "localhost").Write(tb, p.dir, "pebble")
	listen, manage := freePort(tb), freePort(tb)
	p.Directory, p.dns = fmt.Sprintf("https://127.0.0.1:%d/dir", listen), fmt.Sprintf("127.0.0.1:%d", freePort(tb))
	p.config = map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", listen), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", manage),
		"certificate": cert, "privateKey": key, "httpPort": p.port(cfg.HTTP), "tlsPort": p.port(cfg.TLS),
		"domainBlocklist": []string{"bad.example"}, "externalAccountBindingRequired": cfg.EAB != nil, "externalAccountMACKeys": cfg.EAB,
		// Older and newer releases.
		"certificateValidityPeriod": int(cfg.Lasts / time.Second),
		"profiles":                  map[string]any{"default": map[string]any{"description": "default", "validityPeriod": int(cfg.Lasts / time.Second)}},
	}
	names := exec.Command("pebble-challtestsrv", "-dns01", p.dns, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
		"-management", fmt.Sprintf("127.0.0.1:%d", freePort(tb)), "-http01", "", "-https01", "", "-tlsalpn01", "")
	if err := names.Start(); err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(func() { names.Process.Kill(); names.Wait() })
	tb.Cleanup(p.Stop)
	return p
}

var pebbleCAs struct {
	once sync.Once
	ca   *Authority
}

func pebbleCA(tb TB) (*Authority, string) {
	tb.Helper()
	file := filepath.Join(Workshop(tb), "pebble.pem")
	pebbleCAs.once.Do(func() {
		pebbleCAs.ca = NewAuthority(tb, "pebble's own")
		if err := os.WriteFile(file, pebbleCAs.ca.PEM, 0o644); err != nil {
			tb.Fatalf("%v", err)
		}
	})
	return pebbleCAs.ca, file
}

// Asks has it ask challenges at those addresses, from its start on.
func (p *Pebble) Asks(clear, secure string) {
	p.tb.Helper()
	p.config["httpPort"], p.config["tlsPort"] = p.port(clear), p.port(secure)
}

// port is that of an address.
func (p *Pebble) port(addr string) int {
	if addr == "" {
		return freePort(p.tb)
	}
	_, port, err := net.SplitHostPort(addr)
	n, err2 := strconv.Atoi(port)
	if err != nil || err2 != nil {
		p.tb.Fatalf("%q has no port", addr)
	}
	return n
}

// Start returns once it serves. It knows nobody any more from before.
func (p *Pebble) Start() {
	p.tb.Helper()
	text, err := json.Marshal(map[string]any{"pebble": p.config})
	if err != nil {
		p.tb.Fatalf("%v", err)
	}
	file := filepath.Join(p.dir, "pebble.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		p.tb.Fatalf("%v", err)
	}
	p.cmd = exec.Command("pebble", "-config", file, "-dnsserver", p.dns)
	p.cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	p.cmd.Stdout, p.cmd.Stderr = p.printed, p.printed
	if err := p.cmd.Start(); err != nil {
		p.tb.Fatalf("%v", err)
	}
	for end := time.Now().Add(Patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := p.get(p.Directory); err == nil {
			return
		} else if time.Now().After(end) {
			p.tb.Fatalf("pebble does not serve: %v", err)
		}
	}
}

// Stop ends it.
func (p *Pebble) Stop() {
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Kill()
	p.cmd.Wait()
	p.cmd = nil
	if p.tb.Failed() {
		p.tb.Logf("pebble:\n%s", p.printed)
	}
}

// Roots are those that its certificates lead to: others after each start.
func (p *Pebble) Roots() *x509.CertPool {
	p.tb.Helper()
	text, err := p.get("https://" + p.config["managementListenAddress"].(string) + "/roots/0")
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		p.tb.Fatalf("pebble's root: %q, %v", text, err)
	}
	return pool
}

func (p *Pebble) get(url string) ([]byte, error) {
	c := &http.Client{Timeout: AnswerWait, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := c.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// freePort is a port where nobody listened a moment ago.
func freePort(tb TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("%v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
