package supervisor

import (
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/sirupsen/logrus"
)

// failedAgain is called when the version that is to be live has died, or has
// not started again. It is started again, until it has failed too often: then
// an earlier version takes over, and where there is none the handler is
// quarantined.
func (s *Supervisor) failedAgain(h *handler, how string) {
	if s.cfg.CrashLimit > 0 {
		now := time.Now()
		h.crashTimes = slices.DeleteFunc(h.crashTimes, func(t time.Time) bool { return now.Sub(t) > s.cfg.CrashWindow })
		h.crashTimes = append(h.crashTimes, now)
		if len(h.crashTimes) >= s.cfg.CrashLimit {
			s.giveUp(h, how)
			return
		}
	}
	if h.next == nil {
		s.restartLater(h)
	}
}

// giveUp ends the attempts at the version that is to be live.
func (s *Supervisor) giveUp(h *handler, how string) {
	bad := h.serve
	refused := refusal.Crashed(h.name, bad.Short(), len(h.crashTimes), s.cfg.CrashWindow, how)
	h.crashTimes, h.crashes = nil, 0
	if h.refusal == nil {
		h.refusal = &refusalOf{Error: refused}
	}
	r := s.history[h.name]
	if !slices.Contains(r.Bad, bad.Sum) {
		r.Bad = append(r.Bad[:len(r.Bad):len(r.Bad)], bad.Sum)
		r.Bad = r.Bad[max(0, len(r.Bad)-badKept):]
		s.history[h.name] = r
		s.changed()
	}
	if h.next != nil {
		return // a newer file is being tried already
	}
	if !s.fallBack(h) && h.live != nil {
		h.quarantined = true
		h.since = time.Now()
		s.log.WithFields(logrus.Fields{
			"event": "quarantined", "handler": h.name, "version": bad.Short(), "reason": refused.Reason, "mend": refused.Mend,
		}).Error("quarantined: " + h.name)
		s.alter()
	}
}

// badKept bounds the versions of a handler that are remembered as bad.
const badKept = 8

func (s *Supervisor) isBad(h *handler, sum string) bool {
	return slices.Contains(s.history[h.name].Bad, sum)
}

// fallBack starts the newest version in the store that has served and is not
// bad. It reports false where there is none.
func (s *Supervisor) fallBack(h *handler) bool {
	versions := s.history[h.name].Versions
	for i := len(versions) - 1; i >= 0; i-- {
		sum := versions[i].Sum
		if s.isBad(h, sum) {
			continue
		}
		v, err := s.store.Find(sum)
		if err != nil {
			s.log.WithError(err).WithField("handler", h.name).Warn("an earlier version cannot be served")
			continue
		}
		h.serve = v
		h.rolledBack = h.live != nil
		s.startAgain(h)
		return true
	}
	return false
}

// deniedAgain is called when a version that has served before is not granted
// its patterns: others have taken them since.
func (s *Supervisor) deniedAgain(h *handler, r *refusal.Error) {
	s.log.WithFields(s.fields(h.next)).WithField("reason", r.Reason).Warn("an earlier version is not served: " + h.name)
	s.drop(h.next)
	h.next = nil
	switch {
	case h.live != nil:
		s.restartLater(h)
	case h.refusal != nil:
		h.refusal.contested = true // it is tried again when a pattern becomes free
	}
}

// startAgain starts the version that is to be live.
func (s *Supervisor) startAgain(h *handler) {
	h.next = s.newCell(h, h.serve)
	h.next.again = true
	s.enqueue(h.next)
}

// release forgets that a handler's newest file crashed too often, and tries it
// again.
func (s *Supervisor) release(h *handler) {
	r := s.history[h.name]
	r.Bad = nil
	s.history[h.name] = r
	h.crashTimes, h.crashes = nil, 0
	h.quarantined = false
	h.atStart = false
	h.tried = handlerdir.ID{}
	s.retry = true
}
