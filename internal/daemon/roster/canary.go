package roster

import (
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/plan"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
)

// decideCanary decides whether a proved canary may stand beside its incumbent. It waits for one
// that is being tried, and takes no pattern from anybody.
func (r *Roster) decideCanary(h *lifecycle.Handler) (plan.Verdict, *refusal.Error) {
	of := r.Handlers[h.Of]
	switch {
	case of == nil || of.Live == nil || of.Of != "":
		if r.mayCome(h.Of, of) {
			return plan.Waits, nil
		}
		return plan.Denied, refusal.NoIncumbent(h.Of)
	case of.Live.Version.Sum == h.Next.Version.Sum:
		return plan.Denied, refusal.SameAsIncumbent(h.Of, h.Next.Version.Short())
	case !slices.ContainsFunc(of.Live.Patterns, in(h.Next.Patterns)):
		return plan.Denied, refusal.NothingInCommon(h.Of)
	}
	return plan.Granted, nil
}

// in tells of a pattern whether it is among these.
func in(patterns []string) func(string) bool {
	all := make(map[string]bool, len(patterns))
	for _, p := range patterns {
		all[p] = true
	}
	return func(p string) bool { return all[p] }
}

// Besides are the patterns of a canary that its incumbent does not serve.
func Besides(h, of *lifecycle.Handler) []string {
	return slices.DeleteFunc(slices.Clone(h.Live.Patterns), in(of.Live.Patterns))
}

// Place tells where a seat is, and for how long its requests are held.
type Place = func(*states.Seat) (cell uint64, hold time.Duration)

// Served are the routes that lead to all who serve; rule says on what terms a canary has a part of them.
func (r *Roster) Served(place Place, rule func(*lifecycle.Handler) link.Canary) (served []link.Route) {
	served = make([]link.Route, 0, len(r.Handlers))
	for _, h := range r.Handlers {
		if h.Live == nil || h.Of != "" {
			continue
		}
		cell, hold := place(h.Live)
		var beside link.Canary
		shares := func(string) bool { return false }
		if c := r.tally.canaries[h.Name]; c != nil && c.Live != nil && c.Live.Version.Sum != h.Live.Version.Sum {
			beside, shares = rule(c), in(c.Live.Patterns)
			if c.Standing == states.Serving {
				beside.Cell, _ = place(c.Live)
			}
		}
		for _, p := range h.Live.Patterns {
			route := link.Route{Pattern: p, Cell: cell, Hold: hold, Down: h.Standing == states.Quarantined}
			if shares(p) {
				route.Canary = beside
			}
			served = append(served, route)
		}
	}
	return served
}

// mayCome reports whether a handler that does not serve is about to. of is nil where there is none yet.
func (r *Roster) mayCome(name string, of *lifecycle.Handler) bool {
	if of == nil {
		f := r.file(name)
		return f != nil && f.Refusal == nil && !r.Ignores(*f)
	}
	return of.Of == "" && (of.Admission != states.Idle || of.Next != nil)
}
