package supervisor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/intake"
	"github.com/andrestc/go-plugserver/internal/plan"
	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/andrestc/go-plugserver/internal/store"
	"github.com/sirupsen/logrus"
)

// failedAgain is called when the version that is to be live has died, or has
// not started again. It is started again, until it has failed too often: then
// an earlier version takes over, and where there is none the handler is
// quarantined.
func (s *Supervisor) failedAgain(h *handler, how string) {
	if !h.leaving.IsZero() {
		return // its requests wait for its heir
	}
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
		h.refusal = &refusalOf{Error: refused, of: bad.Sum}
	}
	s.give(h, bad.Sum, refused)
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
	if !s.fallBack(h) {
		s.quarantine(h)
	}
}

// quarantine leaves a handler dead: the version that was given up was the last.
func (s *Supervisor) quarantine(h *handler) {
	why := h.given[h.serve.Sum]
	if h.live == nil || why == nil {
		return // it has no routes to be answered for
	}
	h.quarantined = true
	h.since = time.Now()
	s.log.WithFields(logrus.Fields{
		"event": "quarantined", "handler": h.name, "version": h.serve.Short(), "reason": why.Reason, "mend": why.Mends(),
	}).Error("quarantined: " + h.name)
	s.alter()
}

// givenUp reports whether a version is not to be served by itself: it crashed
// too often, or an operator has rolled it back.
func (s *Supervisor) givenUp(h *handler, sum string) bool {
	return s.isBad(h, sum) || s.history[h.name].Held == sum
}

// asked reports whether somebody has put an admitted file into the directory
// since the last. Then it has another chance, as if it were new.
func (s *Supervisor) asked(h *handler, f handlerdir.File, sum string) bool {
	now := plan.Content{Sum: sum, Dev: f.ID.Dev, Ino: f.ID.Ino, Writes: s.writes(h)}
	anew := plan.Anew(now, h.content, h.atStart)
	h.content, h.atStart = now, false
	if anew {
		h.crashTimes = nil
		if s.givenUp(h, sum) {
			s.forgive(h, sum)
		}
	}
	return anew
}

// forgive takes back what was held against a version.
func (s *Supervisor) forgive(h *handler, sum string) {
	r := s.history[h.name]
	r.Bad = slices.DeleteFunc(slices.Clone(r.Bad), func(bad string) bool { return bad == sum })
	if r.Held == sum {
		r.Held = ""
	}
	s.history[h.name] = r
	s.changed()
}

// writes counts what was written to the handler's file.
func (s *Supervisor) writes(h *handler) uint64 {
	if s.cfg.Writes == nil {
		return 0
	}
	return s.cfg.Writes(h.file)
}

// give remembers why a version is given up. What was written before counts for
// nothing from now on.
func (s *Supervisor) give(h *handler, sum string, why *refusal.Error) {
	if h.given == nil {
		h.given = make(map[string]*refusal.Error)
	}
	for other := range h.given {
		if !s.givenUp(h, other) {
			delete(h.given, other)
		}
	}
	h.given[sum] = why
	h.content.Writes = s.writes(h)
}

// staysGivenUp is called when the content of the handler's file is one that was
// given up, and nobody has asked for it anew: the mode of the file may have
// changed, or the daemon was started.
func (s *Supervisor) staysGivenUp(h *handler, v store.Version) {
	r := refusalOf{Error: h.given[v.Sum], of: v.Sum, held: s.history[h.name].Held == v.Sum}
	switch {
	case r.Error != nil:
	case r.held:
		r.Error = refusal.RolledBack(h.name, v.Short())
	default:
		r.Error = refusal.Crashed(h.name, v.Short(), s.cfg.CrashLimit, s.cfg.CrashWindow, "see the log of that time")
	}
	h.rolledBack = h.live == nil || h.live.part.Version.Sum != v.Sum
	if h.next != nil && h.next.again || h.refusal != nil && h.refusal.Reason == r.Reason {
		h.refusal = &r // an earlier version serves, or will
		s.undecided(h)
		return
	}
	s.refuse(h, r)
}

// rollBack makes another version take over because an operator says so.
func (s *Supervisor) rollBack(h *handler, v store.Version) {
	if h.restart != nil {
		h.restart.Stop()
		h.restart = nil
	}
	s.dropNext(h)
	h.serve, h.failure = v, ""
	s.startAgain(h)
	h.next.rollBack, h.next.byHand = true, true
}

