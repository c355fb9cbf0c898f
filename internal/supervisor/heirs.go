package supervisor

import (
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/lifecycle"
	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/andrestc/go-plugserver/internal/plan"
)

// seen takes over from the snapshot whose file is there.
func (s *Supervisor) seen() {
	for _, f := range s.snapshot.Files {
		h := s.handlers[f.Name]
		if h == nil {
			continue
		}
		if f.Missed() != (h.Presence == lifecycle.Missed) || h.Presence == lifecycle.Leaving {
			s.handle(h, lifecycle.FileSeen{Missed: f.Missed()})
		}
	}
}

// liveClaims are the patterns of all that serve.
func (s *Supervisor) liveClaims() (claims []plan.Claimant) {
	for _, h := range s.handlers {
		if h.Live != nil {
			keeps, gives := h.stake(h.IsProved()).Divide()
			claims = append(claims, plan.Claimant{Name: h.Name, Patterns: keeps, Leaving: gives, Live: true})
		}
	}
	return claims
}

// undecidedClaims are the patterns that handlers had when they last served,
// and may have again once they have been tried.
func (s *Supervisor) undecidedClaims() (claims []plan.Claimant) {
	if s.snapshot == nil {
		// Not looked yet, or in vain: then the store's versions are tried.
		for name, record := range s.history {
			if h := s.handlers[name]; s.scanned == 0 || h != nil && h.Live == nil && h.Next != nil {
				claims = append(claims, plan.Claimant{Name: name, Patterns: record.Patterns, Seniority: record.Seq})
			}
		}
		return claims
	}
	for _, f := range s.snapshot.Files {
		record, ok := s.history[f.Name]
		h := s.handlers[f.Name]
		if !ok || h == nil && f.Refusal != nil || h != nil && (h.Live != nil || !h.Undecided()) {
			continue
		}
		claims = append(claims, plan.Claimant{Name: f.Name, Patterns: record.Patterns, Seniority: record.Seq})
	}
	return claims
}

// stake is what the handler has and, where it claims, what it wants.
func (h *handler) stake(claims bool) plan.Stake {
	st := plan.Stake{Name: h.Name, Leaves: h.leaves()}
	if h.Live != nil {
		st.Has = h.Live.Patterns
	}
	if claims {
		st.Wants = h.Next.Patterns
	}
	return st
}

// leaves reports whether the handler's file is gone, or seems to be.
func (h *handler) leaves() bool {
	return h.Presence == lifecycle.Missed || h.Presence == lifecycle.Leaving
}

// tryHeirs tries again those refused for a contested pattern that could be
// served once all that is being given up is free.
func (s *Supervisor) tryHeirs() {
	var live []plan.Claimant
	for _, h := range s.handlers {
		if !h.Refusal.Contested() || h.Admission != lifecycle.Idle || h.Next != nil || h.Tried == (handlerdir.ID{}) {
			continue
		}
		if live == nil {
			live = s.liveClaims()
		}
		if plan.Room(h.Refusal.Size, s.others(h), link.MaxRoutes) != nil {
			continue
		}
		if verdict, _ := plan.Claim(plan.Claimant{Name: h.Name, Patterns: h.Refusal.Patterns}, live); verdict != plan.Denied {
			s.handle(h, lifecycle.TryAgain{})
		}
	}
}

// holdsBack reports whether a version that was granted its patterns has to wait:
// it gives some up that another may want, and that other is not proved yet.
func (s *Supervisor) holdsBack(h *handler) bool {
	if !h.Serves() || s.overdue(h.Next.ProvedAt) || !plan.Freed(h.Live.Patterns, h.Next.Patterns) {
		return false
	}
	s.tryHeirs()
	if !plan.UnderWay(s.candidates(nil)) {
		return false
	}
	s.wakeOverdue()
	return true
}

