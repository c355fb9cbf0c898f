package proxied

import (
	"net/http"
	"strings"
	"testing"
)

func TestClient(t *testing.T) {
	for _, tt := range []struct {
		networks, remote string
		header           Header
		fields           []string
		want             string
	}{
		{"10.0.0.0/8", "10.1.1.1:5", XForwardedFor, []string{"1.2.3.4"}, "1.2.3.4:0"},
		{"10.0.0.0/8", "11.1.1.1:5", XForwardedFor, []string{"1.2.3.4"}, "11.1.1.1:5"},         // anybody
		{"10.0.0.0/8", "10.1.1.1:5", XForwardedFor, nil, "10.1.1.1:5"},                         // says nothing
		{"10.0.0.0/8", "10.1.1.1:5", XForwardedFor, []string{"6.6.6.6, 1.2.3.4"}, "1.2.3.4:0"}, // what the client has made up
		{"10.0.0.0/8", "10.1.1.1:5", XForwardedFor, []string{"6.6.6.6,1.2.3.4", "10.2.2.2"}, "1.2.3.4:0"},
		{"10.0.0.0/8", "10.1.1.1:5", XForwardedFor, []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3:0"}, // the client is a proxy
		{"10.0.0.0/8", "10.1.1.1:5", XForwardedFor, []string{"1.2.3.4, nonsense, 10.2.2.2"}, "10.2.2.2:0"},
		{"10.0.0.0/8", "10.1.1.1:5", XForwardedFor, []string{"nonsense"}, "10.1.1.1:5"},
		{"10.0.0.0/8", "10.1.1.1:5", XForwardedFor, []string{"1.2.3.4:77"}, "1.2.3.4:77"},
		{"10.0.0.0/8", "10.1.1.1:5", XForwardedFor, []string{"2001:db8::1"}, "[2001:db8::1]:0"},
		{"10.0.0.0/8", "[::ffff:10.1.1.1]:5", XForwardedFor, []string{"::ffff:1.2.3.4"}, "1.2.3.4:0"},
		{"::ffff:10.0.0.0/104", "10.1.1.1:5", XForwardedFor, []string{"1.2.3.4"}, "1.2.3.4:0"},
		{"2001:db8::/32 unix", "@", XForwardedFor, []string{"1.2.3.4"}, "1.2.3.4:0"},
		{"2001:db8::/32", "@", XForwardedFor, []string{"1.2.3.4"}, "@"},
		{"10.1.1.1", "10.1.1.1:5", Forwarded, []string{`for=6.6.6.6, For="[2001:db8::1]:4711";proto=https;by=_a`}, "[2001:db8::1]:4711"},
		{"10.1.1.1", "10.1.1.1:5", Forwarded, []string{`proto=https;for=1.2.3.4;host="a,b;c\""`}, "1.2.3.4:0"},
		{"10.1.1.1", "10.1.1.1:5", Forwarded, []string{`for=1.2.3.4:_port`}, "1.2.3.4:0"},
		{"10.1.1.1", "10.1.1.1:5", Forwarded, []string{`for=1.2.3.4, for=unknown`}, "10.1.1.1:5"},
		{"10.1.1.1", "10.1.1.1:5", Forwarded, []string{`for=1.2.3.4, proto=http`}, "10.1.1.1:5"},
	} {
		trusted, err := Trust(strings.Fields(tt.networks), tt.header)
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{RemoteAddr: tt.remote, Header: http.Header{"X-Forwarded-For": {"9.9.9.9"}, "Forwarded": {"for=9.9.9.9"}}}
		name := http.CanonicalHeaderKey(string(tt.header))
		if r.Header[name] = tt.fields; tt.fields == nil {
			delete(r.Header, name)
		}
		if got := trusted.Client(r); got != tt.want {
			t.Errorf("%s says %q: the client is %s, want %s", tt.remote, tt.fields, got, tt.want)
		}
	}
	var nobody *Trusted
	if got := nobody.Client(&http.Request{RemoteAddr: "a", Header: http.Header{"X-Forwarded-For": {"1.2.3.4"}}}); got != "a" {
		t.Error(got)
	}
	for _, bad := range []string{"10.0.0.0/33", "proxy", "", "fe80::1%eth0"} {
		if _, err := Trust([]string{bad}, XForwardedFor); err == nil || !strings.Contains(err.Error(), "write one such as") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestSecure(t *testing.T) {
	for _, tt := range []struct {
		header Header
		remote string
		h      http.Header
		want   bool
	}{
		{XForwardedFor, "10.1.1.1:5", http.Header{"X-Forwarded-Proto": {"https"}}, true},
		{XForwardedFor, "11.1.1.1:5", http.Header{"X-Forwarded-Proto": {"https"}}, false},
		{XForwardedFor, "10.1.1.1:5", http.Header{"X-Forwarded-Proto": {"https", "http"}}, false},
		{Forwarded, "10.1.1.1:5", http.Header{"X-Forwarded-Proto": {"https"}}, false},
		{Forwarded, "10.1.1.1:5", http.Header{"Forwarded": {"for=a;proto=http, for=b;Proto=\"HTTPS\""}}, true},
		{Forwarded, "10.1.1.1:5", http.Header{"Forwarded": {"for=a;proto=https, for=b"}}, false},
	} {
		trusted, _ := Trust([]string{"10.0.0.0/8"}, tt.header)
		if got := trusted.Secure(&http.Request{RemoteAddr: tt.remote, Header: tt.h}); got != tt.want {
			t.Errorf("%s %v: %v", tt.remote, tt.h, got)
		}
	}
}

// What is no header is refused at once.
func TestNoHeader(t *testing.T) {
	for _, b := range []string{"GET / HTTP/1.1\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 070\r\n",
		"PROXY TCP4 ::1 ::1 1 1\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 1\n", "PROXY " + strings.Repeat("x", 200)} {
		if n, _, _, err := Parse([]byte(b)); n != 0 || err == nil {
			t.Errorf("%q: %d, %v", b, n, err)
		}
	}
}
