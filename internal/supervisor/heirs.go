package supervisor

import (
	"cmp"
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/andrestc/go-plugserver/internal/plan"
)

// A pattern changes hands in one table. Whoever is about to give one up, because
// its file is gone or because its next version does without, serves it until
// all who may want it were tried, though no longer than a handler may take to
// start. Then those proved and those who leave are decided on together.

// missed takes over from the snapshot whose file is there.
func (s *Supervisor) missed() {
	for _, f := range s.snapshot.Files {
		h := s.handlers[f.Name]
		if h == nil {
			continue
		}
		h.missed = f.Missed()
		if !h.missed && !h.leaving.IsZero() {
			h.leaving = time.Time{}
			s.undecided(h)
		}
	}
}

// remove begins the end of a handler whose file is gone.
func (s *Supervisor) remove(h *handler) {
	h.abandon()
	s.dropNext(h)
	if h.restart != nil {
		h.restart.Stop()
		h.restart = nil
	}
	switch {
	case h.live == nil:
		s.forget(h)
		s.log.WithField("handler", h.name).Info("gone: " + h.file + " was removed")
		s.undecided(h)
	case h.leaving.IsZero():
		h.missed, h.leaving = false, time.Now()
		s.wakeOverdue()
		s.tryHeirs()
	}
}

// end takes the routes of a handler that leaves away. Its cell ends what it
// began.
func (s *Supervisor) end(h *handler) {
	s.forget(h)
	s.publish(news{event: "retired", text: "retired: " + h.name, seat: h.live, old: h.live})
}

func (s *Supervisor) forget(h *handler) {
	delete(s.handlers, h.name)
	delete(s.first, h.name)
	s.dropNext(h)
	if _, ok := s.history[h.name]; ok {
		delete(s.history, h.name)
		s.changed()
	}
}

// liveClaims are the patterns of all that serve.
func (s *Supervisor) liveClaims() (claims []plan.Claimant) {
	for _, h := range s.handlers {
		if h.live != nil {
			keeps, gives := h.stake(h.proved()).Divide()
			claims = append(claims, plan.Claimant{Name: h.name, Patterns: keeps, Leaving: gives, Live: true})
		}
	}
	return claims
}

// proved reports whether a version of the handler is proved and waits.
func (h *handler) proved() bool { return h.next != nil && h.next.state == waiting }

// stake is what the handler has and, where it claims, what it wants.
func (h *handler) stake(claims bool) plan.Stake {
	st := plan.Stake{Name: h.name, Leaves: h.missed || !h.leaving.IsZero()}
	if h.live != nil {
		st.Has = h.live.patterns
	}
	if claims {
		st.Wants = h.next.patterns
	}
	return st
}

// tryHeirs tries again those refused for a contested pattern that could be
// served once all that is being given up is free.
func (s *Supervisor) tryHeirs() {
	var live []plan.Claimant
	for _, h := range s.handlers {
		if h.refusal == nil || !h.refusal.contested || h.admission != nil || h.next != nil || h.tried == (handlerdir.ID{}) {
			continue
		}
		if live == nil {
			live = s.liveClaims()
		}
		if plan.Room(h.refusal.size, s.others(h), link.MaxRoutes) != nil {
			continue
		}
		if verdict, _ := plan.Claim(plan.Claimant{Name: h.name, Patterns: h.refusal.patterns}, live); verdict != plan.Denied {
			h.tried = handlerdir.ID{}
			s.retry = true
		}
	}
}

// holdsBack reports whether a version that was granted its patterns has to wait:
// it gives some up that another may want, and that other is not proved yet.
func (s *Supervisor) holdsBack(h *handler, c *seat) bool {
	if h.live == nil || h.live.dead() || s.overdue(c.provedAt) || !plan.Freed(h.live.patterns, c.patterns) {
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
		case h.missed && h.live != nil:
			return true // it leaves, or it does not
		case h.admission != nil && (!h.admission.long || renamed[inode(h.tried)]):
			return true
		case h.next != nil && !h.next.again && h.next.state < waiting:
			return true
		case h.refusal != nil && h.refusal.contested && h.tried == handlerdir.ID{}:
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
		if h.live != nil && h.tried.Ino != 0 && (h.missed || !h.leaving.IsZero()) {
			files[inode(h.tried)] = true
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
		case !h.leaving.IsZero():
			leaving = append(leaving, h)
		case h.proved():
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
	claims := make(map[string]*seat)
	for _, h := range proved {
		if s.seniorsDecided(h) {
			claims[h.name] = h.next
		}
	}
	if len(leaving)+len(claims) > 0 {
		s.decide(leaving, claims)
	}
}

// decide ends those who leave, and decides on the claims, by handler.
func (s *Supervisor) decide(leaving []*handler, claims map[string]*seat) {
	all := s.ranked()
	stakes := make([]plan.Stake, len(all))
	for i, h := range all {
		stakes[i] = h.stake(claims[h.name] != nil)
	}
	granted, denied := plan.PassOn(stakes)
	for _, h := range leaving {
		s.end(h)
	}
	for _, name := range granted {
		if h := s.handlers[name]; h.next == claims[name] {
			s.grant(h, h.next)
		}
	}
	for name, refused := range denied {
		if h := s.handlers[name]; h.next == claims[name] {
			s.deny(h, h.next, refused)
		}
	}
	s.tryHeirs()
	s.reclaim()
}

// passOnLate is passOn for those who have waited long enough, though somebody is
// still being tried.
func (s *Supervisor) passOnLate(leaving, proved []*handler) {
	late := slices.ContainsFunc(proved, func(h *handler) bool { return s.overdue(h.next.provedAt) })
	for _, h := range leaving {
		if s.overdue(h.leaving) && !s.beingBuilt(h.tried) {
			s.end(h)
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
		if h.admission != nil && h.admission.long && inode(h.tried) == inode(file) {
			return true
		}
	}
	return false
}

// seniorsDecided reports whether none who had its patterns before is still to be
// tried.
func (s *Supervisor) seniorsDecided(h *handler) bool {
	mine := plan.Claimant{Name: h.name, Patterns: h.next.patterns, Seniority: s.history[h.name].Seq}
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
		case renamed[inode(h.tried)]:
			r.class = 0
		case s.history[h.name].Seq > 0:
			r.class = 1
		}
		ranks = append(ranks, r)
	}
	slices.SortFunc(ranks, func(a, b rank) int {
		return cmp.Or(
			cmp.Compare(a.class, b.class),
			cmp.Compare(s.history[a.h.name].Seq, s.history[b.h.name].Seq),
			a.h.wanting.Compare(b.h.wanting),
			cmp.Compare(a.h.name, b.h.name),
		)
	})
	all := make([]*handler, len(ranks))
	for i, r := range ranks {
		all[i] = r.h
	}
	return all
}
