package roster

import (
	"maps"
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/plan"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

// live are the patterns of all that serve.
func (r *Roster) live() (claims []plan.Claimant) {
	for _, h := range r.Handlers {
		if h.Live != nil && h.Of == "" {
			claims = append(claims, incumbent(h))
		}
	}
	return claims
}

func incumbent(h *lifecycle.Handler) plan.Claimant {
	keeps, gives := stake(h, h.IsProved()).Divide()
	return plan.Claimant{Name: h.Name, Patterns: keeps, Leaving: gives, Live: true}
}

// undecided are the patterns that handlers had when they last served, and may have
// again once they have been tried.
func (r *Roster) undecided() (claims []plan.Claimant) {
	if r.Snapshot == nil {
		for name := range r.History {
			if r.isUndecided(name, nil) {
				claims = append(claims, r.senior(name))
			}
		}
		return claims
	}
	for _, f := range r.Snapshot.Files {
		if r.isUndecided(f.Name, &f) {
			claims = append(claims, r.senior(f.Name))
		}
	}
	return claims
}

// senior is what a handler claims that has served.
func (r *Roster) senior(name string) plan.Claimant {
	record := r.History[name]
	return plan.Claimant{Name: name, Patterns: record.Patterns, Seniority: record.Seq}
}

// isUndecided reports whether a handler that has served is still to be tried. File is its file in
// the snapshot, nil if there is none.
func (r *Roster) isUndecided(name string, file *handlerdir.File) bool {
	_, served := r.History[name]
	h := r.Handlers[name]
	switch {
	case !served, canary.Of(name) != "":
		return false
	case r.Snapshot == nil: // not looked yet, or in vain: then the store's versions are tried
		return r.Looks.applied == 0 || h != nil && h.Live == nil && h.Next != nil
	case file == nil:
		return false
	case h == nil:
		return file.Refusal == nil
	}
	return h.Live == nil && h.Undecided()
}

// Claimed are those patterns.
func (r *Roster) Claimed() (patterns []string) {
	for _, c := range r.undecided() {
		patterns = append(patterns, c.Patterns...)
	}
	return patterns
}

// stake is what the handler has and, where it claims, what it wants.
func stake(h *lifecycle.Handler, claims bool) plan.Stake {
	st := plan.Stake{Name: h.Name, Leaves: h.Presence == states.Missed || h.Presence == states.Leaving}
	if h.Live != nil {
		st.Has = h.Live.Patterns
	}
	if claims {
		st.Wants = h.Next.Patterns
	}
	return st
}

// candidates are all handlers, for plan. Those in claims want what their proved version
// does.
func (r *Roster) candidates(claims map[string]*states.Seat) (all []plan.Candidate) {
	all = make([]plan.Candidate, 0, len(r.Handlers))
	for _, h := range r.Handlers {
		if h.Of != "" {
			continue // it wants no pattern of its own
		}
		c := plan.Candidate{
			Stake: stake(h, claims[h.Name] != nil), Missed: h.Presence == states.Missed,
			File: fileOf(h), Seq: h.Record.Seq,
		}
		if !h.Wanting.IsZero() {
			c.Wanting = h.Wanting.UnixNano()
		}
		starts := h.Next != nil && h.Next.Why == states.Newest && h.Next.Phase < states.Proved
		switch {
		case starts, h.Admission == states.Copying, h.Refusal.Contested() && h.Tried == handlerdir.ID{}:
			c.Trying = plan.Tries
		case h.Admission == states.Building:
			c.Trying = plan.Builds
		}
		all = append(all, c)
	}
	return all
}

func fileOf(h *lifecycle.Handler) plan.File { return plan.File{Dev: h.Tried.Dev, Ino: h.Tried.Ino} }

// Decide decides whether a handler's proved version gets its patterns.
func (r *Roster) Decide(h *lifecycle.Handler) (plan.Verdict, *refusal.Error) {
	if h.Of != "" {
		return r.decideCanary(h)
	}
	var others, live []plan.Claimant
	wants := h.Live == nil || plan.Freed(h.Next.Patterns, h.Live.Patterns) // else it has what it wants, and nobody served has it too
	for _, name := range r.beside(h.Next.Patterns) {
		if r.isUndecided(name, r.file(name)) {
			others = append(others, r.senior(name))
		}
		if o := r.Handlers[name]; wants && o != nil && o.Live != nil {
			live = append(live, incumbent(o))
		}
	}
	return plan.Claim(r.rules.Dialect, claimant(h), append(others, live...))
}

func claimant(h *lifecycle.Handler) plan.Claimant {
	return plan.Claimant{Name: h.Name, Patterns: h.Next.Patterns, Seniority: h.Record.Seq}
}

// Heirs returns those refused for a contested pattern that could be served once all
// that is being given up is free: they are to be tried again.
func (r *Roster) Heirs() (steps []Step) {
	if r.tally.counts[isContested] == 0 {
		return nil
	}
	var live []plan.Claimant
	for _, h := range r.Handlers {
		if h.Of != "" || !h.Refusal.Contested() || h.Admission != states.Idle || h.Next != nil || h.Tried == (handlerdir.ID{}) {
			continue
		}
		if live == nil {
			live = r.live()
		}
		if plan.Room(h.Refusal.Size, r.others(h), link.MaxRoutes) != nil {
			continue
		}
		if verdict, _ := plan.Claim(r.rules.Dialect, plan.Claimant{Name: h.Name, Patterns: h.Refusal.Patterns}, live); verdict != plan.Denied {
			steps = append(steps, Step{h.Name, lifecycle.TryAgain{}})
		}
	}
	return steps
}

// others is what all that serve but one take of the table, in bytes.
func (r *Roster) others(but *lifecycle.Handler) int {
	return r.tally.counts[tableSize] - r.tally.noted[but.Name].counts[tableSize]
}

// GivesUp reports whether a proved version that may have its patterns gives others
// up, for which it has to wait until who may want those was tried.
func (r *Roster) GivesUp(h *lifecycle.Handler, now time.Time) bool {
	return h.Serves() && h.Of == "" && !r.overdue(h.Next.ProvedAt, now) && plan.Freed(h.Live.Patterns, h.Next.Patterns)
}

// UnderWay reports whether somebody may yet turn out to want what another gives up.
func (r *Roster) UnderWay() bool { return plan.UnderWay(r.candidates(nil)) }

func (r *Roster) overdue(since, now time.Time) bool { return now.Sub(since) > r.rules.Patience }

// Passing is who is decided on together, so that patterns change hands in one table.
type Passing struct {
	Leave []Step
	Grant []Claim // they get what they want, the first in line first
	Deny  []Step
}

// Claim is a handler's version that is proved and wants its patterns.
type Claim struct {
	Handler *lifecycle.Handler
	Seat    *states.Seat
}

// PassOn has those who leave leave, and those proved have what they want, once nobody
// is under way who may want it too, or they have waited long enough. ok says that
// something was decided.
func (r *Roster) PassOn(now time.Time) (p Passing, ok bool) {
	isCanary := func(h *lifecycle.Handler) bool { return h.Of != "" } // which has nothing of others to wait for
	leaving := slices.DeleteFunc(slices.Collect(maps.Values(r.tally.leaving)), isCanary)
	proved := slices.DeleteFunc(r.Proved(), func(h *lifecycle.Handler) bool { return isCanary(h) || h.Presence == states.Leaving })
	if r.Snapshot == nil || len(leaving)+len(proved) == 0 {
		return p, false
	}
	if all := r.candidates(nil); plan.UnderWay(all) {
		return r.passOnLate(leaving, proved, all, now)
	}
	claims := make(map[string]*states.Seat)
	undecided := r.undecided()
	for _, h := range proved {
		// None who had its patterns before is still to be tried.
		if verdict, _ := plan.Claim(r.rules.Dialect, claimant(h), undecided); verdict == plan.Granted {
			claims[h.Name] = h.Next
		}
	}
	if len(leaving)+len(claims) == 0 {
		return p, false
	}
	return r.divide(leaving, claims), true
}

// passOnLate is PassOn for those who have waited long enough, though somebody is still
// being tried. Who is proved claims again by itself.
func (r *Roster) passOnLate(leaving, proved []*lifecycle.Handler, all []plan.Candidate, now time.Time) (p Passing, ok bool) {
	for _, h := range leaving {
		if r.overdue(h.LeavingSince, now) && !plan.BeingBuilt(fileOf(h), all) {
			p.Leave = append(p.Leave, Step{h.Name, lifecycle.HeirsDecided{}})
		}
	}
	late := slices.ContainsFunc(proved, func(h *lifecycle.Handler) bool { return r.overdue(h.Next.ProvedAt, now) })
	return p, late || len(p.Leave) > 0
}

// divide ends those who leave, and decides on the claims, by handler.
func (r *Roster) divide(leaving []*lifecycle.Handler, claims map[string]*states.Seat) (p Passing) {
	all := r.candidates(claims)
	plan.Rank(all)
	stakes := make([]plan.Stake, len(all))
	for i, c := range all {
		stakes[i] = c.Stake
	}
	granted, denied := plan.PassOn(r.rules.Dialect, stakes)
	for _, h := range leaving {
		p.Leave = append(p.Leave, Step{h.Name, lifecycle.HeirsDecided{}})
	}
	for _, name := range granted {
		p.Grant = append(p.Grant, Claim{r.Handlers[name], claims[name]})
	}
	for name, refused := range denied {
		p.Deny = append(p.Deny, Step{name, lifecycle.Denied{Seat: claims[name], Refusal: refused}})
	}
	return p
}
