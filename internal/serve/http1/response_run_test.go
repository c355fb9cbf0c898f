package http1_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

// testFile is of testFileSize bytes, for sendfile(2).
var testFile string

const testFileSize = 200_000

func TestMain(m *testing.M) {
	f, err := os.CreateTemp("", "http1")
	if err == nil {
		_, err = f.Write(text(testFileSize))
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		panic(err)
	}
	testFile = f.Name()
	code := m.Run()
	os.Remove(testFile)
	os.Exit(code)
}

var longText = bytes.Repeat([]byte("<p>some text\n"), testFileSize/13+1)

func text(n int) []byte { return longText[:n:n] }

// transcript is what a handler saw, and what was logged meanwhile.
type transcript struct {
	mu    sync.Mutex
	lines []string
}

func (s *transcript) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func (s *transcript) Write(p []byte) (int, error) {
	s.note("log: %s", p)
	return len(p), nil
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// run is one execution of a handler program.
type run struct {
	w    http.ResponseWriter
	r    *http.Request
	seen *transcript
	conn net.Conn // once hijacked
}

// step is a part of a program. What it sees it notes.
type step func(x *run)

func (x *run) do(steps ...step) {
	for _, s := range steps {
		x.try(s)
	}
}

// try notes a panic, but for that which aborts the handler.
func (x *run) try(s step) {
	defer func() {
		if p := recover(); p == http.ErrAbortHandler {
			panic(p)
		} else if p != nil {
			x.seen.note("panic: %v", p)
		}
	}()
	s(x)
}

func set(k, v string) step { return func(x *run) { x.w.Header().Set(k, v) } }
func add(k, v string) step { return func(x *run) { x.w.Header().Add(k, v) } }
func del(k string) step    { return func(x *run) { x.w.Header().Del(k) } }

// raw sets a field as it is spelt, to any number of values.
func raw(k string, v ...string) step { return func(x *run) { x.w.Header()[k] = v } }

func showHeader(x *run) { x.seen.note("header %q", x.w.Header()) }

func status(code int) step { return func(x *run) { x.w.WriteHeader(code) } }

func write(n int) step { return writeBytes(text(n)) }

func writeBytes(p []byte) step {
	return func(x *run) {
		n, err := x.w.Write(p)
		x.seen.note("write %d: %d %v", len(p), n, err)
	}
}

func writeString(n int) step {
	return func(x *run) {
		k, err := x.w.(io.StringWriter).WriteString(string(text(n)))
		x.seen.note("write string %d: %d %v", n, k, err)
	}
}

func flush(x *run) { x.w.(http.Flusher).Flush() }

func flushError(x *run) { x.seen.note("flush: %v", http.NewResponseController(x.w).Flush()) }

func controls(x *run) {
	c := http.NewResponseController(x.w)
	x.seen.note("controls: %v %v %v", c.SetReadDeadline(time.Time{}),
		c.SetWriteDeadline(time.Now().Add(time.Minute)), c.EnableFullDuplex())
}

// timedOut lets every write to the client fail.
func timedOut(x *run) {
	x.seen.note("deadline: %v", http.NewResponseController(x.w).SetWriteDeadline(time.Unix(1, 0)))
}

func closeNotify(x *run) {
	w := x.w.(interface{ CloseNotify() <-chan bool })
	c := w.CloseNotify()
	x.seen.note("close notify: %v, the same: %v", len(c), c == w.CloseNotify())
}

// source notes how it is read.
type source struct {
	io.Reader
	x *run
}

func (s source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.x.seen.note("read of %d: %d %v", len(p), n, err)
	return n, err
}

var errSource = errors.New("the source fails")

// sources are readers of n bytes.
var sources = []func(x *run, n int) (io.Reader, func() error){
	func(x *run, n int) (io.Reader, func() error) { return source{bytes.NewReader(text(n)), x}, noClose },
	func(x *run, n int) (io.Reader, func() error) { return bytes.NewReader(text(n)), noClose },
	func(x *run, n int) (io.Reader, func() error) {
		return source{iotest.HalfReader(bytes.NewReader(text(n))), x}, noClose
	},
	func(x *run, n int) (io.Reader, func() error) {
		return source{iotest.DataErrReader(bytes.NewReader(text(n))), x}, noClose
	},
	func(x *run, n int) (io.Reader, func() error) {
		return source{io.MultiReader(bytes.NewReader(text(n)), iotest.ErrReader(errSource)), x}, noClose
	},
	func(x *run, n int) (io.Reader, func() error) {
		f, err := os.Open(testFile)
		if err != nil {
			panic(err)
		}
		f.Seek(int64(max(0, testFileSize-n)), io.SeekStart)
		return f, f.Close
	},
	func(x *run, n int) (io.Reader, func() error) {
		f, err := os.Open(testFile)
		if err != nil {
			panic(err)
		}
		return io.LimitReader(f, int64(n)), f.Close
	},
}

func noClose() error { return nil }

// copyFrom copies by io.Copy, or by ReadFrom whatever the source offers.
func copyFrom(kind, n int, direct bool) step {
	return func(x *run) {
		src, closeSource := sources[kind](x, n)
		defer closeSource()
		var k int64
		var err error
		if direct {
			k, err = x.w.(io.ReaderFrom).ReadFrom(src)
		} else {
			k, err = io.Copy(x.w, src)
		}
		x.seen.note("copy: %d %v", k, err)
	}
}

// hijack takes the connection and says something on it. The run closes it.
func hijack(x *run) {
	conn, rw, err := x.w.(http.Hijacker).Hijack()
	x.seen.note("hijack: %v", err)
	if err != nil {
		return
	}
	x.conn = conn
	x.seen.note("hijacked: %d of %d read, %d of %d to write", rw.Reader.Buffered(), rw.Reader.Size(), rw.Writer.Buffered(), rw.Writer.Size())
	rw.WriteString("raw\r\n")
	x.seen.note("flush: %v", rw.Flush())
	r, err := http.ReadRequest(bufio.NewReader(rw))
	if err != nil {
		x.seen.note("read: %v", err)
		return
	}
	fmt.Fprintf(conn, "raw %s\r\n", r.URL)
}

func abort(x *run) { panic(http.ErrAbortHandler) }

// method changes the request under way, as some middleware does.
func method(m string) step { return func(x *run) { x.r.Method = m } }

// upstream answers what a proxy asks, with a trailer. Were the length unknown,
// the proxy would flush by a timer, at no certain time.
type upstream struct{}

func (upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: 5000,
		Header:  http.Header{"X-Up": {"1"}, "Connection": {"keep-alive"}},
		Body:    io.NopCloser(bytes.NewReader(text(5000))),
		Trailer: http.Header{"X-T": {"1"}},
	}, nil
}

// panicking is a reader in trouble.
type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("trouble") }
