package handover

import (
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/wire"
)

// way is one to a peer whose process the test is: it takes, or misses, what is sent.
type way struct {
	srv         *Server
	near, far   *Peer
	sent        atomic.Int64
	closed      atomic.Int64 // descriptors of the near side
	taken, lost int64
}

func newWay(t testing.TB) *way {
	t.Helper()
	fa, fb, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	w := &way{}
	w.near, w.far = newPeers(t, fa, fb)
	w.near.send = func(byte, []int, ...[]byte) error { w.sent.Add(1); return nil }
	w.srv = NewServer(context.Background(), http.NotFoundHandler(), Limits{}, log.New(testLog{t}, "", 0))
	w.srv.Back = func() *Peer { return w.near }
	t.Cleanup(func() {
		w.near.Close()
		w.far.Close()
		for _, c := range w.srv.owned() {
			c.raw.Close()
		}
	})
	return w
}

// conn returns a connection of the near side.
func (w *way) conn() *Conn {
	c := w.srv.newConn(&counted{w: w, end: make(chan struct{})}, nil, nil)
	w.srv.own(c)
	return c
}

// take takes or misses the next frame.
func (w *way) take(missed bool) {
	w.far.tookConn(missed)
	if missed {
		w.lost++
	} else {
		w.taken++
	}
}

func (w *way) look() {
	w.near.mu.Lock()
	defer w.near.mu.Unlock()
	w.near.release()
}

// counted is a socket that counts its end, and that nothing comes from.
type counted struct {
	net.Conn
	w    *way
	once sync.Once
	end  chan struct{}
}

func (c *counted) Read([]byte) (int, error)              { <-c.end; return 0, io.EOF }
func (c *counted) SetReadDeadline(time.Time) error       { return nil }
func (c *counted) Close() error                          { c.once.Do(func() { close(c.end); c.w.closed.Add(1) }); return nil }
func (c *counted) SyscallConn() (syscall.RawConn, error) { return descriptor0{}, nil }

type descriptor0 struct{ syscall.RawConn }

func (descriptor0) Control(f func(uintptr)) error { f(0); return nil }

// However the sender's look falls between the two counts of a receiver that
// misses connections, none is closed that was not taken.
func TestMissedWhileLookedAt(t *testing.T) {
	w := newWay(t)
	const n = 5000
	go func() {
		for range n {
			if err := w.near.give(w.conn()); err != nil {
				t.Error(err)
			}
		}
	}()
	for end := time.Now().Add(time.Minute); w.taken < n; {
		switch {
		case w.sent.Load() > w.taken+w.lost:
			w.take(rand.IntN(2) == 0)
		case w.closed.Load() == n || time.Now().After(end):
			t.Fatalf("%d connections were taken and %d closed, of %d", w.taken, w.closed.Load(), n)
		default:
			w.look()
		}
	}
	await(t, "all are let go", func() bool { return w.closed.Load() == n })
}

// A sender that does not look for a while, stopped or without a processor, has
// all connections again that were missed meanwhile: also before it receives.
func TestManyMissed(t *testing.T) {
	w := newWay(t)
	for range recent {
		if err := w.near.give(w.conn()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.near.sendFD(descriptor0{}, w.conn(), &message{}, nil); err != errManyOnTheirWay {
		t.Errorf("one more is sent: %v", err)
	}
	for range recent {
		w.take(true)
	}
	await(t, "all are sent again", func() bool { return w.sent.Load() == 2*recent })
	for range recent {
		w.take(false)
	}
	await(t, "all are let go", func() bool { return w.closed.Load() == recent })
}

// A process is not told that nothing more comes before it has the connection of a
// request that it serves. If it dies, the client is told, rather than left to wait.
func TestFetchedAndMissed(t *testing.T) {
	w := newWay(t)
	var given atomic.Int64
	fetch := func() {
		if err := w.near.giveFor(w.conn(), 7, func() { given.Add(1) }); err != nil {
			t.Fatal(err)
		}
	}
	fetch()
	w.take(true)
	await(t, "it is sent again", func() bool { return w.sent.Load() == 2 })
	if given.Load() != 0 {
		t.Error("it counts as given")
	}
	w.take(false)
	await(t, "it is given", func() bool { return given.Load() == 1 })
	if w.closed.Load() != 1 {
		t.Error("it was taken, and is open here still")
	}
	fetch()
	w.srv.Recover(w.near)
	await(t, "it is closed", func() bool { return w.closed.Load() == 2 && given.Load() == 2 })
}

// Who has no gate to give a connection to keeps it, and answers what it cannot
// pass on.
func TestNobodyTakesItBack(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/mine", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "mine") })
	mux.Handle("/", Elsewhere)
	s := NewServer(context.Background(), http.NotFoundHandler(), Limits{}, log.New(testLog{t}, "", 0))
	s.Mux = func() Mux { return mux }
	var asked atomic.Int64
	s.Back = func() *Peer { asked.Add(1); return nil }
	c := dial(t, listening(t, s))
	ask := func(method, path string, status int) {
		t.Helper()
		c.write(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", method, path))
		resp, err := http.ReadResponse(c.br, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != status {
			t.Errorf("%s %s: %s, want %d", method, path, resp.Status, status)
		}
	}
	ask("GET", "/mine", 200)
	await(t, "it is idle", func() bool { return s.owned()[0].evictIdle() })
	await(t, "nobody takes it", func() bool { return asked.Load() > 0 })
	for range 2 {
		ask("GET", "/mine", 200)
		ask("GET", "/foreign", 503)
		ask("POST", "/foreign", 503)
	}
}

// A server that retires gives back at once what comes back to it, in mid-head.
func TestMissedOfARetired(t *testing.T) {
	w := newWay(t)
	c := w.conn()
	c.buf, c.w = []byte("GET / HTT"), 9
	if err := w.near.give(c); err != nil {
		t.Fatal(err)
	}
	w.srv.Retire()
	w.take(true)
	await(t, "it is sent again", func() bool { return w.sent.Load() == 2 })
}

// A request that was to come with its connection to a process which dies has not
// begun there: it is routed again.
func TestMovesToTheDead(t *testing.T) {
	_, _, address := newSides(t, Limits{}, func(s *side) {
		if s.name == "b" {
			s.srv.Mux = nil // it wants every request with its connection
			return
		}
		s.other.send = func(byte, []int, ...[]byte) error { return os.NewSyscallError("sendmsg", syscall.EPIPE) }
		route := s.srv.Route
		s.srv.Route = func(r *http.Request) Dest {
			if s.other.Dead() {
				return Dest{Handler: s}
			}
			return route(r)
		}
	})
	c := dial(t, address)
	c.write("GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || !strings.HasPrefix(string(b), "a GET /b ") {
		t.Errorf("%s: %q, %v", resp.Status, b, err)
	}
}
