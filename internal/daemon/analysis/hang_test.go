package analysis

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/counter"
)

// takes is how long a request takes that begins at that time.
type takes func(r *rand.Rand, at time.Duration) time.Duration

// forever is for a request that does not end.
const forever = math.MaxInt64

func quick(*rand.Rand, time.Duration) time.Duration { return 2 * time.Millisecond }

// some is of a part of the requests, where the others are like these.
func some(part float64, of, others takes) takes {
	return func(r *rand.Rand, at time.Duration) time.Duration {
		if r.Float64() < part {
			return of(r, at)
		}
		return others(r, at)
	}
}

func exactly(d time.Duration) takes {
	return func(*rand.Rand, time.Duration) time.Duration { return d }
}

// around is of an exponential distribution.
func around(mean time.Duration) takes {
	return func(r *rand.Rand, _ time.Duration) time.Duration {
		return time.Duration(r.ExpFloat64() * float64(mean))
	}
}

func times(factor float64, of takes) takes {
	return func(r *rand.Rand, at time.Duration) time.Duration { return time.Duration(factor * float64(of(r, at))) }
}

// away is where each hundred seconds nothing is answered for twelve.
func away(_ *rand.Rand, at time.Duration) time.Duration {
	return max(time.Millisecond, 12*time.Second-at%(100*time.Second))
}

// clock is a made-up pair of versions whose requests take their time.
type clock struct {
	share, rate       float64 // of the canary, and the requests of both in a second
	canary, incumbent takes
}

// counted is what a version has done.
type counted struct {
	handler counter.Handler
	open    []request
	begun   uint64
}

type request struct{ at, ends time.Duration }

// run has the pair judged for so long. Requests began long before.
func (w clock) run(r *rand.Rand, long time.Duration) (v Verdict, why string, after time.Duration, requests uint64) {
	start, both := time.Unix(1_000_000, 500_000_000), [2]counted{}
	rules := rules
	rules.For = long
	var j *Analysis
	now, next := -200*time.Second, -200*time.Second
	for ; now < long && (v == Open || v == Awaits); now += time.Second + time.Duration(r.Float64()*float64(200*time.Millisecond)) {
		for ; next < now; next += time.Duration(r.ExpFloat64() / w.rate * float64(time.Second)) {
			of, takes := &both[1], w.incumbent
			if next > 0 && r.Float64() < w.share {
				of, takes = &both[0], w.canary
			}
			took := takes(r, next)
			of.handler.Begin("GET", start.Add(next))
			of.begun++
			if took == forever {
				continue
			}
			of.open = append(of.open, request{next, next + took})
		}
		var counts [2]Counts
		for i := range both {
			counts[i] = both[i].by(start, now)
		}
		if j == nil && now > 0 {
			j = New(rules, start.Add(now), counts[0], counts[1])
		}
		if j != nil {
			v, why = j.Look(start.Add(now), counts[0], counts[1])
		}
	}
	return v, why, now, both[0].begun
}

// by is what is counted by now.
func (c *counted) by(start time.Time, now time.Duration) (counts Counts) {
	c.open = slices.DeleteFunc(c.open, func(q request) bool {
		if q.ends <= now {
			c.handler.End("GET", start.Add(q.at), 200, q.ends-q.at, 0, 0)
		}
		return q.ends <= now
	})
	all := c.handler.Read()
	for bucket, n := range all.Requests[0][2] {
		counts.Times[bucket] = n
		counts.Requests += n
	}
	var seconds counter.BySecond
	c.handler.AddSeconds(&seconds)
	for s := range counts.BySecond {
		counts.BySecond[s] = seconds.At(int64(s), false)
	}
	return counts
}

// alike are pairs of which the canary is no worse.
func alike() map[string]clock {
	pair := func(t takes) clock { return clock{canary: t, incumbent: t} }
	tail := func(r *rand.Rand, _ time.Duration) time.Duration { // of Pareto's distribution
		return time.Duration(float64(50*time.Millisecond) / math.Pow(1-r.Float64(), 1.2))
	}
	return map[string]clock{
		"quick":                   pair(quick),
		"long polls":              pair(around(25 * time.Second)),
		"long polls of one time":  pair(exactly(30 * time.Second)),
		"WebSockets":              pair(some(0.2, around(2*time.Minute), quick)),
		"some never end":          pair(some(0.1, exactly(forever), quick)),
		"a database is away":      pair(away),
		"a long tail":             pair(tail),
		"a tail 1.9 times longer": {canary: times(1.9, tail), incumbent: tail},
		"quick, where some hang":  {canary: quick, incumbent: some(0.1, exactly(forever), quick)},
	}
}

// A canary is not withdrawn for requests that take as long as the incumbent's, whatever they are.
func TestNoFalseHangs(t *testing.T) {
	runs := often(1)
	r := rand.New(rand.NewPCG(7, 8))
	withdrawn, all := 0, 0
	for name, w := range alike() {
		for _, load := range []struct{ share, rate float64 }{{0.05, 0.5}, {0.01, 40}, {0.05, 40}, {0.5, 10}} {
			for range runs {
				w.share, w.rate = load.share, load.rate
				v, why, after, _ := w.run(r, 10*time.Minute)
				if all++; v == Withdraw {
					withdrawn++
					t.Logf("%s, %v: withdrawn after %v: %s", name, load, after, why)
				}
			}
		}
	}
	t.Logf("%d of %d good ones were withdrawn", withdrawn, all)
	if withdrawn > all/500+1 { // of their times, too
		t.Errorf("%d of %d good ones were withdrawn", withdrawn, all)
	}
}

