package handover

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/wire"
)

// played is a gate with two cells that the test plays: /0... is the first's, /1...
// the other's.
type played struct {
	t      *testing.T
	gate   *Server
	peers  [2]*Peer     // the gate's
	cells  [2]*Peer     // at the other ends
	routed atomic.Int64 // requests
	begun  sync.Once
	now    atomic.Int64 // of which by RouteNow
	given  atomic.Int64
	only   atomic.Int64 // the cell that has all routes, plus one; 0 means none
}

func newPlayed(t *testing.T) *played {
	p := &played{t: t}
	p.gate = NewServer(context.Background(), http.NotFoundHandler(), Limits{}, log.New(testLog{t}, "", 0))
	for i := range p.peers {
		fa, fb, err := wire.Pair()
		if err != nil {
			t.Fatal(err)
		}
		p.cells[i], p.peers[i] = newPeers(t, fa, fb)
		t.Cleanup(func() { p.cells[i].Close(); p.peers[i].Close() })
	}
	p.gate.Route = func(r *http.Request) Dest {
		p.routed.Add(1)
		i := strings.IndexByte("01", r.URL.Path[1])
		if n := int(p.only.Load()); n > 0 {
			i = n - 1
		}
		if i < 0 {
			return Dest{Handler: hello}
		}
		return Dest{Peer: p.peers[i], Given: func() { p.given.Add(1) }, Enter: func() bool { return false }}
	}
	p.gate.RouteNow = func(r *http.Request) (Dest, bool) {
		d := p.gate.Route(r)
		if d.Peer == nil {
			p.routed.Add(-1)
			return d, false
		}
		p.now.Add(1)
		return d, true
	}
	go p.gate.Run()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		p.gate.Shutdown(ctx)
	})
	return p
}

// playedTLS is of the connections of clients.
var playedTLS = encodeState(&tls.ConnectionState{ServerName: "example.com"}, "")

// client returns the client of a connection that alternates.
func (p *played) client() net.Conn {
	p.begun.Do(func() { // the test has set Route by now
		for _, peer := range p.peers {
			p.gate.Receive(peer, func(error) {})
		}
	})
	s, client := newSocket(p.t)
	client.SetDeadline(time.Now().Add(20 * time.Second))
	c := p.gate.newConn(s, s.remote, s.local)
	c.history.moves, c.tls = 7, playedTLS
	p.gate.own(c)
	go p.gate.serve(c)
	return client
}

// take takes a request as a cell.
func (p *played) take(cell int) (id uint64, uri string) {
	p.t.Helper()
	f, err := p.cells[cell].wire.Recv()
	if err != nil || f.Kind != kindRequest {
		p.t.Errorf("cell %d got a frame %q, %v; want a request", cell, f.Kind, err)
		return 0, ""
	}
	p.cells[cell].took()
	m, err := decode(f.Body)
	if err != nil || m.remote == "" || m.local == "" || m.tls != playedTLS {
		p.t.Errorf("a request came of %q at %q with TLS %q, %v", m.remote, m.local, m.tls, err)
	}
	uri, _, _ = strings.Cut(strings.TrimPrefix(string(m.bytes), "GET "), " ")
	return m.stream, uri
}

// answerTo is a cell's answer.
func answerTo(uri string, size int) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(uri)+size, uri+strings.Repeat(".", size))
}

// awaitPaused waits until the goroutine of a request's connection has nothing to do.
func (p *played) awaitPaused(cell int, id uint64) {
	p.t.Helper()
	peer := p.peers[cell]
	peer.mu.Lock()
	f := peer.forwarded[id]
	peer.mu.Unlock()
	await(p.t, "the goroutine waits", func() bool {
		f.conn.mu.Lock()
		defer f.conn.mu.Unlock()
		return f.paused
	})
}

func (p *played) answer(cell int, id uint64, keep bool, text string) {
	p.t.Helper()
	a := answer{stream: id, done: true, keep: keep}
	if err := p.cells[cell].wire.Post(kindAnswer, a.head(nil), []byte(text)); err != nil {
		p.t.Error(err)
	}
}

func expectText(t *testing.T, c io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("%.200q, %v; want %.200q", got[:n], err, want)
	}
}

