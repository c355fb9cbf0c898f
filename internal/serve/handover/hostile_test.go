package handover

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/wire"
)

// foe is a process that handlers run in, as a gate sees it: the test says what it
// sends.
type foe struct {
	t       testing.TB
	gate    *Server
	wire    *wire.Conn
	counts  *counts
	ended   chan error // Receive's
	peer    *Peer      // the gate's
	client  *client
	address string
	came    int
}

func newFoe(t testing.TB, key string, change ...func(*Server)) *foe {
	t.Helper()
	fa, fb, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := newPeers(t, fb, fa)
	f := &foe{t: t, wire: ours.wire, counts: ours.counts, ended: make(chan error, 1)}
	f.gate = NewServer(context.Background(), http.NotFoundHandler(), Limits{MaxHeaderBytes: 8 << 10}, log.New(testLog{t}, "", 0))
	f.gate.Route = func(r *http.Request) Dest {
		return Dest{Peer: theirs, Given: func() {}, Enter: func() bool { return true }}
	}
	f.gate.Key = []byte(key)
	for _, c := range change {
		c(f.gate)
	}
	go f.gate.Run()
	f.gate.Receive(theirs, func(err error) {
		f.ended <- err
		theirs.AwaitEnd()
		f.gate.Recover(theirs)
	})
	address, stop := accept(t, f.gate)
	t.Cleanup(func() {
		stop()
		ours.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		f.gate.Shutdown(ctx)
		theirs.Close()
	})
	f.peer, f.address, f.client = theirs, address, dial(t, address)
	return f
}

// took receives a frame, and counts it as an honest process does.
func (f *foe) took(kind byte) (m message, fd int) {
	f.t.Helper()
	fr, err := f.wire.Recv()
	if err != nil || fr.Kind != kind {
		f.t.Fatalf("frame %c, %v; want %c", fr.Kind, err, kind)
	}
	if m, err = decode(fr.Body); err != nil {
		f.t.Fatal(err)
	}
	m.bytes = []byte(string(m.bytes))
	if fd = -1; kind == kindConn {
		f.came++
		f.counts.ours.note(uint64(f.came), false)
		fd = fr.FDs[0]
		f.t.Cleanup(func() { syscall.Close(fd) })
	}
	f.counts.ours.taken.Add(1)
	return m, fd
}

// connection is the client's, once it was given.
func (f *foe) connection() (message, int) {
	f.client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	m, fd := f.took(kindConn)
	m.bytes, m.idle, m.begun = nil, true, true
	return m, fd
}

// give gives a connection to the gate.
func (f *foe) give(m message, fd int) { f.wire.Send(kindConn, []int{fd}, m.head(nil), m.bytes) }

