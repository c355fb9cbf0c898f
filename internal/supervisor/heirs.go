package supervisor

import (
	"cmp"
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/lifecycle"
	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/andrestc/go-plugserver/internal/plan"
)

// A pattern changes hands in one table. Whoever is about to give one up, because
// its file is gone or because its next version does without, serves it until
// all who may want it were tried, though no longer than a handler may take to
// start. Then those proved and those who leave are decided on together.

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
	if !s.underWay() {
		return false
	}
	s.wakeOverdue()
	return true
}

// underWay reports whether someone may yet turn out to be an heir.
func (s *Supervisor) underWay() bool {
	renamed := s.leavingFiles()
	for _, h := range s.handlers {
		switch {
		case h.Presence == lifecycle.Missed && h.Live != nil:
			return true // it leaves, or it does not
		case h.Admission == lifecycle.Copying, h.Admission == lifecycle.Building && renamed[inode(h.Tried)]:
			return true
		case h.Next != nil && h.Next.Why == lifecycle.Newest && h.Next.Phase < lifecycle.Proved:
			return true
		case h.Refusal.Contested() && h.Tried == handlerdir.ID{}:
			return true // about to be tried
		}
	}
	return false
}

// inode identifies a file by whatever name; zero for none.
func inode(id handlerdir.ID) [2]uint64 { return [2]uint64{id.Dev, id.Ino} }

// leavingFiles are the files of those who leave: one that turns up by another
// name was renamed.
func (s *Supervisor) leavingFiles() map[[2]uint64]bool {
	files := make(map[[2]uint64]bool)
	for _, h := range s.handlers {
		if h.Live != nil && h.Tried.Ino != 0 && h.leaves() {
			files[inode(h.Tried)] = true
		}
	}
	return files
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
	if s.underWay() {
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
	all := s.ranked()
	stakes := make([]plan.Stake, len(all))
	for i, h := range all {
		stakes[i] = h.stake(claims[h.Name] != nil)
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
	late := slices.ContainsFunc(proved, func(h *handler) bool { return s.overdue(h.Next.ProvedAt) })
	for _, h := range leaving {
		if s.overdue(h.LeavingSince) && !s.beingBuilt(h.Tried) {
			s.handle(h, lifecycle.HeirsDecided{})
			late = true
		}
	}
	if late {
		s.tryHeirs()
		s.reclaim()
	}
}

// beingBuilt reports whether the file, by whatever name, is being built.
func (s *Supervisor) beingBuilt(file handlerdir.ID) bool {
	for _, h := range s.handlers {
		if h.Admission == lifecycle.Building && inode(h.Tried) == inode(file) {
			return true
		}
	}
	return false
}

// seniorsDecided reports whether none who had its patterns before is still to be
// tried.
func (s *Supervisor) seniorsDecided(h *handler) bool {
	mine := plan.Claimant{Name: h.Name, Patterns: h.Next.Patterns, Seniority: h.Record.Seq}
	verdict, _ := plan.Claim(mine, s.undecidedClaims())
	return verdict == plan.Granted
}

// ranked are all handlers, the first in line for a free pattern first: a file
// that was renamed, then one that has served, then whoever wants it longest.
func (s *Supervisor) ranked() []*handler {
	type rank struct {
		h     *handler
		class int
	}
	var ranks []rank
	renamed := s.leavingFiles()
	for _, h := range s.handlers {
		r := rank{h, 2}
		switch {
		case renamed[inode(h.Tried)]:
			r.class = 0
		case h.Record.Seq > 0:
			r.class = 1
		}
		ranks = append(ranks, r)
	}
	slices.SortFunc(ranks, func(a, b rank) int {
		return cmp.Or(
			cmp.Compare(a.class, b.class),
			cmp.Compare(a.h.Record.Seq, b.h.Record.Seq),
			a.h.Wanting.Compare(b.h.Wanting),
			cmp.Compare(a.h.Name, b.h.Name),
		)
	})
	all := make([]*handler, len(ranks))
	for i, r := range ranks {
		all[i] = r.h
	}
	return all
}