// Requests in a row go out one after the other, each with the answer of the one
// before, and none of them has to wake the connection's goroutine.
func TestPipelined(t *testing.T) {
	p := newPlayed(t)
	c := p.client()
	const n = 10
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, get, fmt.Sprintf("%d/%d", i%2, i))
	}
	io.WriteString(c, all.String())
	for i := range n {
		id, uri := p.take(i % 2)
		if want := fmt.Sprintf("/%d/%d", i%2, i); uri != want {
			t.Fatalf("%s was asked, want %s", uri, want)
		}
		if got := p.routed.Load(); got != int64(i)+1 {
			t.Fatalf("%d requests were routed before the answer of number %d", got, i)
		}
		if i < n-1 {
			p.awaitPaused(i%2, id)
		}
		p.answer(i%2, id, true, answerTo(uri, 0))
		expectText(t, c, answerTo(uri, 0))
	}
	if now := p.now.Load(); now != n-1 {
		t.Errorf("%d requests were forwarded without the goroutine, want %d", now, n-1)
	}
	await(t, "all are given", func() bool { return p.given.Load() == p.routed.Load() })
}

// What follows is the goroutine's where there is more to it than to forward it.
func TestPipelinedBefore(t *testing.T) {
	for _, tt := range []struct{ name, next, want string }{
		{"a handler of the gate's", "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
		{"no path", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
		{"no request", "GET\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlayed(t)
			c := p.client()
			io.WriteString(c, fmt.Sprintf(get, "0")+tt.next)
			id, uri := p.take(0)
			p.awaitPaused(0, id)
			p.answer(0, id, true, answerTo(uri, 0))
			expectText(t, c, answerTo(uri, 0)+tt.want)
			await(t, "it is given", func() bool { return p.given.Load() == 1 })
			if n := p.now.Load(); n != 0 {
				t.Errorf("%d requests were forwarded without the goroutine", n)
			}
		})
	}
}

// An answer that ends the connection is the last.
func TestPipelinedBehindTheLast(t *testing.T) {
	p := newPlayed(t)
	c := p.client()
	io.WriteString(c, fmt.Sprintf(get, "0")+fmt.Sprintf(get, "1"))
	id, uri := p.take(0)
	p.awaitPaused(0, id)
	p.answer(0, id, false, answerTo(uri, 0))
	got, _ := io.ReadAll(c)
	if want := answerTo(uri, 0); string(got) != want || p.routed.Load() != 1 {
		t.Errorf("%q, want %q; %d requests were routed", got, want, p.routed.Load())
	}
}

// A client that takes its answers late gets them all, in order.
func TestPipelinedAndNotRead(t *testing.T) {
	p := newPlayed(t)
	c := p.client()
	const n, size = 24, 50 << 10
	for cell := range p.cells {
		go func() {
			for range n / 2 {
				id, uri := p.take(cell)
				p.answer(cell, id, true, answerTo(uri, size))
			}
		}()
	}
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, get, fmt.Sprintf("%d/%d", i%2, i))
	}
	io.WriteString(c, all.String())
	await(t, "the client's socket is full", func() bool {
		before := p.routed.Load()
		time.Sleep(20 * time.Millisecond)
		return p.routed.Load() == before
	})
	if got := p.routed.Load(); got == n {
		t.Fatal("the client's socket takes all")
	}
	for i := range n {
		expectText(t, c, answerTo(fmt.Sprintf("/%d/%d", i%2, i), size))
	}
	await(t, "all are given", func() bool { return p.given.Load() == n })
}

// A cell that dies with a pipelined request ends the connection where it has taken
// it, and else another one gets it.
func TestPipelinedToTheDead(t *testing.T) {
	for _, taken := range []bool{true, false} {
		t.Run(fmt.Sprint("taken ", taken), func(t *testing.T) {
			p := newPlayed(t)
			c := p.client()
			io.WriteString(c, fmt.Sprintf(get, "0/a")+fmt.Sprintf(get, "1/b"))
			id, uri := p.take(0)
			p.awaitPaused(0, id)
			p.answer(0, id, true, answerTo(uri, 0))
			expectText(t, c, answerTo(uri, 0))
			if taken {
				p.take(1)
			} else if _, err := p.cells[1].wire.Recv(); err != nil {
				t.Fatal(err)
			}
			p.only.Store(1)
			p.cells[1].Close()
			p.gate.Recover(p.peers[1])
			if taken {
				if got, _ := io.ReadAll(c); len(got) > 0 {
					t.Errorf("%q behind an answer that is lost", got)
				}
			} else {
				id, uri := p.take(0)
				p.answer(0, id, true, answerTo(uri, 0))
				expectText(t, c, answerTo("/1/b", 0))
			}
			await(t, "all are given", func() bool { return p.given.Load() == p.routed.Load() })
		})
	}
}

