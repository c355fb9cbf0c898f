package load

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	pieces   = 20
	measured = 200 * time.Millisecond
)

func server(t *testing.T) (addr string, requests *atomic.Int64) {
	requests = new(atomic.Int64)
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "Hello World!") })
	mux.HandleFunc("/bye", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "Bye World!") })
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, strings.Repeat("x", 300<<10)) })
	mux.HandleFunc("/empty", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("/leave", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Connection", "close") })
	mux.HandleFunc("/drop", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		for n := range pieces {
			fmt.Fprintf(w, "piece %d\n", n)
			w.(http.Flusher).Flush()
		}
	})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String(), requests
}

var (
	hello = Get("/hello", "Hello World!", false)
	bye   = Get("/bye", "Bye World!", false)
)

func stream() string {
	var b strings.Builder
	for n := range pieces {
		fmt.Fprintf(&b, "piece %d\n", n)
	}
	return b.String()
}

func brief(s Spec) (Result, error) {
	s.Warm, s.Time, s.PIDs = 10*time.Millisecond, measured, []int{os.Getpid()}
	return Run(s)
}

func TestLoad(t *testing.T) {
	addr, requests := server(t)
	for name, s := range map[string]Spec{
		"keep-alive":            {Conns: 8, Requests: []Request{hello}},
		"one connection":        {Conns: 1, Requests: []Request{hello}},
		"fresh":                 {Conns: 8, Fresh: true, Requests: []Request{Get("/hello", "Hello World!", true)}},
		"alternating":           {Conns: 8, Requests: []Request{hello, bye}},
		"random":                {Conns: 8, Random: true, Requests: []Request{hello, bye, Get("/empty", "", false)}},
		"pipelined":             {Conns: 8, Batch: 16, Requests: []Request{hello}},
		"pipelined alternating": {Conns: 8, Batch: 5, Requests: []Request{hello, bye}},
		"big answers":           {Conns: 4, Requests: []Request{Get("/big", strings.Repeat("x", 300<<10), false)}},
		"big requests":          {Conns: 4, Requests: []Request{Post("/upload", make([]byte, 1<<20), "1048576")}},
		"chunks":                {Conns: 4, Requests: []Request{Get("/stream", stream(), false)}},
	} {
		s.Addr = addr
		before := requests.Load()
		r, err := brief(s)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if served := requests.Load() - before; r.Answers < 1 || r.Answers > served {
			t.Errorf("%s: %d answers, and %d requests were served", name, r.Answers, served)
		}
		if r.Elapsed < measured || r.CPU <= 0 || r.Own <= 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// What is not the right answer ends the run, and says why.
func TestWrong(t *testing.T) {
	addr, _ := server(t)
	for want, r := range map[string]Request{
		"a wrong body":             Get("/hello", "Hallo World!", false),
		"a body of 12 bytes":       Get("/hello", "Hello World!!", false),
		"not 200":                  Get("/none", "", false),
		"closes the connection":    Get("/leave", "", false),
		"has closed":               Get("/drop", "", false),
		"a wrong body: \"piece 7":  Get("/stream", strings.Replace(stream(), "piece 7", "piece 8", 1), false),
		"a body of 0 bytes":        Get("/empty", "x", false),
		"bytes that nobody asked ": {Bytes: bytes.Repeat(hello.Bytes, 2), Want: hello.Want},
	} {
		_, err := brief(Spec{Addr: addr, Conns: 2, Requests: []Request{r}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: %v, want %s", r.Bytes, err, want)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if _, err := brief(Spec{Addr: ln.Addr().String(), Conns: 1, Requests: []Request{hello}}); err == nil {
		t.Error("no error where nobody listens")
	}
}

// A server that accepts and says nothing is no server.
func TestSilence(t *testing.T) {
	defer func(was time.Duration) { patience = was }(patience)
	patience = 2 * measured
	ln, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, err = brief(Spec{Addr: ln.Addr().String(), Conns: 3, Requests: []Request{hello}})
	if err == nil || !strings.Contains(err.Error(), "3 connections wait") {
		t.Errorf("got %v", err)
	}
}

// An answer may come in any pieces.
func TestPieces(t *testing.T) {
	for name, text := range map[string]string{
		"length":     "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 12\r\n\r\nHello World!",
		"lower case": "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nHello World!",
		"chunks":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n7\r\n World!\r\n0\r\n\r\n",
		"trailers":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\nHello World!\r\n0\r\nX: y\r\n\r\n",
	} {
		for size := 1; size <= len(text); size++ {
			var a answer
			var have []byte
			done := false
			for at := 0; at < len(text); at += size {
				have = append(have, text[at:min(at+size, len(text))]...)
				used, d, err := a.feed(have, []byte("Hello World!"), false)
				if err != nil || d != (at+size >= len(text)) {
					t.Fatalf("%s in pieces of %d: %v, %v after %d bytes", name, size, d, err, at+size)
				}
				have, done = have[used:], d
			}
			if !done || len(have) > 0 {
				t.Fatalf("%s in pieces of %d: left %q", name, size, have)
			}
		}
	}
}
