package handover

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// lingerFor sets how long the servers of a test wait for what may still come.
func lingerFor(t *testing.T, d time.Duration) {
	idle, begun := lingering, finishing
	lingering, finishing = d, d
	t.Cleanup(func() { lingering, finishing = idle, begun })
}

// last reads an answer that is to end the connection.
func (c *client) last(body string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasPrefix(string(got), body) || !resp.Close {
		c.t.Fatalf("got %q, %v, close %v; want %q and the connection's end", got, err, resp.Close, body)
	}
	c.end()
}

func (c *client) end() {
	c.t.Helper()
	if b, err := io.ReadAll(c.br); err != nil || len(b) > 0 {
		c.t.Fatalf("got %q, %v; want the connection's end", b, err)
	}
}

// gone waits until the sides are rid of all connections.
func gone(t *testing.T, sides ...*side) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, s := range sides {
		if err := s.srv.Parted(ctx); err != nil {
			t.Errorf("%s has %d connections: %v", s.name, s.srv.Conns(), err)
		}
	}
}

// Whatever a client is at when both processes begin to end, it gets its answer,
// and that says that the connection ends.
func TestPartAnswersEach(t *testing.T) {
	lingerFor(t, time.Hour)
	begun, release := make(chan bool), make(chan bool)
	a, b, address := newSides(t, Limits{}, func(s *side) {
		if s.name == "b" {
			mux := s.mux()
			mux.HandleFunc("/b/slow", func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, "begun, ")
				w.(http.Flusher).Flush() // nothing was said of the connection's end
				begun <- true
				<-release
				io.WriteString(w, "ended")
			})
			mux.HandleFunc("/b/hijack", func(w http.ResponseWriter, r *http.Request) {
				begun <- true
				<-release
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { conn.Close() })
			})
			s.srv.Mux = func() Mux { return mux }
		}
	})
	of := func(path string) string { return strings.Replace(get, "%s", path, 1) }
	var asks []*client
	for _, first := range []string{"", of("a"), of("b"), strings.Repeat(of("b"), 2), "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"} {
		for _, next := range []string{"", "GET /a HTT", "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"} {
			c := dial(t, address)
			c.write(first)
			for range strings.Count(first, "Host:") {
				if resp, err := http.ReadResponse(c.br, nil); err != nil || resp.Close {
					t.Fatalf("%v, %v", resp, err)
				} else {
					io.Copy(io.Discard, resp.Body)
				}
			}
			c.write(next)
			asks = append(asks, c)
		}
	}
	slow, hijack := dial(t, address), dial(t, address)
	slow.write(of("b/slow"))
	<-begun
	hijack.write(of("b/hijack"))
	<-begun
	await(t, "all are there, and the handlers of the bodies to come", func() bool {
		return a.srv.Conns()+b.srv.Conns() == len(asks)+2 && a.saw.Load()+b.saw.Load() == 3*5+5
	})

	b.srv.Part()
	a.srv.Part()
	close(release)
	for i, c := range asks {
		switch i % 3 {
		case 0:
			c.write(of([]string{"a", "b"}[i%2]))
			c.last([]string{"a GET", "b GET"}[i%2])
		case 1:
			c.write("P/1.1\r\nHost: x\r\n\r\n")
			c.last("a GET")
		case 2:
			// It was net/http's before the end began: the next is the last.
			c.write("x")
			c.expect("b", "POST", "/b", "x")
			c.write(of("b"))
			c.last("b GET")
		}
	}
	if resp, err := http.ReadResponse(slow.br, nil); err != nil || resp.Close {
		t.Errorf("%v, %v", resp, err)
	} else if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "begun, ended" {
		t.Errorf("%q, %v", text, err)
	}
	slow.write(of("a"))
	slow.last("a GET")
	gone(t, a, b)
}

// A connection that gets no request ends, whichever process has it.
func TestPartEndsTheIdle(t *testing.T) {
	lingerFor(t, time.Millisecond)
	a, b, address := newSides(t, Limits{})
	var all []*client
	for _, path := range []string{"", "a", "b"} {
		c := dial(t, address)
		if path != "" {
			c.write(strings.Replace(get, "%s", path, 1))
			c.expect(path, "GET", "/"+path, "")
		}
		all = append(all, c)
	}
	await(t, "all are there", func() bool { return a.srv.Conns()+b.srv.Conns() == len(all) })
	a.srv.Part()
	b.srv.Part()
	for _, c := range all {
		c.end()
	}
	gone(t, a, b)
}

// A client that has only just connected is given longer for its first request.
func TestPartWaitsForTheFirst(t *testing.T) {
	lingerFor(t, time.Millisecond)
	finishing = time.Minute
	a, b, address := newSides(t, Limits{})
	fresh, kept := dial(t, address), dial(t, address)
	kept.write(strings.Replace(get, "%s", "a", 1))
	kept.expect("a", "GET", "/a", "")
	await(t, "both are there", func() bool { return a.srv.Conns() == 2 })
	a.srv.Part()
	b.srv.Part()
	kept.end()
	fresh.write(strings.Replace(get, "%s", "a", 1))
	resp, err := http.ReadResponse(fresh.br, nil)
	if err != nil || !resp.Close {
		t.Fatalf("%v, %v", resp, err)
	}
	gone(t, a, b)
}

// A request that came as the time was up is read.
func TestLastLook(t *testing.T) {
	s := NewServer(context.Background(), nil, Limits{}, log.New(testLog{t}, "", 0))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client := dial(t, l.Addr().String())
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := s.newConn(nc, nil, nil)
	s.own(c)
	defer c.close()
	client.write("GET")
	var b [1]byte
	if _, err := nc.Read(b[:]); err != nil { // then the rest has come, too
		t.Fatal(err)
	}
	c.deadline = longAgo
	if got := make([]byte, 10); true {
		n, err := c.readRaw(got)
		if err != nil || string(got[:n]) != "ET" {
			t.Errorf("%q, %v", got[:n], err)
		}
		if n, err = c.readRaw(got); n > 0 || !isTimeout(err) {
			t.Errorf("%q, %v", got[:n], err)
		}
	}
}

// While the last requests end, nobody is answered, and that is no fault.
func TestProbeWhileShuttingDown(t *testing.T) {
	begun, release := make(chan bool), make(chan bool)
	s := NewServer(context.Background(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-release
	}), Limits{}, log.New(testLog{t}, "", 0))
	c := dial(t, listening(t, s))
	c.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	down := make(chan error)
	go func() { down <- s.Shutdown(context.Background()) }()
	for !s.parted.Load() {
		runtime.Gosched()
	}
	if err := s.Probe(context.Background()); err != nil {
		t.Error(err)
	}
	close(release)
	if err := <-down; err != nil {
		t.Error(err)
	}
}

// A handler that ends its goroutine ends its connection, also where that
// goroutine is net/http's, because an earlier request was.
func TestGoexitBehindABody(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { runtime.Goexit() })
	s := NewServer(context.Background(), mux, Limits{}, log.New(testLog{t}, "", 0))
	c := dial(t, listening(t, s))
	c.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
	if _, err := http.ReadResponse(c.br, nil); err != nil {
		t.Fatal(err)
	}
	c.write("GET /exit HTTP/1.1\r\nHost: x\r\n\r\n")
	if b, err := io.ReadAll(c.br); err != nil || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
}
