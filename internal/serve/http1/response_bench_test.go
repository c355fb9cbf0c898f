package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/http1"
)

// null is a Transport that goes nowhere.
type null struct{}

func (null) Write(p []byte) (int, error)           { return len(p), nil }
func (null) ReadFrom(src io.Reader) (int64, error) { return io.Copy(io.Discard, src) }
func (null) Hijack() (net.Conn, []byte, error)     { return nil, nil, nil }
func (null) SetReadDeadline(time.Time) error       { return nil }
func (null) SetWriteDeadline(time.Time) error      { return nil }
func (null) CloseNotify() <-chan bool              { return nil }
func (null) Unwatch()                              {}
func (null) Gone()                                 {}

var (
	helloBody = []byte("Hello, World!")
	large     = text(10 << 10)
)

// answers are handlers with the allocations that their answer costs: one, the
// Response. A header of the handler's own is a map, its storage and the value.
var answers = []struct {
	name   string
	allocs float64
	h      http.HandlerFunc
}{
	{"hello", 1, func(w http.ResponseWriter, _ *http.Request) { w.Write(helloBody) }},
	{"hello with a type", 4, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write(helloBody)
	}},
	{"10k", 1, func(w http.ResponseWriter, _ *http.Request) { w.Write(large) }},
	{"10k with its length", 4, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10240")
		w.Write(large)
	}},
}

func TestResponseAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	r := get(t)
	for _, a := range answers {
		got := testing.AllocsPerRun(1000, func() {
			w := http1.NewResponse(null{}, r, nil)
			a.h(w, r)
			w.Finish()
		})
		if got != a.allocs {
			t.Errorf("%s: %v allocations, want %v", a.name, got, a.allocs)
		}
	}
}

func BenchmarkResponse(b *testing.B) {
	r := get(b)
	for _, a := range answers {
		b.Run(a.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; i < b.N; i++ {
				w := http1.NewResponse(null{}, r, nil)
				a.h(w, r)
				w.Finish()
			}
		})
	}
}

// endless is a connection that asks n times for the same, and takes any answer.
type endless struct {
	net.Conn
	n    int
	left []byte
	done chan struct{}
}

const request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

func (e *endless) Read(p []byte) (int, error) {
	if len(e.left) == 0 {
		if e.n == 0 {
			return 0, io.EOF
		}
		e.n--
		e.left = []byte(request)
	}
	n := copy(p, e.left)
	e.left = e.left[n:]
	return n, nil
}
func (e *endless) Write(p []byte) (int, error)      { return len(p), nil }
func (e *endless) Close() error                     { close(e.done); return nil }
func (e *endless) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (e *endless) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (e *endless) SetDeadline(time.Time) error      { return nil }
func (e *endless) SetReadDeadline(time.Time) error  { return nil }
func (e *endless) SetWriteDeadline(time.Time) error { return nil }

// once is a listener with one connection.
type once struct {
	conn net.Conn
	done chan struct{}
}

func (o *once) Accept() (net.Conn, error) {
	if c := o.conn; c != nil {
		o.conn = nil
		return c, nil
	}
	<-o.done
	return nil, net.ErrClosed
}
func (o *once) Close() error   { return nil }
func (o *once) Addr() net.Addr { return &net.TCPAddr{} }

// net/http's server for comparison: it reads and parses the request, too.
// BenchmarkReadRequest is about that share.
func BenchmarkNetHTTP(b *testing.B) {
	for _, a := range answers {
		b.Run(a.name, func(b *testing.B) {
			b.ReportAllocs()
			done := make(chan struct{})
			http.Serve(&once{&endless{n: b.N, done: done}, done}, a.h)
		})
	}
}

func BenchmarkReadRequest(b *testing.B) {
	b.ReportAllocs()
	r := bufio.NewReader(&endless{n: b.N})
	for i := 0; i < b.N; i++ {
		if _, err := http.ReadRequest(r); err != nil {
			b.Fatal(fmt.Errorf("%d: %w", i, err))
		}
	}
}
