package handover

import (
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// However many there are to copy at the same moment, a peer is asked to take mostCopies at the most, and again
// as many once it has answered.
func TestMostCopies(t *testing.T) {
	const n = 4 * mostCopies
	p := new(Peer)
	for range 2 {
		var asked atomic.Int32
		var settled, all sync.WaitGroup
		settled.Add(n) // each has been asked about, or dropped
		for range n {
			all.Add(1)
			go func() {
				defer all.Done()
				once := sync.OnceFunc(settled.Done)
				copyTo(&Dest{Peer: p, Enter: func() bool {
					asked.Add(1)
					once()
					settled.Wait()
					return false
				}}, httptest.NewRequest("GET", "/", nil), message{})
				once()
			}()
		}
		all.Wait()
		if asked.Load() != mostCopies {
			t.Errorf("it is asked to take %d of %d copies, want %d", asked.Load(), n, mostCopies)
		}
	}
	if left := p.copies.n.Load(); left != 0 {
		t.Errorf("%d copies are counted, and there is none", left)
	}
}
