package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// Clients in the clear are sent on to HTTPS, but for who asks for a challenge; answers
// over TLS demand it for the time to come, and a reload changes both.
func TestTLSRedirect(t *testing.T) {
	dir := testbed.NewDir(t)
	s := testbed.StartSecure(t, dir, []string{"[Redirect]", "HTTPS=yes", "Port=8443", "HSTS=60 includeSubDomains"})
	s.Put("tell", testbed.Go(tellSource).Build(t))
	s.Put("challenge", plain(t, "/.well-known/acme-challenge/", "token"))
	ask := func(dial func() (*testbed.Client, error), raw string) (testbed.Answer, error) {
		t.Helper()
		c, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.Do(raw)
	}
	clear := func() (*testbed.Client, error) { return s.Dial(), nil }
	secure := func() (*testbed.Client, error) { return s.DialTLS(nil) }
	const get, post = "GET %s HTTP/1.1\r\nHost: e2e.example\r\n%s\r\n", "POST %s HTTP/1.1\r\nHost: e2e.example:80\r\nContent-Length: 4\r\n\r\nbody"
	for _, raw := range []string{fmt.Sprintf(get, "/tell?a=b", ""), fmt.Sprintf(get, "/tell?a=b", "Connection: close\r\n")} {
		if a, err := ask(clear, raw); err != nil || a.Status != 301 || a.Header.Get("Location") != "https://e2e.example:8443/tell?a=b" || a.Header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%q: %+v, %v", raw, a, err)
		}
	}
	if a, err := ask(clear, fmt.Sprintf(post, "/tell")); err != nil || a.Status != 308 || a.Header.Get("Location") != "https://e2e.example:8443/tell" {
		t.Errorf("a POST: %+v, %v", a, err)
	}
	if a, err := ask(clear, fmt.Sprintf(get, "/.well-known/acme-challenge/x", "")); err != nil || a.Status != 200 || string(a.Body) != "token" {
		t.Errorf("a challenge: %+v, %v", a, err)
	}
	for _, raw := range []string{fmt.Sprintf(get, "/tell", ""), fmt.Sprintf(get, "/tell", "Connection: close\r\n"), fmt.Sprintf(post, "/tell"), fmt.Sprintf(get, "/none", "")} {
		if a, err := ask(secure, raw); err != nil || a.Status != 200 && !strings.Contains(raw, "/none") || a.Header.Get("Strict-Transport-Security") != "max-age=60; includeSubDomains" {
			t.Errorf("over TLS, %q: %+v, %v", raw, a, err)
		}
	}
	overH2(t, s)
	conf := filepath.Join(dir, "plugserverd.conf")
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, []byte(strings.ReplaceAll(string(text), "HTTPS=yes", "HTTPS=no\nHSTS=")), 0o644); err != nil {
		t.Fatal(err)
	}
	if errs, code := s.Reload(); code != 0 {
		t.Fatal(errs)
	}
	await(t, "the end of the redirect", func() bool {
		a, err := ask(clear, fmt.Sprintf(get, "/tell", ""))
		return err == nil && a.Status == 200
	})
}
