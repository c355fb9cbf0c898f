package supervisor

import (
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/sirupsen/logrus"
)

// failed ends a cell that did not become live.
func (s *Supervisor) failed(c *cell, r refusalOf) {
	again := c.again
	s.drop(c)
	if c.group != nil {
		s.notGathered(c, r.Reason)
		return
	}
	h := s.handlers[c.name]
	if h == nil || h.next != c.seats[0] || s.stopping {
		return
	}
	h.next = nil
	if !again {
		s.refuse(h, r)
		return
	}
	s.log.WithFields(s.fields(c)).WithField("reason", r.Reason).Error("restart failed: " + c.name)
	h.failure = r.Reason
	switch {
	case h.live != nil && !h.live.dead():
		h.serve = h.live.part.Version // which is as well as before
		s.undecided(h)
	case r.celled && h.live == nil:
		s.undecided(h) // it comes when there is a cell for it
	case r.passing, r.celled:
		s.restartLater(h)
	default:
		s.failedAgain(h, r.Reason)
	}
}

// dropNext gives up what is being tried for a handler.
func (s *Supervisor) dropNext(h *handler) {
	if h.next != nil {
		s.drop(h.next.cell)
		h.next = nil
	}
}

// drop kills a cell that is not wanted any more.
func (s *Supervisor) drop(c *cell) {
	if c.state == dropped {
		return
	}
	if c.overdue != nil {
		c.overdue.Stop()
	}
	c.state = dropped
	if c.child == nil {
		delete(s.cells, c.id)
	} else if !c.gone {
		c.child.Kill()
	}
	s.dequeue()
}

// exited is called once a cell's process is gone and its output was read.
func (s *Supervisor) exited(c *cell) {
	c.gone = true
	c.child.Link.Close()
	s.tellLost(c)
	c.overdue.Stop()
	delete(s.cells, c.id)
	s.garbage = true
	switch c.state {
	case starting, waiting:
		s.failed(c, diedEarly(c))
	case live:
		s.crashed(c)
	case retiring:
		s.log.WithFields(s.fields(c)).Debugf("cell is gone: %s", c.child.Status())
	case queued, dropped:
	}
	s.dequeue()
}

// diedEarly is the refusal of a cell that ended before it was ready.
func diedEarly(c *cell) refusalOf {
	if why := c.child.Exceeded(); why != "" {
		return refusalOf{Error: refusal.Exceeded(c.name, why)}
	}
	crash, _ := c.child.Crash()
	return refusalOf{Error: refusal.Died(c.child.Status(), c.child.Printed()), passing: refusal.Starved(crash.Words)}
}

// died says how a cell ended, and what it printed last.
func died(c *cell) string {
	if c.killed != "" {
		return c.child.Status() + ": " + c.killed
	}
	if t := c.child.Printed(); t != "" && c.child.Exceeded() == "" {
		return c.child.Status() + "; it printed: " + refusal.Last(t)
	}
	return c.child.Status()
}

// framesOf names the handler's frames on the stack that a cell died with, the
// innermost first.
func framesOf(c *cell) string {
	crash, _ := c.child.Crash()
	frames := crash.Handler()
	var names []string
	for _, f := range frames[:min(len(frames), framesTold)] {
		names = append(names, f.String())
	}
	return strings.Join(names, " < ")
}

// framesTold bounds the frames in one record.
const framesTold = 10

// crashed starts a live cell that died again. Its requests wait at the gate.
func (s *Supervisor) crashed(c *cell) {
	if s.stopping || !s.inUse(c) {
		return
	}
	e := s.log.WithFields(s.fields(c)).WithFields(logrus.Fields{
		"event": "crashed", "status": c.child.Status(), "reason": died(c),
	})
	if frames := framesOf(c); frames != "" {
		e = e.WithField("frames", frames)
	}
	e.Error("crashed: " + c.name)
	if c.group != nil {
		s.scattered(c)
		return
	}
	h := s.handlers[c.name]
	if time.Since(c.began) > restartReset {
		h.crashes = 0
	}
	h.since = time.Now()
	if c.cut {
		s.restartLater(h)
		return
	}
	s.failedAgain(h, died(c))
}

// restartLater starts the handler's live version again: at once the first
// time, then after a pause that doubles.
func (s *Supervisor) restartLater(h *handler) {
	if !h.leaving.IsZero() {
		return
	}
	pause := time.Duration(0)
	if h.crashes > 0 {
		pause = min(restartMin<<min(h.crashes-1, 20), restartMax)
	}
	h.crashes++
	h.restarts++
	h.restart = time.AfterFunc(pause, func() {
		s.post(func() {
			h.restart = nil
			if s.handlers[h.name] != h || s.stopping || h.next != nil || h.live != nil && !h.live.dead() {
				return
			}
			s.startAgain(h)
		})
	})
}
