package handover

import (
	"context"
	"log"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/wire"
)

// The watch may find a request that lasts and come to its decision when that has
// ended, or when it has made another goroutine read by itself.
func TestPassedOnce(t *testing.T) {
	r := &receiver{} // would crash if it read
	step := r.step.Add(1)
	if !r.step.CompareAndSwap(step, step+1) {
		t.Fatal("the request has not ended")
	}
	if r.pass(step) {
		t.Error("passed on after its end")
	}
	r.step.Add(1)
	if r.pass(step) {
		t.Error("the next request was passed on in its place")
	}
}

// A connection that was fetched arrives with the last words of a peer that gives
// no more: the request has it, or it would be nobody's.
func TestFetchedWithThePeersLastWords(t *testing.T) {
	fa, fb, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	p, other := newPeers(t, fa, fb)
	defer p.Close()
	defer other.Close()
	for range 100 {
		st := &stream{peer: p, fetched: make(chan *Conn, 1), orphans: make(chan struct{})}
		st.base = context.Background()
		c := &Conn{}
		st.arrived(c)
		st.orphan()
		if got, err := st.fetch(); got != c {
			t.Fatalf("the connection is lost: %v", err)
		}
	}
}

// The other process's death is no failure, in whatever it died; what makes no
// sense is.
func TestReceiveEnds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fails bool
		ends  func(fd int)
	}{
		{"it ends", false, func(int) {}},
		{"in the middle of a frame", false, func(fd int) { syscall.Write(fd, []byte{0, 0, 1, 0, kindRequest, 0, 0x50, 0x53, 1}) }},
		{"nonsense", true, func(fd int) { syscall.Write(fd, []byte("nonsense and more")) }},
	} {
		for _, only := range []bool{false, true} {
			for _, unread := range []bool{false, true} {
				ours, theirs, err := wire.Pair()
				if err != nil {
					t.Fatal(err)
				}
				spare, _, err := wire.Pair()
				if err != nil {
					t.Fatal(err)
				}
				var p *Peer
				if only {
					p, _ = newPeers(t, ours, spare)
				} else {
					_, p = newPeers(t, spare, ours)
				}
				s := NewServer(context.Background(), nil, Limits{}, log.New(testLog{t}, "", 0))
				if unread {
					p.wire.Send(kindLost, nil, []byte{0, 0})
				}
				tt.ends(int(theirs.Fd()))
				theirs.Close()
				ended := make(chan error, 1)
				s.Receive(p, func(err error) { ended <- err })
				if err := <-ended; (err != nil) != tt.fails {
					t.Errorf("%s, %v, %v: %v", tt.name, only, unread, err)
				}
				p.AwaitEnd()
				p.Close()
			}
		}
	}
}

// Of a peer that gives nothing for a while nobody waits; what it gives then, and its end, are received as ever.
func TestQuietPeer(t *testing.T) {
	fa, fb, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	gate, cell := newPeers(t, fa, fb)
	t.Cleanup(func() { gate.Close(); cell.Close() })
	s := NewServer(context.Background(), nil, Limits{}, log.New(testLog{t}, "", 0))
	mux := helloMux()
	s.Mux = func() Mux { return mux }
	ended := make(chan error, 1)
	before := runtime.NumGoroutine()
	s.Receive(gate, func(err error) { ended <- err })
	m := message{history: history{moves: 1}, stream: 1, remote: "127.0.0.1:50000", local: "127.0.0.1:80"}
	for range 3 {
		if err := cell.wire.Post(kindRequest, append(m.head(nil), helloRequest...)); err != nil {
			t.Fatal(err)
		}
		if f, err := cell.wire.Recv(); err != nil || f.Kind != kindAnswer {
			t.Fatal(f.Kind, err)
		}
		for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before+1; gate.Quiet() { // epoll's stays
			if time.Now().After(end) {
				t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
			}
			time.Sleep(time.Millisecond)
		}
	}
	cell.Close()
	if err := <-ended; err != nil {
		t.Errorf("the end is %v", err)
	}
}
