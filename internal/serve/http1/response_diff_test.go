package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/http1"
)

// pair is net/http's server and one that answers by Response.
type pair struct {
	keepAlives bool
	sides      [2]*side
}

// side is a server. It does one exchange at a time.
type side struct {
	name    string
	addr    string
	current atomic.Pointer[exchange]
}

type exchange struct {
	steps []step
	seen  transcript
	done  chan struct{}
}

func newPair(t testing.TB, keepAlives bool) *pair {
	t.Helper()
	p := &pair{keepAlives: keepAlives}
	for i, name := range []string{"net/http", "http1"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &side{name: name, addr: l.Addr().String()}
		p.sides[i] = s
		logger := log.New(s, "", 0)
		if i == 0 {
			server := &http.Server{Handler: s, ErrorLog: logger}
			server.SetKeepAlivesEnabled(keepAlives)
			go server.Serve(l)
			t.Cleanup(func() { server.Close() })
			continue
		}
		o := &http1.Options{ErrorLog: logger, KeepAlives: func() bool { return keepAlives }}
		go serve(l, s, o)
		t.Cleanup(func() { l.Close() })
	}
	return p
}

// Write takes the lines of the server's log.
func (s *side) Write(p []byte) (int, error) { return s.current.Load().seen.Write(p) }

func (s *side) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/next" {
		io.WriteString(w, "next")
		return
	}
	e := s.current.Load()
	defer close(e.done)
	x := &run{w: w, r: r, seen: &e.seen}
	defer func() {
		if x.conn != nil {
			x.conn.Close()
		}
	}()
	x.do(e.steps...)
}

// serve is the part of net/http's server around the response.
func serve(l net.Listener, h http.Handler, o *http1.Options) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			t := &tcp{conn: conn.(*net.TCPConn), r: bufio.NewReader(conn)}
			if !t.serve(h, o) {
				conn.Close()
			}
		}()
	}
}

// tcp is the Transport of the tests.
type tcp struct {
	conn   *net.TCPConn
	r      *bufio.Reader
	writes int
}

func (t *tcp) serve(h http.Handler, o *http1.Options) (hijacked bool) {
	for {
		r, err := http.ReadRequest(t.r)
		if err != nil {
			return false
		}
		w := http1.NewResponse(t, r, o)
		aborted := func() (aborted bool) {
			defer func() { aborted = recover() != nil }()
			h.ServeHTTP(w, r)
			return false
		}()
		switch {
		case w.Hijacked():
			return true
		case aborted:
			w.Abort()
			return false
		case !w.Finish():
			return false
		}
	}
}

func (t *tcp) Write(p []byte) (int, error) {
	t.writes++
	n, err := t.conn.Write(p)
	if err != nil {
		t.conn.Close()
	}
	return n, err
}
func (t *tcp) ReadFrom(src io.Reader) (int64, error) { return t.conn.ReadFrom(src) }
func (t *tcp) Hijack() (net.Conn, []byte, error) {
	ahead, err := t.r.Peek(t.r.Buffered())
	return t.conn, ahead, err
}
func (t *tcp) SetReadDeadline(d time.Time) error  { return t.conn.SetReadDeadline(d) }
func (t *tcp) SetWriteDeadline(d time.Time) error { return t.conn.SetWriteDeadline(d) }
func (t *tcp) CloseNotify() <-chan bool           { return make(chan bool, 1) }
func (t *tcp) Unwatch()                           {}
func (t *tcp) Gone()                              {}

// variant is the kind of a request.
type variant struct{ method, proto, connection string }

func (v variant) String() string { return v.method + " " + v.proto + " " + v.connection }

var (
	methods     = []string{"GET", "HEAD", "OPTIONS", "DELETE"}
	protos      = []string{"HTTP/1.1", "HTTP/1.0"}
	connections = []string{"", "close", "keep-alive", "x, Keep-Alive", "Upgrade, CLOSE", "upgrade", "a close\tb", "x\r\nConnection: close"}
)

var (
	dates     = regexp.MustCompile(`\r\nDate: (Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d GMT\r\n`)
	addresses = regexp.MustCompile(`127\.0\.0\.1:\d+`)
)

// do does an exchange. Another request follows behind it: so the wire tells
// whether the connection was kept.
func (s *side) do(v variant, steps []step) (wire, seen string, err error) {
	e := &exchange{steps: steps, done: make(chan struct{})}
	s.current.Store(e)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return "", "", err
	}
	// The server closes first. A reset in answer to that leaves no socket in
	// TIME_WAIT, of which there would be thousands.
	conn.(*net.TCPConn).SetLinger(0)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	connection := ""
	if v.connection != "" {
		connection = "Connection: " + v.connection + "\r\n"
	}
	fmt.Fprintf(conn, "%s / %s\r\nHost: h\r\n%s\r\nGET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", v.method, v.proto, connection)
	b, err := io.ReadAll(conn)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w after %q", s.name, err, short(string(b)))
	}
	select {
	case <-e.done:
	case <-time.After(20 * time.Second):
		return "", "", fmt.Errorf("%s: the handler hangs", s.name)
	}
	return dates.ReplaceAllString(string(b), "\r\nDate: now\r\n"), addresses.ReplaceAllString(e.seen.String(), "ADDRESS"), nil
}

// compare does the same on both sides. It returns what differs, or nothing.
func (p *pair) compare(v variant, steps []step) error {
	var wires, seen [2]string
	for i, s := range p.sides {
		var err error
		if wires[i], seen[i], err = s.do(v, steps); err != nil {
			return err
		}
	}
	if wires[0] != wires[1] {
		return fmt.Errorf("%s (keep-alives %v): on the wire\n%s", v, p.keepAlives, difference(wires))
	}
	if seen[0] != seen[1] {
		return fmt.Errorf("%s (keep-alives %v): the handler saw\n%s", v, p.keepAlives, difference(seen))
	}
	return nil
}

// difference shows both texts from shortly before where they part.
func difference(texts [2]string) string {
	i := 0
	for i < len(texts[0]) && i < len(texts[1]) && texts[0][i] == texts[1][i] {
		i++
	}
	i = max(0, i-200)
	return fmt.Sprintf("net/http: %q\nhttp1:    %q", short(texts[0][i:]), short(texts[1][i:]))
}

func short(s string) string { return s[:min(len(s), 600)] }

// Every program of the table, for every kind of request.
func TestResponseProgramsAsNetHTTP(t *testing.T) {
	for _, keepAlives := range []bool{true, false} {
		t.Run(fmt.Sprintf("keep-alives=%v", keepAlives), func(t *testing.T) {
			for name, steps := range programs {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					p := newPair(t, keepAlives)
					for _, v := range variants(keepAlives) {
						if headReadFromFails && v.method == "HEAD" && strings.Contains(name, "copy") {
							continue
						}
						if err := p.compare(v, steps); err != nil {
							t.Error(err)
						}
					}
				})
			}
		})
	}
}

// variants are the kinds of requests that make a difference.
func variants(keepAlives bool) (all []variant) {
	for _, m := range methods {
		for _, p := range protos {
			for _, c := range connections {
				usual := c == "" || c == "keep-alive"
				if m == "GET" || m == "HEAD" && (keepAlives || usual) || keepAlives && usual {
					all = append(all, variant{m, p, c})
				}
			}
		}
	}
	return all
}
