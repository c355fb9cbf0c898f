package roster

import (
	"iter"
	"maps"
	"slices"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/routes"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
)

// tally is what is to be known of all handlers after each event, kept so that nobody
// has to look at each of them for it.
type tally struct {
	counts
	proved, leaving map[string]*lifecycle.Handler
	// canaries are those handlers that are, by the handler whose.
	canaries map[string]*lifecycle.Handler
	noted    map[string]noted // what each has added
	claims   routes.Book[claim]
}

func newTally() tally {
	return tally{proved: make(map[string]*lifecycle.Handler), leaving: make(map[string]*lifecycle.Handler), canaries: make(map[string]*lifecycle.Handler), noted: make(map[string]noted)}
}

// counts are how many handlers are in a state, by the state; under tableSize stands what
// the routes of all that serve take of the table, in bytes.
type counts [tableSize + 1]int

const (
	isChanging = iota
	isContested
	isOrphaned
	hasFailed
	tableSize
)

type noted struct {
	counts
	live *states.Seat
}

// claim is a pattern that a handler has, or had when it last served.
type claim struct{ handler, pattern string }

// Note takes in how a handler stands now. It is called after whatever a handler was told, and once it
// was forgotten.
func (r *Roster) Note(h *lifecycle.Handler) {
	t := &r.tally
	before, now := t.noted[h.Name], noted{}
	delete(t.noted, h.Name)
	delete(t.proved, h.Name)
	delete(t.leaving, h.Name)
	delete(t.canaries, h.Of)
	if r.Has(h) {
		if h.Of != "" {
			t.canaries[h.Of] = h
		}
		now = note(h)
		t.noted[h.Name] = now
		if h.IsProved() {
			t.proved[h.Name] = h
		}
		if h.Presence == states.Leaving {
			t.leaving[h.Name] = h
		}
	}
	t.add(before.counts, -1)
	t.add(now.counts, 1)
	if now.live != nil && now.live != before.live && h.Of == "" {
		r.claims(h.Name, now.live.Patterns)
	}
}

func (c *counts) add(o counts, times int) {
	for i, n := range o {
		c[i] += times * n
	}
}

func note(h *lifecycle.Handler) noted {
	n := noted{live: h.Live}
	for state, is := range [...]bool{
		isChanging: h.Changing(), isContested: h.Refusal.Contested(),
		isOrphaned: h.Presence == states.Orphaned, hasFailed: h.Failure != "",
	} {
		if is {
			n.counts[state] = 1
		}
	}
	if h.Live != nil && h.Of == "" { // a canary has routes only where there is room (table.Route)
		n.counts[tableSize] = h.Live.Size
	}
	return n
}

// Proved are the handlers of which a version waits for its patterns.
func (r *Roster) Proved() []*lifecycle.Handler { return slices.Collect(maps.Values(r.tally.proved)) }

// Canaries are the handlers that are some other's, by that one's name; not to be changed.
func (r *Roster) Canaries() map[string]*lifecycle.Handler { return r.tally.canaries }

// Failed reports whether a version of some handler has failed to start again.
func (r *Roster) Failed() bool { return r.tally.counts[hasFailed] > 0 }

// claims takes in which patterns a handler has.
func (r *Roster) claims(handler string, patterns []string) {
	for _, p := range patterns {
		r.tally.claims.Add(r.rules.Dialect, claim{handler, p}, []string{p}, r.claimed())
	}
}

// claimed are all claims.
func (r *Roster) claimed() iter.Seq2[claim, []string] {
	return func(yield func(claim, []string) bool) {
		of := func(handler string, patterns []string) bool {
			for _, p := range patterns {
				if !yield(claim{handler, p}, []string{p}) {
					return false
				}
			}
			return true
		}
		for name, record := range r.History {
			if canary.Of(name) == "" && !of(name, record.Patterns) {
				return
			}
		}
		for name, h := range r.Handlers {
			if h.Live != nil && h.Of == "" && !of(name, h.Live.Patterns) {
				return
			}
		}
	}
}

// beside are the handlers, by name, that may have a claim on one of the patterns, or on one that
// cannot be served beside it; there may be others among them.
func (r *Roster) beside(patterns []string) []string {
	var names []string
	for _, c := range r.tally.claims.Overlapping(patterns) {
		names = append(names, c.handler)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
