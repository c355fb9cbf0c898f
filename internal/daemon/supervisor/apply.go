package supervisor

import (
	"fmt"
	"time"

	"github.com/andrestc/go-plugserver/internal/daemon/cells"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/notice"
	"github.com/andrestc/go-plugserver/internal/daemon/plan"
)

// handle tells a handler of an event, and does what comes of it. Once the service ends, nothing does.
func (s *Supervisor) handle(h *lifecycle.Handler, e lifecycle.Event) {
	if s.stopping {
		return
	}
	todo := h.Handle(lifecycle.Now{Time: time.Now(), Writes: s.writes(h.File)}, e)
	s.view.Note(h)
	for _, a := range todo {
		s.apply(h, a)
	}
}

func (s *Supervisor) apply(h *lifecycle.Handler, a lifecycle.Action) {
	switch a := a.(type) {
	case lifecycle.Admit:
		s.files.Admit(h, s.roster.File(h.Name))
	case lifecycle.Abandon:
		s.files.Abandon(h)
	case lifecycle.Recall:
		s.files.Recall(h, a.Seat, a.Sums)
	case lifecycle.Start:
		s.cells.Start(h, a.Seat, s.files.Part(h))
	case lifecycle.Drop:
		s.cells.Drop(a.Seat)
	case lifecycle.Claim:
		s.claim(h)
	case lifecycle.Publish:
		s.cells.Publish(h.Name, a)
		if a.Old != nil && plan.Freed(a.Old.Patterns, a.Seat.Patterns) {
			s.tryHeirs()
		}
	case lifecycle.Alter:
		s.cells.Alter()
	case lifecycle.Leave:
		s.wakeLate()
		s.tryHeirs()
	case lifecycle.Decided:
		if h.Live == nil && h.Record.Seq > 0 {
			s.cells.Alter() // requests waited for what it had
		}
		s.reclaim()
	case lifecycle.LookAgain:
		s.look()
	case lifecycle.Reconsider:
		s.retry = true
	case lifecycle.Save:
		s.files.Changed(h.Name, s.roster.Save(h))
	case lifecycle.Forget:
		s.files.Forget(h)
		if left, changed := s.roster.Forget(h); changed {
			s.files.Changed(h.Name, left)
		}
		s.view.Note(h)
	case lifecycle.Wake:
		time.AfterFunc(a.After, func() { s.post(woken{h, a.Event}) })
	case lifecycle.Tell:
		notice.Of(h, a, cells.Fields).Log(s.log)
	default:
		panic(fmt.Sprintf("supervisor: unknown action %T", a))
	}
}

// claim decides whether a handler's proved version gets its patterns.
func (s *Supervisor) claim(h *lifecycle.Handler) {
	if !h.IsProved() {
		return
	}
	switch verdict, refused := s.roster.Decide(h); verdict {
	case plan.Granted:
		if !s.holdsBack(h) {
			s.grant(h)
		}
	case plan.Waits:
		s.tryHeirs() // of what it may give up
	case plan.Denied:
		s.handle(h, lifecycle.Denied{Seat: h.Next, Refusal: refused})
	}
}

// reclaim decides anew on the versions that wait for a senior handler.
func (s *Supervisor) reclaim() {
	for _, h := range s.roster.Proved() {
		s.claim(h)
	}
}

// holdsBack reports whether a version that was granted its patterns has to wait: it gives some up that another may want, and that other is not proved yet.
func (s *Supervisor) holdsBack(h *lifecycle.Handler) bool {
	if !s.roster.GivesUp(h, time.Now()) {
		return false
	}
	s.tryHeirs()
	if !s.roster.UnderWay() {
		return false
	}
	s.wakeLate()
	return true
}

// grant gives a proved version its patterns, if the table has room for them.
func (s *Supervisor) grant(h *lifecycle.Handler) {
	e := s.roster.Grant(h)
	s.handle(h, e)
	if _, ok := e.(lifecycle.Granted); ok {
		s.renew(h)
	}
}

// renew gives a handler a new cell where the one that serves it was started with other
// settings.
func (s *Supervisor) renew(h *lifecycle.Handler) {
	if s.cells.Outdated(h) {
		s.handle(h, lifecycle.Renew{})
	}
}

// tryHeirs tries those again that may be served once all that is being given up is
// free.
func (s *Supervisor) tryHeirs() { s.step(s.roster.Heirs()) }

// wakeLate has passOn look again when whoever waits from now on has waited long enough.
func (s *Supervisor) wakeLate() {
	time.AfterFunc(s.cfg.StartTimeout+time.Millisecond, func() { s.post(turned{}) })
}

// passOn has patterns change hands, where that is decided.
func (s *Supervisor) passOn() {
	if s.stopping {
		return
	}
	p, ok := s.roster.PassOn(time.Now())
	if !ok {
		return
	}
	s.step(p.Leave)
	for _, c := range p.Grant {
		if c.Handler.Next == c.Seat {
			s.grant(c.Handler)
		}
	}
	s.step(p.Deny)
	s.tryHeirs()
	s.reclaim()
}
