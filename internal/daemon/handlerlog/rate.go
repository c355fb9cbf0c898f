package handlerlog

import (
	"fmt"
	"sync"
	"time"
)

// Rate bounds what a handler may log: Burst records within Interval, and what
// is beyond is dropped and counted. Where one of the two is 0, that of
// defaultRate holds; where one is below, nothing is bounded.
type Rate struct {
	Burst    int
	Interval time.Duration
}

// defaultRate is a burst of 1,000 records, then 200 a second.
var defaultRate = Rate{1000, 5 * time.Second}

func (r Rate) orDefault() Rate {
	if r.Burst == 0 {
		r.Burst = defaultRate.Burst
	}
	if r.Interval == 0 {
		r.Interval = defaultRate.Interval
	}
	return r
}

func (r Rate) bounded() bool { return r.Burst >= 0 && r.Interval >= 0 }

func (r Rate) String() string { return fmt.Sprintf("%d in %v", r.Burst, r.Interval) }

// And is what handlers may log that share a cell.
func (r Rate) And(o Rate) Rate {
	if r, o = r.orDefault(), o.orDefault(); !r.bounded() || !o.bounded() {
		return Rate{-1, -1}
	}
	burst := r.Burst + o.Burst
	perSecond := float64(r.Burst)/r.Interval.Seconds() + float64(o.Burst)/o.Interval.Seconds()
	return Rate{burst, time.Duration(float64(burst) / perSecond * float64(time.Second))}
}

// bucket bounds a cell's log records. Any goroutine may use it.
type bucket struct {
	mu      sync.Mutex
	rate    Rate
	spent   float64 // of the burst
	last    time.Time
	dropped int   // and not told of yet
	all     int64 // that were dropped
}

// bound puts another rate in force.
func (b *bucket) bound(r Rate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rate = r
}

// verdict is what becomes of one record.
type verdict struct {
	log     bool
	begins  bool // it is the first that is dropped
	dropped int  // before this one, and not told of yet
	rate    Rate
}

// take decides on one more record.
func (b *bucket) take(now time.Time) verdict {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.rate.orDefault()
	v := verdict{log: true, rate: r}
	if r.bounded() {
		b.spent = max(0, b.spent-float64(r.Burst)*max(0, now.Sub(b.last).Seconds())/r.Interval.Seconds())
		b.last = now
		limit := float64(r.Burst)
		if b.dropped > 0 {
			limit = max(1, limit/2) // so that a flood is told of now and then, not at each record
		}
		v.log = b.spent+1 <= limit
	}
	if !v.log {
		v.begins = b.dropped == 0
		b.dropped++
		b.all++
		return v
	}
	b.spent++
	v.dropped, b.dropped = b.dropped, 0
	return v
}

// told returns how many were dropped and not told of yet.
func (b *bucket) told() (dropped int, r Rate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	dropped, b.dropped = b.dropped, 0
	return dropped, b.rate.orDefault()
}

// lost returns how many were dropped in all.
func (b *bucket) lost() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all
}