// target is the sum of the version that an operator wants; an empty one is the newest
// before that which serves. The error says why there is none.
func (s *Supervisor) target(h *handler, version string) (string, error) {
	serves := ""
	if h.live != nil {
		serves = h.live.part.Version.Sum
	}
	if version != "" && strings.HasPrefix(serves, version) && !h.live.dead() {
		return "", fmt.Errorf("version %s of %q serves already", serves[:12], h.name)
	}
	before := serves == ""
	for _, v := range slices.Backward(s.history[h.name].Versions) {
		if version != "" && strings.HasPrefix(v.Sum, version) || version == "" && before && !s.isBad(h, v.Sum) {
			return v.Sum, nil
		}
		before = before || v.Sum == serves
	}
	if version == "" {
		return "", fmt.Errorf("there is no earlier version of %q that served well", h.name)
	}
	return "", fmt.Errorf("there is no version %q of %q in the store; see plugserverctl history %s", version, h.name, h.name)
}

// hold remembers that an operator has rolled the version from back, so that its
// file is not served after a restart either. Rolled back further, it is still
// the newest.
func (s *Supervisor) hold(h *handler, from string) {
	r := s.history[h.name]
	switch {
	case r.Held == h.live.part.Version.Sum: // forth again
		r.Held = ""
		h.refusal, h.rolledBack = nil, false
	case r.Held == "":
		r.Held = from
		h.refusal = &refusalOf{Error: refusal.RolledBack(h.name, from[:12]), of: from, held: true}
		s.give(h, from, h.refusal.Error)
	}
	s.history[h.name] = r
	s.changed()
}

// badKept bounds the versions of a handler that are remembered as bad.
const badKept = 8

func (s *Supervisor) isBad(h *handler, sum string) bool {
	return slices.Contains(s.history[h.name].Bad, sum)
}

// fallBack starts the version that served last, or else the newest in the store
// that is not bad. It reports false where the history names none.
func (s *Supervisor) fallBack(h *handler) bool {
	r := s.history[h.name]
	var sums []string
	for _, sum := range earlierSums(r) {
		if sum != "" && !s.isBad(h, sum) {
			sums = append(sums, sum)
		}
	}
	if len(sums) == 0 {
		return false
	}
	h.next = s.newSeat(h, store.Version{})
	h.next.state, h.next.again, h.next.rollBack = recalling, true, h.live != nil
	s.recall(h, h.next, sums)
	return true
}

// earlierSums are those of the versions of a handler's past, that which served last
// first, then the newest. What an operator has rolled back is none of them.
func earlierSums(r store.Record) []string {
	sums := []string{r.Serves}
	for _, v := range slices.Backward(r.Versions) {
		if v.Sum != r.Held {
			sums = append(sums, v.Sum)
		}
	}
	return sums
}

// recall looks for an earlier version in the store, for a seat that waits for it.
func (s *Supervisor) recall(h *handler, st *seat, sums []string) {
	s.intake.Recall(sums, func(r intake.Recalled) { s.post(func() { s.recalled(h, st, sums, r) }) })
}

func (s *Supervisor) recalled(h *handler, st *seat, sums []string, r intake.Recalled) {
	if s.handlers[h.name] != h || h.next != st || s.stopping {
		return
	}
	if r.Passing {
		s.later(func() {
			if h.next == st {
				s.recall(h, st, sums)
			}
		})
		return
	}
	for _, err := range r.Lost {
		s.log.WithError(err).WithField("handler", h.name).Warn("an earlier version cannot be served")
	}
	if r.Version.Sum == "" {
		s.dropNext(h)
		s.quarantine(h)
		s.undecided(h)
		return
	}
	h.serve, st.part.Version = r.Version, r.Version
	s.start(st.cell)
}

// deniedAgain is called when a version that has served before is not granted
// its patterns: others have taken them since.
func (s *Supervisor) deniedAgain(h *handler, r *refusal.Error) {
	s.log.WithFields(s.seatFields(h.next)).WithField("reason", r.Reason).Warn("an earlier version is not served: " + h.name)
	denied := h.next
	s.dropNext(h)
	switch {
	case h.live != nil:
		s.restartLater(h)
	case h.refusal != nil:
		// It is tried again when its patterns become free.
		h.refusal.contested, h.refusal.patterns, h.refusal.size = true, denied.patterns, denied.size
	}
}

// startAgain starts the version that is to be live.
func (s *Supervisor) startAgain(h *handler) {
	h.next = s.newSeat(h, h.serve)
	h.next.again = true
	s.start(h.next.cell)
}

// release forgets that a handler's newest file crashed too often, and tries it
// again.
func (s *Supervisor) release(h *handler) {
	r := s.history[h.name]
	r.Bad, r.Held = nil, ""
	s.history[h.name] = r
	s.changed()
	h.crashTimes, h.crashes = nil, 0
	h.quarantined = false
	h.atStart = false
	h.tried = handlerdir.ID{}
	s.retry = true
}
