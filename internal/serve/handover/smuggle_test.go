package handover

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
)

// What hides a request in another one is taken, or refused, as net/http takes it, on a
// connection whose requests are forwarded, too: no process sees an end where another sees
// none. internal/test/equal has many more of a connection that moves.
func TestSmuggling(t *testing.T) {
	mux, own := http.NewServeMux(), http.NewServeMux()
	tell := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %q %q %v\n", r.Method, r.URL, r.Host, body, r.Header, err)
	}
	mux.HandleFunc("/", tell)
	own.HandleFunc("/b", tell)
	own.HandleFunc("/b/", tell)
	own.Handle("/", Elsewhere)
	reference := httptest.NewServer(mux)
	t.Cleanup(reference.Close)
	a, _, address := newSides(t, Limits{}, func(s *side) {
		if s.name == "b" {
			s.srv.Mux = func() Mux { return own }
			return
		}
		route := s.srv.Route
		s.srv.Route = func(r *http.Request) Dest {
			d := route(r)
			if d.Handler != nil {
				d.Handler = mux
			}
			return d
		}
	})
	const hidden = "GET /b/hidden HTTP/1.1\r\nHost: x\r\n\r\n"
	before := strings.Repeat("GET /b HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n", 3)
	cases := map[string]string{
		"two lengths":             "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 37\r\n\r\n" + hidden,
		"the same length twice":   "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody" + hidden,
		"a list of lengths":       "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4\r\n\r\nbody" + hidden,
		"a signed length":         "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\nbody" + hidden,
		"length and chunked":      "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 42\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"chunked and length":      "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + hidden,
		"encoded twice":           "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden,
		"an encoding of old":      "POST /b HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"space before the colon":  "GET /b HTTP/1.1\r\nHost: x\r\nContent-Length : 37\r\n\r\n" + hidden,
		"a folded field":          "GET /b HTTP/1.1\r\nHost: x\r\nX: a\r\n Content-Length: 37\r\n\r\n" + hidden,
		"a folded encoding":       "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + hidden,
		"bare line feeds":         "GET /b HTTP/1.1\nHost: x\nX: y\n\n" + hidden,
		"a bare carriage return":  "GET /b HTTP/1.1\r\nHost: x\rContent-Length: 37\r\n\r\n" + hidden,
		"a NUL":                   "GET /b HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n" + hidden,
		"two hosts":               "GET /b HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + hidden,
		"a chunk's extension":     "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4;a=\"\n\"\r\nbody\r\n0\r\n\r\n" + hidden,
		"a chunk's bare feed":     "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\nbody\n0\n\n" + hidden,
		"a chunk's size too long": "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000004\r\nbody\r\n0\r\n\r\n" + hidden,
		"a body of a GET":         "GET /b HTTP/1.1\r\nHost: x\r\nContent-Length: 37\r\n\r\n" + hidden + hidden,
		"an absolute target":      "GET http://y/b HTTP/1.1\r\nHost: x\r\n\r\n" + hidden,
	}
	t.Run("all", func(t *testing.T) {
		for name, text := range cases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				want, got := transcript(t, reference.Listener.Addr().String(), before+text), transcript(t, address, before+text)
				if got != want {
					t.Errorf("got  %q\nwant %q", got, want)
				}
			})
		}
	})
	if n := a.moved.Load(); n < int64(3*len(cases)) {
		t.Errorf("%d requests were forwarded", n)
	}
}

// A client that has sent a part of a head, and goes on slowly, costs one goroutine.
func TestSlowHeadsAreCheap(t *testing.T) {
	const clients = 200
	a, _, address := newSides(t, Limits{})
	before := runtime.NumGoroutine()
	for range clients {
		dial(t, address).write("GET /b HT")
	}
	await(t, "all are accepted", func() bool { return a.srv.Conns() == clients })
	if n := runtime.NumGoroutine() - before; n > clients+20 {
		t.Errorf("%d goroutines for %d clients", n, clients)
	}
}
