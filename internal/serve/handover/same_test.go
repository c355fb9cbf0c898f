package handover

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"
)

const headLimit = 100 * time.Millisecond

// What is at the edges of a request is as it is with net/http's own server: the
// whole of it is internal/test/equal's.
func TestSameAsNetHTTP(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/b/hijack", func(w http.ResponseWriter, r *http.Request) {
		io.CopyN(io.Discard, r.Body, 2)
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		n := rw.Reader.Buffered()
		early, _ := rw.Reader.Peek(n)
		fmt.Fprintf(c, "buffered %q\n", early)
		rest, err := io.ReadAll(rw)
		fmt.Fprintf(c, "read %q %v, context %v\n", rest, err, r.Context().Err())
	})
	mux.HandleFunc("/b/limit", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(-time.Second))
		<-r.Context().Done()
	})
	context := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "trailer %q, context %v\n", r.Trailer, r.Context().Err())
	}
	mux.HandleFunc("/a/context", context)
	mux.HandleFunc("/b/context", context)

	reference := httptest.NewUnstartedServer(mux)
	reference.Config.ReadHeaderTimeout = headLimit
	reference.Start()
	t.Cleanup(reference.Close)
	_, _, address := newSides(t, Limits{HeaderTimeout: headLimit}, func(s *side) {
		if s.name == "b" {
			s.srv.Mux = func() Mux { return mux }
		} else {
			s.srv.Route = func(r *http.Request) Dest {
				d := s.route(r)
				if d.Handler != nil {
					d.Handler = mux
				}
				return d
			}
		}
	})
	const get, post = "GET /b/context HTTP/1.1\r\nHost: x\r\n\r\n", "POST /b/context HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
	const chunked = "POST /b/context HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n"
	for name, text := range map[string]string{
		"part of a line, and no more": "G",
		"part of a line later":        get + "GET ",
		"line ends behind a POST":     "POST /a/context HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" + "\r\n\r\n" + get,
		"more of them":                "POST /a/context HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" + "\r\n\r\n\r\n" + get,
		"more of them for a cell":     post + "\r\n\r\n\r\n" + get,
		"a trailer's bare line feeds": chunked + "T: 1\n\n" + get,
		"no trailer, a line feed":     chunked + "\n" + post + get,
		"hijacked behind a body":      "POST /b/hijack HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhiearly",
		"hijacked in a body":          "POST /b/hijack HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbodyearly",
		"hijacked without one":        "GET /b/hijack HTTP/1.1\r\nHost: x\r\n\r\nearly",
		"contexts that have ended":    "GET /b/limit HTTP/1.1\r\nHost: x\r\n\r\n" + get + post + get,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, got := transcript(t, reference.Listener.Addr().String(), text), transcript(t, address, text)
			if got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

var anyDate = regexp.MustCompile(`\r\nDate: [^\r]*`)

// transcript is all that a server says to text; if it does not end the connection
// then, the client ends its side.
func transcript(t *testing.T, address, text string) string {
	t.Helper()
	c := dial(t, address)
	c.write(text)
	c.conn.SetReadDeadline(time.Now().Add(4 * headLimit))
	before, err := io.ReadAll(c.br)
	if isTimeout(err) {
		c.conn.(*net.TCPConn).CloseWrite()
	}
	c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	after, err := io.ReadAll(c.br)
	return anyDate.ReplaceAllString(string(before)+string(after), "") + fmt.Sprint(err)
}
