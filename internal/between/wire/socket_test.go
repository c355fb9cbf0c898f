package wire

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// A reader that always finds something lets others run all the same.
func TestWaitingYields(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	a, b := pair(t)
	const n = 20
	for range n {
		if err := a.Send('x', nil, []byte("frame")); err != nil {
			t.Fatal(err)
		}
	}
	s := b.uc.(*waiting)
	var ran atomic.Bool
	var p [headerLen + 5]byte
	for range n {
		go ran.Store(true)
		s.yielded = time.Time{} // a while ago
		if _, _, _, _, err := s.ReadMsgUnix(p[:], nil); err != nil {
			t.Fatal(err)
		}
		if ran.Load() {
			return
		}
	}
	t.Errorf("nobody else has run during %d reads", n)
}
