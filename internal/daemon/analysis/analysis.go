// Package analysis decides whether a canary is as good as its incumbent: from what both have
// counted on the same machine in the same time. It is pure.
//
// It looks as often as it is asked, and may end the canary at any look, so that a usual
// test would find a fault in a good one sooner or later. What is used are e-processes: each
// is 1 at first, and of a canary that is as good as the incumbent it ever reaches 1/α with a
// probability of α at the most, however often somebody looks (Ville's inequality).
//
// Between two looks n requests of the canary ended and m of the incumbent, and k of all
// were bad. Where neither version is better, each set of k among the n+m is as likely, so
// that how many are the canary's is hypergeometric: how bad that time was for both, as when
// a database is away, does not matter. The process is multiplied by how much more likely what
// was seen is where the canary's odds of a bad one are ratio times the incumbent's; it is the
// mean of one process for each of several ratios.
//
// What is compared are the requests of one look, or, of a handler that has few, of several: so many that both versions have some. How many
// is said by those before alone.
//
// Bad ones do not come alone: of one connection, of one pause of a process. So each counts
// for a part of one alone: the root of a factor of mean 1 has a mean of 1 at the most.
package analysis

import (
	"fmt"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/counter"
)

// alarm bounds the probability that a canary as good as its incumbent is withdrawn for
// errors, whenever, that it is for its times, and that it is for requests that do not end.
const alarm = 0.001

const (
	// errorWeight is for how much of one an answer of 5xx counts, and slowWeight a slow one.
	errorWeight = 1. / 2
	slowWeight  = 1. / 10
	// warmUp is for how long nobody minds slow answers: a new process has yet to page in what it runs.
	warmUp = 5 * time.Second
)

// tooYoung is how old a canary is of which some requests may hang without anybody having looked at them.
const tooYoung = 15 * time.Second

// fewest is how many failures it takes where there is nothing to compare them with, as they are most of what there was.
const fewest = 20

// Rules are the operator's for one canary.
type Rules struct {
	For         time.Duration // how long it is judged
	MinRequests uint64        // of each version, without which a canary is not promoted
	// MaxSlowdown is how many times longer than the incumbent's its answers may take; 0: times are not judged, nor whether requests end.
	MaxSlowdown float64
}

// Counts is what one version had done by some time.
type Counts struct {
	Requests uint64                          // that have ended
	Errors   uint64                          // of them, that were answered with 5xx
	Times    [counter.Buckets]uint64         // of the others
	Open     uint64                          // that have not ended
	BySecond [counter.Seconds]counter.Second // in which requests have begun, ended or not
}

// since is what was done from before on.
func (c Counts) since(before Counts) Counts {
	less := func(a, b uint64) uint64 { return a - min(a, b) }
	d := Counts{Requests: less(c.Requests, before.Requests), Errors: less(c.Errors, before.Errors), Open: c.Open}
	for i := range c.Times {
		d.Times[i] = less(c.Times[i], before.Times[i])
	}
	d.Requests = max(d.Requests, d.Errors)
	return d
}

// Verdict is what becomes of a canary.
type Verdict int

const (
	Open     Verdict = iota // it goes on
	Awaits                  // its time is over, and there are too few requests to say anything
	Withdraw                // it is worse
	Promote                 // nothing speaks against it
)

// Analysis judges one canary, beside one version of its incumbent.
type Analysis struct {
	rules        Rules
	began        time.Time
	first, last  versions
	errors       process
	median, tail process
	hangs        hangs
}

// versions are the counts of both.
type versions struct{ canary, incumbent Counts }

func (v versions) since(before versions) versions {
	return versions{v.canary.since(before.canary), v.incumbent.since(before.incumbent)}
}

// New begins to judge: what was counted until now is not the canary's doing.
func New(rules Rules, now time.Time, canary, incumbent Counts) *Analysis {
	first := versions{canary, incumbent}
	j := &Analysis{rules: rules, began: now, first: first, last: first}
	j.hangs.begin(now, first)
	return j
}

// Rule puts other rules in force. What was seen stays.
func (j *Analysis) Rule(r Rules) { j.rules = r }

// Began is when it began to judge, and Ends when it is to end.
func (j *Analysis) Began() time.Time { return j.began }

// Ends is when the canary is promoted, where nothing speaks against it.
func (j *Analysis) Ends() time.Time { return j.began.Add(j.rules.For) }

