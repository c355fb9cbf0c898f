// Package roster knows all handlers, what was seen of the directory, and what was
// saved of the past. It answers what concerns more than one of them: whom a look at
// the directory concerns, who claims which patterns, who may have what another gives
// up. It is pure: it tells nobody, and what is to be told comes out as Steps.
package roster

import (
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/routes"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/plan"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

// Rules are the operator's for all handlers.
type Rules struct {
	lifecycle.Rules
	// Patience bounds how long a pattern is not given up, or not granted, because
	// somebody else who may want it is still being tried.
	Patience time.Duration
	Dialect  routes.Dialect // of all patterns
}

// Roster is the one of a daemon.
type Roster struct {
	Handlers map[string]*lifecycle.Handler
	History  store.History
	Snapshot *handlerdir.Snapshot // what was seen last of the directory; nil before the first
	Looks    Looks

	rules   Rules
	skipped map[string]bool // the names that the rules have skipped, and do no longer: their files lay there
	first   map[string]bool // the names in the first snapshot, but for those that were removed since
	lastSeq int64
	tally   tally
}

// Step is what a handler is to be told. There is none of that name yet where it is
// the first.
type Step struct {
	Name  string
	Event lifecycle.Event
}

// New returns a roster without handlers. The history is its own from now on.
func New(past store.History, rules Rules) *Roster {
	r := &Roster{Handlers: make(map[string]*lifecycle.Handler), History: past, rules: rules}
	r.tally = newTally()
	for name, record := range past {
		r.lastSeq = max(r.lastSeq, record.Seq)
		// They may be of a release that took other patterns, or of another dialect.
		record.Patterns = slices.DeleteFunc(record.Patterns, func(p string) bool { return rules.Dialect.Check([]string{p}, 0, 0) != nil })
		past[name] = record
	}
	for name, record := range past { // which are all this dialect's by now
		if canary.Of(name) == "" {
			r.claims(name, record.Patterns)
		}
	}
	return r
}

// Handler returns the handler of that name, a new one where there is none.
func (r *Roster) Handler(name string, now time.Time) *lifecycle.Handler {
	h := r.Handlers[name]
	if h == nil {
		h = lifecycle.New(name, r.History[name], r.Snapshot == nil || r.first[name], r.rules.Rules, now)
		r.Handlers[name] = h
		if r.skipped[name] {
			h.Enabled()
			delete(r.skipped, name)
		}
	}
	return h
}

// Has reports whether the handler is one of them, and not one of before.
func (r *Roster) Has(h *lifecycle.Handler) bool { return r.Handlers[h.Name] == h }

// Record is what was saved of the handler of that name, be it that there is none any more.
func (r *Roster) Record(name string) store.Record { return r.History[name] }

// Save puts a handler's record into the history, and returns it.
func (r *Roster) Save(h *lifecycle.Handler) *store.Record {
	record := h.Record
	r.History[h.Name] = record
	if h.Of == "" {
		r.claims(h.Name, h.Record.Patterns)
	}
	r.lastSeq = max(r.lastSeq, h.Record.Seq)
	return &record
}

// Forget takes a handler out, and reports whether the history has changed. What is left of its record, nil if nothing is, is how far
// signed versions of that name have come.
func (r *Roster) Forget(h *lifecycle.Handler) (left *store.Record, changed bool) {
	delete(r.Handlers, h.Name)
	delete(r.first, h.Name)
	was, changed := r.History[h.Name]
	delete(r.History, h.Name)
	if was.Newest != (store.Mark{}) {
		left = &store.Record{Newest: was.Newest}
		r.History[h.Name] = *left
	}
	return left, changed
}

// Grant is what a handler whose version is proved is told when nobody has a better
// claim on its patterns: it gets them, if the table has room for them.
func (r *Roster) Grant(h *lifecycle.Handler) lifecycle.Event {
	if refused := plan.Room(h.Next.Size, r.others(h), link.MaxRoutes); refused != nil {
		return lifecycle.Denied{Seat: h.Next, Refusal: refused}
	}
	return lifecycle.Granted{Seat: h.Next, Seq: r.lastSeq + 1}
}

// Needed takes the sums of the versions that handlers may serve now or later out of sums.
func (r *Roster) Needed(sums map[string]bool) {
	for _, h := range r.Handlers {
		for _, st := range [...]*states.Seat{h.Live, h.Next} {
			if st != nil {
				delete(sums, st.Version.Sum)
			}
		}
	}
	for _, record := range r.History {
		for _, v := range record.Versions {
			delete(sums, v.Sum)
		}
	}
}

// Quiet reports whether the directory was looked at, and no handler is about to
// change for what was seen.
func (r *Roster) Quiet() bool {
	return r.Looks.quiet() && r.tally.counts[isChanging]+len(r.tally.leaving) == 0
}

// Concluded reports whether nothing is under way for the handler of that name: its
// newest file was tried.
func (r *Roster) Concluded(name string) bool {
	h := r.Handlers[name]
	if f := r.file(name); f != nil && !r.Ignores(*f) && (h == nil || h.Tried != f.ID || !f.Settled && f.Refusal == nil) {
		return false
	}
	return h == nil || h.Admission == states.Idle && h.Next == nil && h.Presence != states.Leaving
}

// Orphans are the handlers that a directory which was replaced lacks.
func (r *Roster) Orphans() (names []string) {
	if r.tally.counts[isOrphaned] == 0 {
		return nil
	}
	for _, h := range r.Handlers {
		if h.Presence == states.Orphaned {
			names = append(names, h.Name)
		}
	}
	slices.Sort(names)
	return names
}
