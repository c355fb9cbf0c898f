package supervisor

import (
	"sync"
	"time"
)

const (
	// logBurst and logRate (per second) bound what a cell may log: beyond
	// that its records are dropped and counted.
	logBurst = 1000
	logRate  = 200
)

// bucket bounds a cell's log records. It is used by the goroutines that read
// the cell's output, and by the supervisor's.
type bucket struct {
	mu      sync.Mutex
	spent   float64 // of logBurst
	last    time.Time
	dropped int
}

// take reports whether one more record may be logged now, and how many were
// dropped before it.
func (b *bucket) take(now time.Time) (ok bool, dropped int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(0, b.spent-logRate*max(0, now.Sub(b.last).Seconds()))
	b.last = now
	limit := float64(logBurst)
	if b.dropped > 0 {
		limit /= 2 // so that a flood is told of now and then, not at each record
	}
	if b.spent+1 > limit {
		b.dropped++
		return false, 0
	}
	b.spent++
	dropped, b.dropped = b.dropped, 0
	return true, dropped
}

// told returns how many were dropped and not told of yet.
func (b *bucket) told() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	dropped := b.dropped
	b.dropped = 0
	return dropped
}
