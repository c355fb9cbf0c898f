package gate

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Clients in the clear are sent on to the same resource over TLS, with what they ask.
func TestRedirect(t *testing.T) {
	for _, tt := range []struct {
		method, target, host string
		port                 int32
		code                 int
		to                   string
	}{
		{"GET", "/a?b=c%20d", "example.com", 443, 301, "https://example.com/a?b=c%20d"},
		{"HEAD", "/", "example.com:80", 443, 301, "https://example.com/"},
		{"GET", "//a/../b%2Fc", "example.com:8080", 8443, 301, "https://example.com:8443//a/../b%2Fc"},
		{"GET", "http://other.example/a", "other.example", 443, 301, "https://other.example/a"},
		{"GET", "/", "[::1]:80", 443, 301, "https://[::1]/"},
		{"GET", "/", "[::1]", 8443, 301, "https://[::1]:8443/"},
		{"POST", "/a", "example.com", 443, 308, "https://example.com/a"},
		{"OPTIONS", "/a", "example.com", 443, 308, "https://example.com/a"},
		{"GET", "/", "", 443, 400, ""},
		{"GET", "/", "good.example@bad.example", 443, 400, ""},
		{"CONNECT", "example.com:80", "example.com:80", 443, 400, ""},
	} {
		r := httptest.NewRequest(tt.method, tt.target, nil)
		r.Host = tt.host
		w := httptest.NewRecorder()
		redirect(tt.port).ServeHTTP(w, r)
		if w.Code != tt.code || w.Header().Get("Location") != tt.to {
			t.Errorf("%s %s of %q: %d to %q, want %d to %q", tt.method, tt.target, tt.host, w.Code, w.Header().Get("Location"), tt.code, tt.to)
		}
	}
}

// Who came over TLS, or by a Unix socket, stays, and so does who asks for a challenge.
func TestToHTTPS(t *testing.T) {
	for _, tt := range []struct {
		remote, target string
		tls            *tls.ConnectionState
		want           bool
	}{
		{"1.2.3.4:5", "/", nil, true},
		{"[fe80::1%eth0]:5", "/", nil, true},
		{"1.2.3.4:5", "/", &tls.ConnectionState{}, false},
		{"@", "/", nil, false},
		{"", "/", nil, false},
		{"1.2.3.4:5", challenges + "token", nil, false},
		{"1.2.3.4:5", strings.TrimSuffix(challenges, "/"), nil, true},
		{"1.2.3.4:5", "/x/.." + challenges, nil, true},
	} {
		r := &http.Request{RemoteAddr: tt.remote, TLS: tt.tls}
		r.URL = httptest.NewRequest("GET", tt.target, nil).URL
		if got := wantsHTTPS(r); got != tt.want {
			t.Errorf("%q asks for %s: %v", tt.remote, tt.target, got)
		}
	}
}
