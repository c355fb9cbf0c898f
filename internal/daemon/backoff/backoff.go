// Package backoff decides when what has failed is tried again, and when it has failed
// too often. It is pure: it is told what time it is.
package backoff

import (
	"slices"
	"time"
)

const (
	// restartMin and restartMax bound the pause before a version that died is
	// started again; the first restart comes at once. One that lived for
	// restartReset starts the count anew.
	restartMin   = 100 * time.Millisecond
	restartMax   = 10 * time.Second
	restartReset = time.Minute
	// PassingMin and passingMax bound the pause before a file is tried again
	// that was refused for want of memory, descriptors or room.
	PassingMin = time.Second
	passingMax = 30 * time.Second
)

// Restarts are those of one handler.
type Restarts struct {
	crashes int         // in a row
	times   []time.Time // of those within the window
	pause   int         // the number of the pause that is under way; 0 if none is
	pauses  int         // that have begun
}

// Lived says for how long a version did that has died.
func (r *Restarts) Lived(d time.Duration) {
	if d > restartReset {
		r.crashes = 0
	}
}

// TooOften counts one more failure, and reports whether there were limit of them
// within the window; 0 is no limit.
func (r *Restarts) TooOften(now time.Time, limit int, window time.Duration) bool {
	if limit == 0 {
		return false
	}
	r.times = slices.DeleteFunc(r.times, func(t time.Time) bool { return now.Sub(t) > window })
	r.times = append(r.times, now)
	return len(r.times) >= limit
}

// Failures are how many there were within the window.
func (r *Restarts) Failures() int { return len(r.times) }

// Begin begins a pause: none the first time, then one that doubles. Its number tells it
// from those before.
func (r *Restarts) Begin() (pause time.Duration, number int) {
	if r.crashes > 0 {
		pause = min(restartMin<<min(r.crashes-1, 20), restartMax)
	}
	r.crashes++
	r.pauses++
	r.pause = r.pauses
	return pause, r.pause
}

// Pausing reports whether a pause is under way.
func (r *Restarts) Pausing() bool { return r.pause != 0 }

// Is reports whether the pause of that number is under way.
func (r *Restarts) Is(number int) bool { return r.pause == number && number != 0 }

// End ends the pause.
func (r *Restarts) End() { r.pause = 0 }

// ForgetTimes forgets what was within the window, and Forget besides how often it has
// failed in a row.
func (r *Restarts) ForgetTimes() { r.times = nil }
func (r *Restarts) Forget()      { r.times, r.crashes = nil, 0 }

// Retries are those of a file that was refused for want of something.
type Retries struct{ passes int }

// Next is the pause before the next; they double.
func (r *Retries) Next() time.Duration {
	r.passes++
	return min(PassingMin<<min(r.passes-1, 20), passingMax)
}

// Forget says that it was not refused for that.
func (r *Retries) Forget() { r.passes = 0 }