// Look takes in what both have counted by now. The text says why, in figures; of a canary that goes on
// it is empty.
func (j *Analysis) Look(now time.Time, canary, incumbent Counts) (Verdict, string) {
	counts := versions{canary, incumbent}
	lately, before := counts.since(j.last), j.last.since(j.first)
	j.last = counts
	j.errors.take(lately.errors(), errorWeight)
	if j.rules.MaxSlowdown > 0 {
		j.hangs.look(now, j.began.Add(warmUp), j.rules.MaxSlowdown, counts)
	}
	if j.rules.MaxSlowdown > 0 && now.Sub(j.began) >= warmUp {
		// Where a slow answer begins the requests before say: else it would be chosen by what it is to judge.
		for _, of := range []struct {
			test *process
			part float64
		}{{&j.median, 0.5}, {&j.tail, 0.01}} {
			if mine, theirs, ok := bounds(before.incumbent.Times, of.part, j.rules.MaxSlowdown); ok {
				of.test.take(lately.slow(mine, theirs), slowWeight)
			}
		}
	}
	return j.verdict(now)
}

func (j *Analysis) verdict(now time.Time) (Verdict, string) {
	c, i := j.Figures()
	switch {
	case j.errors.value() >= 1/alarm:
		return Withdraw, fmt.Sprintf("%s failed, of the incumbent's in the same time %s", c.failed(), i.failed())
	case (j.median.value()+j.tail.value())/2 >= 1/alarm:
		return Withdraw, fmt.Sprintf("its answers take more than %g times as long: p50 %v and p99 %v of %d requests, the incumbent's %v and %v of %d",
			j.rules.MaxSlowdown, counter.AtMost(c.P50), counter.AtMost(c.P99), c.Requests, counter.AtMost(i.P50), counter.AtMost(i.P99), i.Requests)
	case j.hangs.value() >= 1/alarm:
		return Withdraw, j.hangs.why(j.rules.MaxSlowdown)
	case c.Errors >= fewest && 2*c.Errors > c.Requests && i.Requests < c.Requests/10:
		return Withdraw, fmt.Sprintf("%s failed, and the incumbent had too few requests to compare that with: %s", c.failed(), i.failed())
	case now.Before(j.Ends()):
		return Open, ""
	case c.Requests < j.rules.MinRequests:
		return Awaits, fmt.Sprintf("%d of %d requests that it takes to judge it", c.Requests, j.rules.MinRequests)
	case c.Open > 0 && j.rules.MaxSlowdown > 0 && now.Sub(j.began) < tooYoung:
		return Awaits, fmt.Sprintf("whether %d requests end that are open", c.Open)
	case i.Requests < j.rules.MinRequests:
		return Awaits, fmt.Sprintf("%d of %d requests of the incumbent that it takes to judge it", i.Requests, j.rules.MinRequests)
	}
	return Promote, fmt.Sprintf("%s failed, of the incumbent's in the same time %s; p50 %v and p99 %v, the incumbent's %v and %v", c.failed(), i.failed(),
		counter.AtMost(c.P50), counter.AtMost(c.P99), counter.AtMost(i.P50), counter.AtMost(i.P99))
}

// errors are the bad ones that are answers of 5xx.
func (v versions) errors() sample {
	return sample{n: v.canary.Requests, m: v.incumbent.Requests, bad: v.canary.Errors, theirs: v.incumbent.Errors}
}

// slow are those that are answers in a bucket from mine on, of the incumbent from theirs on.
func (v versions) slow(mine, theirs int) sample {
	return sample{n: sum(v.canary.Times[:]), m: sum(v.incumbent.Times[:]), bad: sum(v.canary.Times[mine:]), theirs: sum(v.incumbent.Times[theirs:])}
}

func sum(counts []uint64) (n uint64) {
	for _, k := range counts {
		n += k
	}
	return n
}

// bounds returns the buckets from which on an answer is slow: of the incumbent that beyond which lies part of its
// answers at the most, of the canary the one for a time that is so many times as long. ok says that there is one.
func bounds(times [counter.Buckets]uint64, part, slowdown float64) (mine, theirs int, ok bool) {
	all := sum(times[:])
	if all == 0 {
		return 0, 0, false
	}
	theirs = 1
	for theirs < counter.Buckets && float64(sum(times[theirs:])) > part*float64(all) {
		theirs++
	}
	for mine = theirs; mine < counter.Buckets; mine++ {
		if float64(counter.Bounds[mine-1]) >= slowdown*float64(counter.Bounds[theirs-1]) {
			return mine, theirs, true
		}
	}
	return 0, 0, false
}
