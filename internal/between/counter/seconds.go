package counter

import (
	"sync/atomic"
	"time"
)

// Seconds is how many there are before one is counted where another was.
const Seconds = 128

// Oldest is how old a request is that is not told from younger ones any more.
const Oldest = (Seconds - 1) * time.Second

// seconds count requests by the second in which they have begun: those that may be Mirrored, and others. What takes longer than
// Oldest never ends there: so what has ended since a second began is of that second.
type seconds [2][Seconds]second

type second struct{ begun, ended atomic.Uint32 }

func (s *seconds) of(method string, at time.Time) *second {
	i := 1
	if Mirrored(method) {
		i = 0
	}
	return &s[i][Place(at.Unix())]
}

// Place is where a second since 1970 is counted.
func Place(second int64) int { return int(uint64(second) % Seconds) }

// BySecond is what was counted by the second in which requests have begun.
type BySecond [2][Seconds]Second

// Second is what was counted of one second, and of each before that is so many times Seconds away.
type Second struct{ Begun, Ended uint32 }

// At is what was counted of a second since 1970; of requests that may be Mirrored alone, where mirrored says so.
func (b *BySecond) At(of int64, mirrored bool) Second {
	i := Place(of)
	if mirrored {
		return b[0][i]
	}
	return Second{b[0][i].Begun + b[1][i].Begun, b[0][i].Ended + b[1][i].Ended}
}

// Since is what was counted since it was before.
func (s Second) Since(before Second) Second {
	return Second{s.Begun - before.Begun, s.Ended - before.Ended} // where either has begun at 0 again, too
}

// Open is how many have not ended.
func (s Second) Open() uint32 { return s.Begun - min(s.Begun, s.Ended) }

// AddSeconds adds what is counted by now.
func (h *Handler) AddSeconds(to *BySecond) {
	for i := range h.seconds {
		for s := range h.seconds[i] {
			from, sum := &h.seconds[i][s], &to[i][s]
			sum.Ended += from.ended.Load() // first: none has ended that has not begun
			sum.Begun += from.begun.Load()
		}
	}
}
