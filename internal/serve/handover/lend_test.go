package handover

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/wire"
)

func lends(s *side) { s.srv.Lends = s.name == "a" }

// lentMux is b's, with handlers that need more than a request's bytes.
func lentMux(s *side) {
	if s.name != "b" {
		return
	}
	mux := s.mux()
	mux.HandleFunc("/b/big", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Repeat("x", 1<<20)) })
	mux.HandleFunc("/b/flush", func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			io.WriteString(w, "part\n")
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done() // until the client has gone
	})
	mux.HandleFunc("/b/hijack", func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			s.srv.http.ErrorLog.Print(err)
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n%s\n", c.RemoteAddr())
		line, err := rw.ReadString('\n')
		fmt.Fprintf(c, "%q %v", line, err)
	})
	s.srv.Mux = func() Mux { return mux }
}

// Where no connection leaves the gate, answers are those of others, whatever it takes: bodies,
// long answers, streams, other protocols; and the connection stays.
func TestLent(t *testing.T) {
	a, b, address := newSides(t, Limits{}, lends, lentMux)
	c := dial(t, address)
	body := strings.Repeat("y", 1<<20)
	for range 3 {
		c.write("GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
		c.expect("b", "GET", "/b", "")
		c.write("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
		c.expect("b", "POST", "/b", "body")
		go c.write(fmt.Sprintf("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		c.expect("b", "POST", "/b", body)
		// All that follows comes at once, behind a body in chunks.
		c.write("POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n" +
			"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" + "GET /b/big HTTP/1.1\r\nHost: x\r\n\r\n" + "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nz")
		c.expect("b", "POST", "/b", "body")
		c.expect("a", "GET", "/a", "")
		r, err := http.ReadResponse(c.br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r.Body); len(got) != 1<<20 || err != nil {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		c.expect("a", "POST", "/a", "z")
	}
	if n := a.srv.Conns(); n != 1 {
		t.Errorf("the gate has %d connections", n)
	}
	await(t, "b has none", func() bool { return b.srv.Conns() == 0 })

	s := dial(t, address)
	s.write("GET /b/flush HTTP/1.1\r\nHost: x\r\n\r\n")
	r, err := http.ReadResponse(s.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(r.Body).ReadString('\n'); line != "part\n" {
		t.Errorf("%q, %v", line, err)
	}
	s.conn.Close() // the handler's context ends

	for _, behind := range []string{"hello\n", ""} {
		c.write("GET /b HTTP/1.1\r\nHost: x\r\n\r\n" + "GET /b/hijack HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" + behind)
		c.expect("b", "GET", "/b", "")
		if r, err = http.ReadResponse(c.br, nil); err != nil || r.StatusCode != 101 {
			t.Fatal(r, err)
		}
		if line, err := c.br.ReadString('\n'); line != c.conn.LocalAddr().String()+"\n" {
			t.Errorf("the handler is told of %q, %v", line, err)
		}
		if behind == "" {
			c.write("hello\n")
		}
		if got, err := io.ReadAll(c.br); string(got) != `"hello\n" <nil>` || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		c = dial(t, address)
	}
	await(t, "b has none", func() bool { return b.srv.Conns() == 0 })
}

// A client that sends nothing more gets all its answers.
func TestLentHalfClosed(t *testing.T) {
	_, _, address := newSides(t, Limits{}, lends, func(s *side) {
		if s.name == "b" {
			mux := s.mux()
			mux.HandleFunc("/b/looks", func(w http.ResponseWriter, r *http.Request) {
				r.Context().Err() // it is lent for that
				s.ServeHTTP(w, r)
			})
			s.srv.Mux = func() Mux { return mux }
		}
	})
	for range 200 {
		c := dial(t, address)
		c.write("GET /b/looks HTTP/1.1\r\nHost: x\r\n\r\n" + "GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
		c.conn.(*net.TCPConn).CloseWrite()
		c.expect("b", "GET", "/b/looks", "")
		c.expect("b", "GET", "/b", "")
		c.conn.Close()
	}
}

// A body whose end net/http looks for in the next request has none: the gate does not go on looking.
func TestLentBodyWithoutEnd(t *testing.T) {
	_, _, address := newSides(t, Limits{}, lends, lentMux)
	c := dial(t, address)
	c.write("POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nT: 1\n\n" + "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	c.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if got, err := io.ReadAll(c.br); isTimeout(err) {
		t.Errorf("%q, %v", got, err)
	}
}

// A handler that takes a connection without having been asked writes to the client, and reads
// nothing: the client may send another's request next.
func TestLentUnasked(t *testing.T) {
	_, _, address := newSides(t, Limits{}, lends, lentMux)
	c := dial(t, address)
	c.write("GET /b HTTP/1.1\r\nHost: x\r\n\r\n" + "GET /b/hijack HTTP/1.1\r\nHost: x\r\n\r\n" + "GET /a?secret HTTP/1.1\r\nHost: x\r\n\r\n")
	c.expect("b", "GET", "/b", "")
	got, err := io.ReadAll(c.br)
	if !strings.HasPrefix(string(got), "HTTP/1.1 101 ") || strings.Contains(string(got), "secret") {
		t.Errorf("%q, %v", got, err)
	}
}

// borrower is a hostile cell of a gate that lends. The gate answers /own itself.
func borrower(t testing.TB) *foe {
	return newFoe(t, "key", func(s *Server) {
		s.Lends = true
		route := s.Route
		s.Route = func(r *http.Request) Dest {
			if r.URL.Path == "/own" {
				return Dest{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "own") })}
			}
			return route(r)
		}
	})
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// What a hostile cell keeps of a connection is of no use: it is not the client's, later requests
// are not to be read there, and what it writes there reaches nobody.
func TestLentKept(t *testing.T) {
	f := borrower(t)
	f.client.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
	m, fd := f.took(kindConn)
	if string(m.bytes) != "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx" || m.keys != nil || m.loan == 0 {
		t.Fatalf("%+v", m)
	}
	if sa, err := syscall.Getpeername(fd); err != nil {
		t.Fatal(err)
	} else if _, is := sa.(*syscall.SockaddrUnix); !is {
		t.Fatalf("a cell has a socket of %T", sa)
	}
	kept, err := syscall.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(kept)
	syscall.SetNonblock(kept, true)
	syscall.Write(fd, []byte(okAnswer))
	a := answer{stream: m.loan, done: true, keep: true}
	f.wire.Post(kindAnswer, a.head(nil), nil)
	read := func(want string) {
		t.Helper()
		r, err := http.ReadResponse(f.client.br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(r.Body); string(got) != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	read("ok")
	for range 3 {
		f.client.write("GET /own HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n\r\n")
		read("own")
		if n, err := syscall.Read(kept, make([]byte, 64)); n != 0 || err != nil {
			t.Fatalf("%d bytes are read, %v", n, err)
		}
		if n, err := syscall.Write(kept, []byte(okAnswer)); n > 0 {
			t.Fatalf("%d bytes are written, %v", n, err)
		}
	}
	if n := f.client.br.Buffered(); n != 0 {
		t.Errorf("%d bytes more", n)
	}
}

// Whatever a hostile cell answers, no byte of it comes in the place of another's answer, and a
// connection that is not between two requests ends.
func TestLentForged(t *testing.T) {
	const (
		post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
		more = "GET /own HTTP/1.1\r\nHost: x\r\n\r\n"
	)
	word := func(f *foe, m message, a answer) {
		a.stream = m.loan
		f.wire.Post(kindAnswer, a.head(nil), a.bytes)
	}
	for name, tt := range map[string]struct {
		asks, sees string
		want       error
		do         func(f *foe, m message, fd int)
	}{
		"another answer behind": {post + "xy" + more, okAnswer, nil, func(f *foe, m message, fd int) {
			syscall.Write(fd, []byte(okAnswer+okAnswer))
			word(f, m, answer{done: true, keep: true})
		}},
		"another answer in one that clients read in two ways": {post + "xy" + more, "HTTP/1.1 200 OK", nil, func(f *foe, m message, fd int) {
			syscall.Write(fd, []byte("HTTP/1.1 200 OK\nContent-Length: 0\n\n"+okAnswer))
			word(f, m, answer{done: true, keep: true})
		}},
		"less than an answer": {post + "xy" + more, okAnswer[:len(okAnswer)-1], nil, func(f *foe, m message, fd int) {
			syscall.Write(fd, []byte(okAnswer[:len(okAnswer)-1]))
			word(f, m, answer{done: true, keep: true})
		}},
		"an answer before the body has come": {post, okAnswer, nil, func(f *foe, m message, fd int) {
			syscall.Write(fd, []byte(okAnswer))
			word(f, m, answer{done: true, keep: true})
		}},
		"a part of an answer, and not to be its own": {post + "xy" + more, okAnswer[:40], nil, func(f *foe, m message, fd int) {
			syscall.Write(fd, []byte(okAnswer[:40]))
			word(f, m, answer{elsewhere: true})
		}},
		"the descriptor back": {post + "xy" + more, "", errLends, func(f *foe, m message, fd int) {
			m.idle, m.bytes, m.loan = true, nil, 0
			f.give(m, fd)
		}},
		"its connection":  {post + "xy" + more, "", errAnswer, func(f *foe, m message, fd int) { word(f, m, answer{move: true}) }},
		"bytes in a word": {post + "xy" + more, "", errAnswer, func(f *foe, m message, fd int) { word(f, m, answer{bytes: []byte(okAnswer)}) }},
	} {
		t.Run(name, func(t *testing.T) {
			f := borrower(t)
			f.client.write(tt.asks)
			m, fd := f.took(kindConn)
			tt.do(f, m, fd)
			if tt.want != nil {
				if err := <-f.ended; err != tt.want {
					t.Errorf("it ends with %v", err)
				}
				syscall.Close(fd) // it has ended
				return
			}
			got, err := io.ReadAll(f.client.br)
			if string(got) != tt.sees {
				t.Errorf("%q, %v; want %q", got, err, tt.sees)
			}
		})
	}
	// The same of answers that pass as bytes.
	for name, parts := range map[string][]answer{
		"behind":          {{bytes: []byte(okAnswer + okAnswer), done: true, keep: true}},
		"behind, apart":   {{bytes: []byte(okAnswer)}, {bytes: []byte(okAnswer), done: true, keep: true}},
		"less than one":   {{bytes: []byte(okAnswer[:len(okAnswer)-1]), done: true, keep: true}},
		"begun elsewhere": {{bytes: []byte(okAnswer)}, {elsewhere: true}},
	} {
		t.Run(name, func(t *testing.T) {
			f := borrower(t)
			f.client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n" + more)
			m, _ := f.took(kindRequest)
			for _, a := range parts {
				a.stream = m.stream
				f.wire.Post(kindAnswer, a.head(nil), a.bytes)
			}
			got, err := io.ReadAll(f.client.br)
			if !strings.HasPrefix(okAnswer, string(got)) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// A loan that a process leaves in its socket when it dies goes to another; one that it has taken
// does not, nor one that it has no descriptor for.
func TestLentToTheDead(t *testing.T) {
	fa, fb, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	doomed, itself := newPeers(t, fa, fb)
	var sent, ended atomic.Int64
	a, b, address := newSides(t, Limits{}, lends, func(s *side) {
		if s.name == "a" {
			s.srv.Route = func(r *http.Request) Dest {
				if sent.Add(1) <= 3 {
					return Dest{Peer: doomed, Given: func() { ended.Add(1) }}
				}
				return s.route(r)
			}
		}
	})
	var clients []*client
	for i := range 3 {
		c := dial(t, address)
		c.write(fmt.Sprintf("POST /b/%d HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", i))
		await(t, "it is sent", func() bool { doomed.mu.Lock(); defer doomed.mu.Unlock(); return len(doomed.kept) == i+1 })
		clients = append(clients, c)
	}
	takesOneAndDies(t, a, doomed, itself, clients)
	await(t, "nothing is on its way", func() bool { return ended.Load() == 3 })
	if n := b.saw.Load(); n != 2 {
		t.Errorf("b has answered %d requests, want 2", n)
	}
}

// A process that has no descriptor for a loan leaves the request to another try.
func TestLentMissed(t *testing.T) {
	f := borrower(t)
	f.client.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
	fr, err := f.wire.Recv()
	if err != nil || fr.Kind != kindConn {
		t.Fatal(fr.Kind, err)
	}
	closeAll(fr.FDs)
	f.came++
	f.counts.ours.note(uint64(f.came), true)
	f.counts.ours.taken.Add(1)
	m, fd := f.took(kindConn)
	syscall.Write(fd, []byte(okAnswer))
	a := answer{stream: m.loan, done: true, keep: true}
	f.wire.Post(kindAnswer, a.head(nil), nil)
	r, err := http.ReadResponse(f.client.br, nil)
	if err != nil || r.StatusCode != 200 {
		t.Fatal(r, err)
	}
	f.client.conn.SetDeadline(time.Now().Add(5 * time.Second))
	io.Copy(io.Discard, r.Body)
	f.client.write("GET /own HTTP/1.1\r\nHost: x\r\n\r\n")
	if r, err = http.ReadResponse(f.client.br, nil); err != nil || r.StatusCode != 200 {
		t.Error(r, err)
	}
}