// How long and how many requests it takes to withdraw a canary whose requests do not end. plugserverd.conf(5) tells some of these figures.
func TestHangs(t *testing.T) {
	page, err := os.ReadFile("../../../packaging/deb/man/plugserverd.conf.5")
	if err != nil {
		t.Fatal(err)
	}
	hangs, tenth := exactly(forever), some(0.1, exactly(forever), quick)
	for i, c := range []struct {
		name              string
		share, rate       float64
		canary, incumbent takes
		most              time.Duration
		told              string // with the median of requests and of seconds
	}{
		{"all hang", 0.05, 40, hangs, quick, 20 * time.Second, "after %d requests of its own, and %d seconds,"},
		{"all take a minute", 0.05, 40, exactly(time.Minute), quick, 20 * time.Second, ""},
		{"one in ten hangs", 0.05, 40, tenth, quick, 90 * time.Second, "where one in ten does, after %d, and %d seconds."},
		{"one in ten hangs", 0.05, 400, tenth, quick, 20 * time.Second, ""},
		{"one in ten hangs", 0.5, 40, tenth, quick, 40 * time.Second, ""},
		{"all hang, few requests", 0.05, 0.5, hangs, quick, 15 * time.Minute, ""},
		{"all hang, long polls", 0.05, 40, hangs, around(20 * time.Second), 2 * time.Minute, ""},
		{"one in ten hangs, one in a hundred of the other", 0.05, 40, tenth, some(0.01, hangs, quick), 5 * time.Minute, ""},
	} {
		const runs = 15
		var requests []uint64
		var took []time.Duration
		last, r := "", rand.New(rand.NewPCG(9, uint64(i)))
		for range runs {
			w := clock{c.share, c.rate, c.canary, c.incumbent}
			v, why, after, n := w.run(r, time.Hour)
			if v != Withdraw || !strings.Contains(why, " had not ended after ") || after > c.most {
				t.Fatalf("%s: %v after %v, %q", c.name, v, after, why)
			}
			requests, took, last = append(requests, n), append(took, after), why
		}
		slices.Sort(requests)
		slices.Sort(took)
		n, seconds := requests[runs/2], int(took[runs/2].Seconds())
		t.Logf("%s, %v of %v/s: median %d requests, %d s; at the most %d, %v: %s", c.name, c.share, c.rate, n, seconds, requests[runs-1], took[runs-1].Round(time.Second), last)
		if told := fmt.Sprintf(c.told, n, seconds); c.told != "" && !strings.Contains(string(page), told) {
			t.Errorf("plugserverd.conf(5) does not say %q", told)
		}
	}
}

// A canary whose time is over before anybody has looked at what is open is not promoted until then.
func TestNotYet(t *testing.T) {
	begun := time.Unix(1000, 0)
	for _, c := range []struct {
		slowdown float64
		open     uint64
		after    time.Duration
		want     Verdict
	}{
		{2, 7, 3 * time.Second, Awaits}, {2, 0, 3 * time.Second, Promote}, {0, 7, 3 * time.Second, Promote}, {2, 7, 15 * time.Second, Promote},
	} {
		j := New(Rules{For: 2 * time.Second, MinRequests: 1, MaxSlowdown: c.slowdown}, begun, Counts{}, Counts{})
		if got, why := j.Look(begun.Add(c.after), Counts{Requests: 5, Open: c.open}, Counts{Requests: 50}); got != c.want {
			t.Errorf("%+v: %v, %q", c, got, why)
		}
	}
}

// serve has the pair serve so many requests in each of some seconds, of which the canary's hang or not, and look at each: what Look has said
// last, and the longest list of what is to be looked at once more.
func (w *served) serve(from, seconds int, hang bool) (v Verdict, most int) {
	for s := from; s < from+seconds && v == Open; s++ {
		at := time.Unix(1_000_000+int64(s), 0)
		for i, n := range []int{20, 380} {
			for range n {
				w.both[i].handler.Begin("GET", at)
				if i == 1 || !hang {
					w.both[i].handler.End("GET", at, 200, time.Millisecond, 0, 0)
				}
			}
		}
		counts := func(i int) Counts { return w.both[i].by(at, 0) }
		if w.j == nil {
			w.j = New(w.rules, at, counts(0), counts(1))
		}
		v, _ = w.j.Look(at.Add(900*time.Millisecond), counts(0), counts(1))
		for i := range w.j.hangs.tests {
			most = max(most, len(w.j.hangs.tests[i].asked))
		}
	}
	return v, most
}

// served is a pair whose clock may be set.
type served struct {
	rules Rules
	both  [2]counted
	j     *Analysis
}

// Where nothing can ever be old enough, little is kept.
func TestNothingPilesUp(t *testing.T) {
	w := served{rules: Rules{For: time.Hour, MinRequests: 1, MaxSlowdown: 1000}}
	if v, most := w.serve(0, 3*counter.Seconds, false); v != Open || most > counter.Seconds {
		t.Errorf("%d seconds are to be looked at again; %v", most, v)
	}
}

// A clock that is set back by an hour ends the test for no hour, nor is a good canary withdrawn for it.
func TestClockSetBack(t *testing.T) {
	w := served{rules: Rules{For: 24 * time.Hour, MinRequests: 1, MaxSlowdown: 2}}
	for _, c := range []struct {
		from, seconds int
		hang          bool
		want          Verdict
	}{{0, 60, false, Open}, {7200, 60, false, Open}, {7250, 60, false, Open}, {3600, 60, true, Withdraw}} {
		if v, _ := w.serve(c.from, c.seconds, c.hang); v != c.want {
			t.Errorf("%+v: %v", c, v)
		}
	}
}
