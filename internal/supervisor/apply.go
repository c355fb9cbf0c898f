package supervisor

import (
	"fmt"
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/cells"
	"github.com/andrestc/go-plugserver/internal/event"
	"github.com/andrestc/go-plugserver/internal/intake"
	"github.com/andrestc/go-plugserver/internal/lifecycle"
	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/andrestc/go-plugserver/internal/plan"
	"github.com/sirupsen/logrus"
)

// handle tells a handler of an event, and does what comes of it. Once the service
// ends, nothing does.
func (s *Supervisor) handle(h *handler, e lifecycle.Event) {
	if s.stopping {
		return
	}
	for _, a := range h.Handle(lifecycle.Now{Time: time.Now(), Writes: s.writes(h)}, e) {
		s.apply(h, a)
	}
}

// writes counts what was written to the handler's file.
func (s *Supervisor) writes(h *handler) uint64 {
	if s.cfg.Writes == nil {
		return 0
	}
	return s.cfg.Writes(h.File)
}

func (s *Supervisor) apply(h *handler, a lifecycle.Action) {
	switch a := a.(type) {
	case lifecycle.Admit:
		s.admit(h)
	case lifecycle.Abandon:
		h.admission.Cancel()
		h.admission = nil
	case lifecycle.Recall:
		s.recall(h, a.Seat, a.Sums)
	case lifecycle.Start:
		s.cells.Start(h.Handler, a.Seat, h.part)
	case lifecycle.Drop:
		s.cells.Drop(a.Seat)
	case lifecycle.Claim:
		s.claim(h)
	case lifecycle.Publish:
		s.cells.Publish(h.Name, a)
		if a.Old != nil && a.What != lifecycle.Retired && plan.Freed(a.Old.Patterns, a.Seat.Patterns) {
			s.tryHeirs()
		}
	case lifecycle.Alter:
		s.cells.Alter()
	case lifecycle.Leave:
		s.wakeOverdue()
		s.tryHeirs()
	case lifecycle.Decided:
		s.reclaim()
	case lifecycle.LookAgain:
		s.scan()
	case lifecycle.Reconsider:
		s.retry = true
	case lifecycle.Save:
		s.history[h.Name] = h.Record
		s.changed()
	case lifecycle.Forget:
		s.forget(h)
	case lifecycle.Wake:
		time.AfterFunc(a.After, func() {
			s.post(func() {
				if s.handlers[h.Name] == h {
					s.handle(h, a.Event)
				}
			})
		})
	case lifecycle.Tell:
		s.tell(h, a)
	default:
		panic(fmt.Sprintf("supervisor: unknown action %T", a))
	}
}

func (s *Supervisor) forget(h *handler) {
	delete(s.handlers, h.Name)
	delete(s.first, h.Name)
	if _, ok := s.history[h.Name]; ok {
		delete(s.history, h.Name)
		s.changed()
	}
}

// recall looks for an earlier version in the store, for a seat that waits for it.
func (s *Supervisor) recall(h *handler, st *lifecycle.Seat, sums []string) {
	s.intake.Recall(sums, func(r intake.Recalled) { s.post(func() { s.recalled(h, st, sums, r) }) })
}

func (s *Supervisor) recalled(h *handler, st *lifecycle.Seat, sums []string, r intake.Recalled) {
	switch {
	case s.handlers[h.Name] != h || h.Next != st || s.stopping:
		return
	case r.Passing:
		s.later(func() {
			if h.Next == st {
				s.recall(h, st, sums)
			}
		})
		return
	}
	for _, err := range r.Lost {
		s.log.WithError(err).WithField("handler", h.Name).Warn("an earlier version cannot be served")
	}
	s.handle(h, lifecycle.Recalled{Seat: st, Version: r.Version})
}

// tell tells operators what a handler has to say.
func (s *Supervisor) tell(h *handler, t lifecycle.Tell) {
	fields := logrus.Fields{"handler": h.Name}
	if t.Refusal != nil {
		fields["reason"] = t.Refusal.Reason
		if t.What != lifecycle.NoticeNotRestarted && t.What != lifecycle.NoticeNotServed {
			fields["mend"] = t.Refusal.Mends()
		}
	}
	switch t.What {
	case lifecycle.NoticeRefused:
		fields[event.Field] = event.Refused
		text := "refused: " + h.File
		if t.Seat != nil {
			text += "; version " + t.Seat.Version.Short() + " goes on serving"
		}
		s.log.WithFields(fields).Warn(text)
	case lifecycle.NoticeHeld:
		s.log.WithFields(fields).Info("rolled back: " + h.File)
	case lifecycle.NoticeQuarantined:
		fields[event.Field], fields["version"] = event.Quarantined, t.Version.Short()
		s.log.WithFields(fields).Error("quarantined: " + h.Name)
	case lifecycle.NoticeNotRestarted:
		s.log.WithFields(cells.Fields(t.Seat)).WithFields(fields).Error("restart failed: " + h.Name)
	case lifecycle.NoticeNotServed:
		s.log.WithFields(cells.Fields(t.Seat)).WithFields(fields).Warn("an earlier version is not served: " + h.Name)
	case lifecycle.NoticeGone:
		s.log.WithFields(fields).Info("gone: " + h.File + " was removed")
	case lifecycle.NoticeDoing:
		s.log.WithFields(fields).Info(t.Text)
	}
}

// claim decides whether a handler's proved version gets its patterns.
func (s *Supervisor) claim(h *handler) {
	if !h.IsProved() {
		return
	}
	mine := plan.Claimant{Name: h.Name, Patterns: h.Next.Patterns, Seniority: h.Record.Seq}
	switch verdict, refused := plan.Claim(mine, slices.Concat(s.undecidedClaims(), s.liveClaims())); verdict {
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
	for _, h := range s.handlers {
		s.claim(h)
	}
}

// grant gives a proved version its patterns, if the table has room for them.
func (s *Supervisor) grant(h *handler) {
	if refused := plan.Room(h.Next.Size, s.others(h), link.MaxRoutes); refused != nil {
		s.handle(h, lifecycle.Denied{Seat: h.Next, Refusal: refused})
		return
	}
	s.handle(h, lifecycle.Granted{Seat: h.Next, Seq: s.lastSeq + 1})
	s.lastSeq = max(s.lastSeq, h.Record.Seq)
	s.renew(h)
}

// renew gives a handler a new cell where the one that serves it was started with other
// settings.
func (s *Supervisor) renew(h *handler) {
	if s.cells.Outdated(h.Handler) {
		s.handle(h, lifecycle.Renew{})
	}
}

// others is what all that serve but one take of the table, in bytes.
func (s *Supervisor) others(but *handler) (size int) {
	for _, h := range s.handlers {
		if h != but && h.Live != nil {
			size += h.Live.Size
		}
	}
	return size
}
