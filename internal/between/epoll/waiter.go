package epoll

import (
	"sync"
	"syscall"
)

// Waiter waits for something to read from what others may close meanwhile. The zero value is ready for use.
type Waiter struct {
	mu    sync.Mutex // guards the rest
	watch *Watch     // nil before the first Arm
	ended bool
}

// Arm is Watch.Arm for the descriptor of rc, which is the same each time. It reports false, too, where nothing is left to wait with.
func (w *Waiter) Arm(rc syscall.RawConn, do func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watch == nil && !w.ended {
		rc.Control(func(fd uintptr) { w.watch, _ = Add(int(fd)) })
	}
	return w.watch != nil && w.watch.Arm(do)
}

// End calls what waits, and has nothing wait any more. It is called before the descriptor is closed.
func (w *Waiter) End() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended = true; w.watch == nil {
		return
	}
	if do := w.watch.Remove(); do != nil {
		go do()
	}
}