// A pipelined request that is another cell's goes on by its own path, not by that of the first.
func TestPipelinedElsewhere(t *testing.T) {
	p := newPlayed(t)
	paths, route := make(chan string, 9), p.gate.Route
	p.gate.Route = func(r *http.Request) Dest {
		paths <- r.URL.Path
		return route(r)
	}
	c := p.client()
	io.WriteString(c, fmt.Sprintf(get, "0/a")+fmt.Sprintf(get, "1/b"))
	id, uri := p.take(0)
	p.awaitPaused(0, id)
	p.answer(0, id, true, answerTo(uri, 0))
	expectText(t, c, answerTo(uri, 0))
	id, _ = p.take(1)
	a := answer{stream: id, elsewhere: true}
	p.cells[1].wire.Post(kindAnswer, a.head(nil))
	for _, want := range []string{"/0/a", "/1/b", "/1/b"} {
		if got := <-paths; got != want {
			t.Fatalf("%s is routed, want %s", got, want)
		}
	}
	id, uri = p.take(1)
	p.answer(1, id, true, answerTo(uri, 0))
	expectText(t, c, answerTo("/1/b", 0))
	await(t, "all are given", func() bool { return p.given.Load() == p.routed.Load() })
}

// One that cannot be sent at once keeps nobody waiting.
func TestPipelinedToTheBusy(t *testing.T) {
	p := newPlayed(t)
	c := p.client()
	io.WriteString(c, fmt.Sprintf(get, "0/a")+fmt.Sprintf(get, "1/b"))
	id, uri := p.take(0)
	p.awaitPaused(0, id)
	p.peers[1].order.Lock() // somebody sends
	p.answer(0, id, true, answerTo(uri, 0))
	expectText(t, c, answerTo(uri, 0))
	other := p.client()
	fmt.Fprintf(other, get, "0/c")
	id, uri = p.take(0)
	p.answer(0, id, true, answerTo(uri, 0))
	expectText(t, other, answerTo("/0/c", 0))
	p.peers[1].order.Unlock()
	id, uri = p.take(1)
	p.answer(1, id, true, answerTo(uri, 0))
	expectText(t, c, answerTo("/1/b", 0))
}

// The gate's side of pipelined requests.
func TestPipelinedBudget(t *testing.T) {
	p := newPlayed(t)
	dests := [2]Dest{{Peer: p.peers[0], Given: func() {}}, {Peer: p.peers[1], Given: func() {}}}
	p.gate.Route = func(r *http.Request) Dest { return dests[r.URL.Path[1]-'0'] }
	p.gate.RouteNow = func(r *http.Request) (Dest, bool) { return dests[r.URL.Path[1]-'0'], true }
	const n = 4
	text := []byte(answerTo("/0", 0))
	for cell := range p.cells {
		go func() {
			var head [16]byte
			for {
				f, err := p.cells[cell].wire.Recv()
				if err != nil {
					return
				}
				p.cells[cell].took()
				id, _ := binary.Uvarint(f.Body[2:])
				a := answer{stream: id, done: true, keep: true}
				p.cells[cell].wire.Post(kindAnswer, a.head(head[:0]), text)
			}
		}()
	}
	c := p.client()
	c.SetDeadline(time.Time{})
	batch := []byte(strings.Repeat(fmt.Sprintf(get, "0")+fmt.Sprintf(get, "1"), n/2))
	buf, want := make([]byte, n*len(text)), bytes.Repeat(text, n)
	budget(t, pipelinedAllocs*n, func() {
		c.Write(batch)
		if _, err := io.ReadFull(c, buf); err != nil || !bytes.Equal(buf, want) {
			t.Fatal(err)
		}
	})
}
