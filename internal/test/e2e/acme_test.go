package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// acmeClient believes what leads to the roots, at whatever time: certificates here last for
// seconds.
func acmeClient(roots *x509.CertPool, name string) *tls.Config {
	return &tls.Config{ServerName: name, InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		rest := x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			rest.AddCert(c)
		}
		leaf := s.PeerCertificates[0]
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: rest, CurrentTime: leaf.NotBefore})
		return err
	}}
}

// certificates are how many events there were of the kind and the domain.
func certificates(d *testbed.Daemon, event, domain string) (n int) {
	for _, e := range d.Log.From(0) {
		if e.Get("event") == event && e.Get("domain") == domain {
			n++
		}
	}
	return n
}

// With two lines of settings, and the address of an authority, certificates come, once that
// can be reached, and are renewed under load without a client's noticing. They serve from the
// next start on, and while another directory is wrong.
func TestACME(t *testing.T) {
	testbed.NeedPebble(t)
	testbed.BuildCertifier(t)
	p := testbed.NewPebble(t, testbed.PebbleConfig{Lasts: 7 * time.Second})
	dir := testbed.NewDir(t)
	conf := func(directory string) {
		t.Helper()
		text := "[TLS]\nACME=yes\nDomains=e2e.example www.e2e.example\nDirectory=" + directory + "\n"
		if err := os.WriteFile(filepath.Join(dir, "plugserverd.conf"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	conf(p.Directory)
	start := func() (*testbed.Daemon, string) {
		t.Helper()
		d := testbed.Start(t, testbed.In(dir), testbed.Flags("--listen", "tls:127.0.0.1:0"), testbed.Wrap(func(cmd *exec.Cmd) {
			cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+p.CAFile)
		}))
		return d, strings.TrimPrefix(d.Status().Daemon.Listeners[1], "tls:")
	}
	d, secure := start()
	d.Put("calm", plain(t, "/calm", "calm"))

	// The directory is down.
	failed := d.WaitLog("the failure", func(e testbed.Entry) bool {
		return e.Get("event") == "certificate_failed" && e.Get("domain") == "e2e.example"
	})
	if !strings.Contains(failed.Get("reason"), "cannot be reached") || !strings.Contains(failed.Get("mend"), "or correct Directory=; it is tried again in 2s") {
		t.Errorf("the failure: %s", failed.Raw)
	}
	if s := d.Status().Daemon; !strings.Contains(s.Problem, "certificate of e2e.example: the directory "+p.Directory+" cannot be reached") {
		t.Errorf("status: %q", s.Problem)
	}
	clear := testbed.Plan{Addr: d.Addr, Clients: 2, Paths: []string{"/calm"}}.Run(t)

	// It comes back, and a reload asks it at once.
	p.Asks(d.Addr, secure)
	p.Start()
	if errs, code := d.Reload(); code != 0 {
		t.Errorf("reload: %s", errs)
	}
	for _, domain := range []string{"e2e.example", "www.e2e.example"} {
		d.WaitLog("the certificate of "+domain, func(e testbed.Entry) bool {
			return e.Get("event") == "certificate_obtained" && e.Get("domain") == domain
		})
	}
	roots := p.Roots()
	dial := func(name string) (*testbed.Client, error) { return testbed.DialTLS(secure, acmeClient(roots, name)) }
	for _, name := range []string{"e2e.example", "www.e2e.example"} {
		await(t, "the certificate in force", func() bool {
			c, err := dial(name)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	if s := d.Status().Daemon; s.Problem != "" || len(s.Notes) != 0 || len(s.Certificates) != 2 {
		t.Errorf("status: %+v", s)
	}

	// Renewals under load.
	loads := []*testbed.Load{
		clear,
		testbed.Plan{Dial: func() (*testbed.Client, error) { return dial("e2e.example") }, Clients: 4, Paths: []string{"/calm"}}.Run(t),
		testbed.Plan{Dial: func() (*testbed.Client, error) { return dial("www.e2e.example") }, Clients: 2, Paths: []string{"/calm"}, Fresh: true}.Run(t),
	}
	for _, domain := range []string{"e2e.example", "www.e2e.example"} {
		await(t, "two renewals of "+domain, func() bool { return certificates(d, "certificate_renewed", domain) >= 2 })
	}
	testbed.Each(t, loads...)
	for _, l := range loads {
		l.Unharmed(t)
	}

	// From the next start on they serve, though nobody is there to ask.
	p.Stop()
	d.Stop()
	d, secure = start()
	if c, err := dial("www.e2e.example"); err != nil {
		t.Errorf("after the start: %v", err)
	} else {
		c.Close()
	}

	// A directory that is none.
	conf("https://" + d.Addr + "/wrong")
	d.Reload()
	d.WaitLog("the other failure", func(e testbed.Entry) bool {
		return e.Get("event") == "certificate_failed" && strings.Contains(e.Get("mend"), "Directory=") && strings.Contains(e.Get("reason"), d.Addr+"/wrong")
	})
	if c, err := dial("e2e.example"); err != nil {
		t.Errorf("the certificate does not stay: %v", err)
	} else {
		c.Close()
	}
}