// A gate ends with a process that sends what no server does, and gains nothing of it:
// no connection, no descriptor, no bytes.
func TestHostile(t *testing.T) {
	socket := func(t testing.TB) int {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		file, err := c.(*net.TCPConn).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		return int(file.Fd())
	}
	for name, tt := range map[string]struct {
		want error
		do   func(f *foe)
	}{
		"a malformed word":  {errMessage, func(f *foe) { f.wire.Send(kindAnswer, nil) }},
		"a word of no kind": {errMessage, func(f *foe) { f.wire.Send('?', nil) }},
		"descriptors with a word": {errMessage, func(f *foe) {
			a := answer{stream: 1}
			f.wire.Send(kindLost, []int{0, 1, 2}, a.head(nil))
		}},
		"a request": {errForward, func(f *foe) {
			m := message{remote: "10.0.0.1:1", stream: 1, bytes: []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")}
			f.wire.Send(kindRequest, nil, m.head(nil), m.bytes)
		}},
		"a request of a connection that stays": {errForward, func(f *foe) {
			m := message{remote: "10.0.0.1:1", stream: 1, bytes: []byte("GET")}
			f.wire.Send(kindExchange, nil, m.head(nil), m.bytes)
		}},
		"an answer without end": {errAnswer, func(f *foe) {
			f.client.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			m, _ := f.took(kindRequest)
			a := answer{stream: m.stream}
			for range window/1024 + 1 {
				f.wire.Post(kindAnswer, a.head(nil), make([]byte, 1024))
			}
		}},
		"a socket that is nobody's": {errStamp, func(f *foe) {
			m, _ := f.connection()
			f.give(m, socket(f.t))
		}},
		"what is no socket": {errStamp, func(f *foe) {
			m, _ := f.connection()
			null, err := os.Open(os.DevNull)
			if err != nil {
				f.t.Fatal(err)
			}
			defer null.Close()
			f.give(m, int(null.Fd()))
		}},
		"another client's address": {errStamp, func(f *foe) {
			m, fd := f.connection()
			m.remote = "10.0.0.1:1"
			f.give(m, fd)
		}},
		"another server's address": {errStamp, func(f *foe) {
			m, fd := f.connection()
			m.local = "10.0.0.1:1"
			f.give(m, fd)
		}},
		"an address that goes on in the other": {errStamp, func(f *foe) {
			m, fd := f.connection()
			m.remote, m.local = m.remote+m.local[:3], m.local[3:]
			f.give(m, fd)
		}},
		"a handshake that was none": {errStamp, func(f *foe) {
			m, fd := f.connection()
			m.tls = encodeState(&tls.ConnectionState{HandshakeComplete: true, ServerName: "example.com"}, "")
			f.give(m, fd)
		}},
		"an address that goes on in the handshake": {errStamp, func(f *foe) {
			m, fd := f.connection()
			m.local, m.tls = m.local[:3], m.local[3:]
			f.give(m, fd)
		}},
		"no stamp": {errStamp, func(f *foe) {
			m, fd := f.connection()
			m.stamp = stamp{}
			f.give(m, fd)
		}},
		"a connection twice": {errTwice, func(f *foe) {
			m, fd := f.connection()
			f.give(m, fd)
			f.give(m, fd)
		}},
		"a connection without its descriptor": {errMessage, func(f *foe) {
			m, _ := f.connection()
			f.wire.Send(kindConn, nil, m.head(nil))
		}},
		"bytes that no client sends": {errReplay, func(f *foe) {
			m, fd := f.connection()
			m.bytes = make([]byte, f.gate.maxReplay()+1)
			f.give(m, fd)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFoe(t, "key")
			tt.do(f)
			f.wire.CloseWrite() // else what is not refused is waited for
			if err := <-f.ended; !errors.Is(err, tt.want) {
				t.Errorf("it ends with %v, want %v", err, tt.want)
			}
		})
	}
}

// A gate takes the connections that its predecessor, of the same key, had accepted,
// and nobody else does.
func TestStampOfThePredecessor(t *testing.T) {
	first, next, other := newFoe(t, "key"), newFoe(t, "key"), newFoe(t, "another")
	m, fd := first.connection()
	next.give(m, fd)
	first.client.write("HTTP/1.1 200 OK\r\n\r\n") // no request
	r, err := http.ReadResponse(first.client.br, nil)
	if err != nil || r.StatusCode != http.StatusBadRequest {
		t.Fatalf("answered %v, %v", r, err)
	}
	other.give(m, fd)
	if err := <-other.ended; err != errStamp {
		t.Errorf("it ends with %v, want %v", err, errStamp)
	}
}

// A process that takes nothing is found out, however it looks; one that takes is not,
// whatever waits.
func TestIdle(t *testing.T) {
	f := newFoe(t, "key")
	p := f.peer
	look := func(want int) {
		t.Helper()
		if got := p.Idle(); got != want {
			t.Errorf("%d looks found nothing taken, want %d", got, want)
		}
		p.mu.Lock()
		p.idleness.at = p.idleness.at.Add(-lookEvery)
		p.mu.Unlock()
	}
	look(0)
	f.client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	await(t, "a connection waits", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.kept) > 0 })
	look(1)
	look(2)
	p.mu.Lock()
	p.idleness.at = time.Now()
	p.mu.Unlock()
	for range 5 {
		if got := p.Idle(); got != 2 {
			t.Errorf("looks at once count: %d", got)
		}
	}
	p.mu.Lock()
	p.idleness.at = time.Time{}
	p.mu.Unlock()
	look(3)
	f.took(kindConn)
	look(0)
	other := dial(t, f.address)
	other.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	await(t, "a request waits", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.forwarded) > 0 })
	look(1)
	look(2)
	f.took(kindRequest)
	look(0)
	go func() {
		defer func() { recover() }() // its cell ends
		f.gate.Forward(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}()
	await(t, "a stream waits", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.exchanged) > 0 })
	look(1)
	look(2)
	f.took(kindExchange)
	look(0)
}

// All heads together are bounded; who sends small ones is served meanwhile, and what
// has ended makes room.
func TestHeadsTogether(t *testing.T) {
	const limit, clients = 1 << 20, 100
	a, _, address := newSides(t, Limits{MaxHeaderBytes: limit})
	head := "GET /a HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", limit*3/4)
	refused := make(chan bool, clients)
	var open []*client
	for range clients {
		c := dial(t, address)
		open = append(open, c)
		go func() {
			io.WriteString(c.conn, head)
			line, err := c.br.ReadString('\n')
			refused <- err == nil && strings.HasPrefix(line, "HTTP/1.1 431 ")
		}()
	}
	const fit = maxHeads / limit
	for range clients - fit {
		if !<-refused {
			t.Error("a client that has no room is not told")
		}
	}
	if n := a.srv.heads.Load(); n > maxHeads {
		t.Errorf("%d bytes", n)
	}
	c := dial(t, address)
	c.write(fmt.Sprintf(get, "a"))
	c.expect("a", "GET", "/a", "")
	for _, c := range open {
		c.conn.Close()
	}
	await(t, "there is room again", func() bool { return a.srv.heads.Load() == 0 })
}