// candidates are all handlers, for plan. Those in claims want what their proved version
// does.
func (s *Supervisor) candidates(claims map[string]*lifecycle.Seat) (all []plan.Candidate) {
	for _, h := range s.handlers {
		c := plan.Candidate{
			Stake: h.stake(claims[h.Name] != nil), Missed: h.Presence == lifecycle.Missed,
			File: plan.File{Dev: h.Tried.Dev, Ino: h.Tried.Ino}, Seq: h.Record.Seq,
		}
		if !h.Wanting.IsZero() {
			c.Wanting = h.Wanting.UnixNano()
		}
		starts := h.Next != nil && h.Next.Why == lifecycle.Newest && h.Next.Phase < lifecycle.Proved
		switch {
		case starts, h.Admission == lifecycle.Copying, h.Refusal.Contested() && h.Tried == handlerdir.ID{}:
			c.Trying = plan.Tries
		case h.Admission == lifecycle.Building:
			c.Trying = plan.Builds
		}
		all = append(all, c)
	}
	return all
}

func (s *Supervisor) overdue(since time.Time) bool {
	return time.Since(since) > s.cfg.StartTimeout
}

// wakeOverdue has passOn look again when whoever waits from now on is overdue.
func (s *Supervisor) wakeOverdue() {
	time.AfterFunc(s.cfg.StartTimeout+time.Millisecond, func() { s.post(func() {}) })
}

// passOn lets those who leave leave, and those proved have what they want, once
// nobody is under way who may want it too.
func (s *Supervisor) passOn() {
	if s.stopping || s.snapshot == nil {
		return
	}
	var leaving, proved []*handler
	for _, h := range s.handlers {
		switch {
		case h.Presence == lifecycle.Leaving:
			leaving = append(leaving, h)
		case h.IsProved():
			proved = append(proved, h)
		}
	}
	if len(leaving)+len(proved) == 0 {
		return
	}
	if plan.UnderWay(s.candidates(nil)) {
		s.passOnLate(leaving, proved)
		return
	}
	claims := make(map[string]*lifecycle.Seat)
	for _, h := range proved {
		if s.seniorsDecided(h) {
			claims[h.Name] = h.Next
		}
	}
	if len(leaving)+len(claims) > 0 {
		s.decide(leaving, claims)
	}
}

// decide ends those who leave, and decides on the claims, by handler.
func (s *Supervisor) decide(leaving []*handler, claims map[string]*lifecycle.Seat) {
	all := s.candidates(claims)
	plan.Rank(all)
	stakes := make([]plan.Stake, len(all))
	for i, c := range all {
		stakes[i] = c.Stake
	}
	granted, denied := plan.PassOn(stakes)
	for _, h := range leaving {
		s.handle(h, lifecycle.HeirsDecided{})
	}
	for _, name := range granted {
		if h := s.handlers[name]; h.Next == claims[name] {
			s.grant(h)
		}
	}
	for name, refused := range denied {
		if h := s.handlers[name]; h.Next == claims[name] {
			s.handle(h, lifecycle.Denied{Seat: h.Next, Refusal: refused})
		}
	}
	s.tryHeirs()
	s.reclaim()
}

// passOnLate is passOn for those who have waited long enough, though somebody is
// still being tried.
func (s *Supervisor) passOnLate(leaving, proved []*handler) {
	all := s.candidates(nil)
	late := slices.ContainsFunc(proved, func(h *handler) bool { return s.overdue(h.Next.ProvedAt) })
	for _, h := range leaving {
		if s.overdue(h.LeavingSince) && !plan.BeingBuilt(plan.File{Dev: h.Tried.Dev, Ino: h.Tried.Ino}, all) {
			s.handle(h, lifecycle.HeirsDecided{})
			late = true
		}
	}
	if late {
		s.tryHeirs()
		s.reclaim()
	}
}

// seniorsDecided reports whether none who had its patterns before is still to be
// tried.
func (s *Supervisor) seniorsDecided(h *handler) bool {
	mine := plan.Claimant{Name: h.Name, Patterns: h.Next.Patterns, Seniority: h.Record.Seq}
	verdict, _ := plan.Claim(mine, s.undecidedClaims())
	return verdict == plan.Granted
}
