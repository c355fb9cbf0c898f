package analysis

import (
	"fmt"
	"math"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/counter"
)

// A request that does not end is in no count of those that have. So those that began in one second are looked at again, once for each
// of several ages: the incumbent's when all are that old, the canary's when the youngest is MaxSlowdown times as old as the oldest
// of the incumbent's was. Those that are open then are the bad ones. Where requests last as long as their clients like, those of both do.

// ages are how old the incumbent's are at least.
var ages = [...]time.Duration{0, 2 * time.Second, 6 * time.Second, 14 * time.Second, 30 * time.Second, 50 * time.Second}

// hangWeight is for how much of one an open request counts.
const hangWeight = 1. / 2

// ahead is for how many seconds to come each look notes what their requests are counted on top of: as many may pass without a look.
const ahead = 7

// hangs is the test of whether requests end.
type hangs struct {
	notes  [counter.Seconds]note // by second
	tests  [len(ages)]hang
	looked int64 // when, in seconds since 1970
}

// note is what stood at a second's place before it began.
type note struct {
	of                int64
	canary, incumbent counter.Second
}

// hang is the test at one age.
type hang struct {
	process
	next  int64 // the second of which the incumbent's are looked at next
	asked []asked
	// What was seen until now, and how old the canary's were at least.
	seen     sample
	youngest time.Duration
}

// asked are the incumbent's requests of one second, of which the canary's are still to be looked at.
type asked struct {
	second    int64
	m, theirs uint64
	oldest    time.Duration
}

func (h *hangs) begin(now time.Time, counts versions) {
	for i := range h.tests {
		h.tests[i].next, h.tests[i].asked = now.Unix()+1, nil
	}
	h.note(now, counts)
}

func (h *hangs) note(now time.Time, counts versions) {
	h.looked = now.Unix()
	for s := h.looked + 1; s <= h.looked+ahead; s++ {
		h.notes[counter.Place(s)] = note{s, counts.canary.BySecond[counter.Place(s)], counts.incumbent.BySecond[counter.Place(s)]}
	}
}

// look takes in what both have counted by now. Nobody minds what happens until ready.
func (h *hangs) look(now, ready time.Time, slowdown float64, counts versions) {
	if now.Unix() < h.looked { // the clock was set back: there are seconds to come that have been
		h.notes = [counter.Seconds]note{}
		h.begin(now, counts)
		return
	}
	for i := range h.tests {
		t := &h.tests[i]
		for t.next = max(t.next, now.Unix()-counter.Seconds); now.Sub(time.Unix(t.next+1, 0)) >= ages[i]; t.next++ {
			if n := h.notes[counter.Place(t.next)]; n.of == t.next {
				m, theirs := since(counts.incumbent, n.incumbent, t.next)
				t.asked = append(t.asked, asked{t.next, m, theirs, now.Sub(time.Unix(t.next, 0))})
			}
		}
		waits := t.asked[:0]
		for _, a := range t.asked {
			n := h.notes[counter.Place(a.second)]
			youngest := now.Sub(time.Unix(a.second+1, 0))
			switch {
			case n.of != a.second: // they are too old to be told
			case float64(min(youngest, now.Sub(ready))) < slowdown*float64(a.oldest):
				waits = append(waits, a)
			default:
				t.see(a, n, youngest, counts.canary)
			}
		}
		t.asked = waits
	}
	h.note(now, counts)
}

func (t *hang) see(a asked, before note, youngest time.Duration, canary Counts) {
	s := sample{m: a.m, theirs: a.theirs}
	s.n, s.bad = since(canary, before.canary, a.second)
	t.take(s, hangWeight)
	if s.n > 0 && (t.youngest == 0 || youngest < t.youngest) {
		t.youngest = youngest
	}
	t.seen = t.seen.and(s)
}

// since is how many requests have begun in a second, and how many of them are open.
func since(c Counts, before counter.Second, second int64) (all, open uint64) {
	s := c.BySecond[counter.Place(second)].Since(before)
	return uint64(s.Begun), uint64(s.Open())
}

// value is what the test has come to.
func (h *hangs) value() (mean float64) {
	for i := range h.tests {
		mean += h.tests[i].value() / float64(len(h.tests))
	}
	return mean
}

// why says in figures what speaks most against the canary.
func (h *hangs) why(slowdown float64) string {
	worst := &h.tests[0]
	for i := range h.tests {
		if h.tests[i].value() > worst.value() {
			worst = &h.tests[i]
		}
	}
	s := worst.seen
	return fmt.Sprintf("%s had not ended after %.0fs and more, of the incumbent's, in a time %g times shorter, %s",
		part(s.bad, s.n), math.Floor(worst.youngest.Seconds()), slowdown, part(s.theirs, s.m))
}
