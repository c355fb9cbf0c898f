package handover

import (
	"context"
	"testing"

	"github.com/andrestc/go-plugserver/internal/wire"
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
