package supervisor

import (
	"time"

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
	c.state = dropped
	s.table.Forget(c.id)
	if c.proc != nil {
		c.proc.Drop()
	}
	if c.proc == nil || c.proc.Gone() {
		delete(s.cells, c.id)
	}
}

// exited is called once a cell's process is gone and its output was read.
func (s *Supervisor) exited(c *cell) {
	c.gone = true
	s.table.Forget(c.id)
	delete(s.cells, c.id)
	s.garbage = true
	switch c.state {
	case starting, waiting:
		r, passing := c.proc.DiedEarly()
		s.failed(c, refusalOf{Error: r, passing: passing})
	case live:
		s.crashed(c)
	case retiring:
		s.log.WithFields(s.fields(c)).Debugf("cell is gone: %s", c.proc.Status())
	case recalling, dropped:
	}
}

// crashed starts a live cell that died again. Its requests wait at the gate.
func (s *Supervisor) crashed(c *cell) {
	if s.stopping || !s.inUse(c) {
		return
	}
	e := s.log.WithFields(s.fields(c)).WithFields(logrus.Fields{
		"event": "crashed", "status": c.proc.Status(), "reason": c.proc.Died(),
	})
	if frames := c.proc.Frames(); frames != "" {
		e = e.WithField("frames", frames)
	}
	e.Error("crashed: " + c.name)
	if c.group != nil {
		s.scattered(c)
		return
	}
	h := s.handlers[c.name]
	if time.Since(c.proc.Began) > restartReset {
		h.crashes = 0
	}
	h.since = time.Now()
	if c.proc.Cut() {
		s.restartLater(h)
		return
	}
	s.failedAgain(h, c.proc.Died())
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
