package supervisor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/event"
	"github.com/andrestc/go-plugserver/internal/lifecycle"
	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/andrestc/go-plugserver/internal/table"
	"github.com/sirupsen/logrus"
)

// news is a change of the routes that is on its way.
type news struct {
	event   event.Event
	text    string
	seat    *seat
	old     *seat  // its cell retires, if nobody else is in it, once the gate has the table; nil if there is none
	version uint64 // of the table
	retired bool
}

// alter begins a new table.
func (s *Supervisor) alter() uint64 {
	s.regroup = true
	return s.table.Change()
}

// routes returns the table in force. A pattern of a handler that has not been
// tried yet leads nowhere for now: its requests wait, and are not told that
// there is no such page.
func (s *Supervisor) routes() []link.Route {
	var served []link.Route
	var claimed []string
	for _, h := range s.handlers {
		if h.Live != nil {
			for _, p := range h.Live.Patterns {
				served = append(served, link.Route{Pattern: p, Cell: placeOf(h.Live).in.id, Down: h.Standing == lifecycle.Quarantined})
			}
		}
	}
	for _, c := range s.undecidedClaims() {
		claimed = append(claimed, c.Patterns...)
	}
	return table.Route(served, claimed)
}

// sendTable tells the gate and the cells of the table in force.
func (s *Supervisor) sendTable() {
	var serves []table.Serves
	for _, c := range s.cells {
		if c.state == serving {
			s.fleet.Join(c.proc)
			serves = append(serves, table.Serves{Cell: c.id, Patterns: c.patterns})
		}
	}
	all := s.routes()
	version, told := s.table.Tell(all, serves)
	for _, to := range told {
		s.cells[to.Cell].proc.Send(link.Message{Kind: link.Table, Version: to.Version, Routes: to.Routes})
	}
	s.fleet.SendGate(link.Message{Kind: link.Table, Version: version, Routes: all})
	s.awaitAcks()
}

// awaitAcks sees to it that whoever waits for a table to be in force everywhere
// does not wait for a cell that never says so.
func (s *Supervisor) awaitAcks() {
	if !s.awaited {
		s.awaited = true
		time.AfterFunc(ackEvery, func() { s.post(s.checkAcks) })
	}
}

func (s *Supervisor) checkAcks() {
	s.awaited = false
	for _, id := range s.table.Look() {
		s.cells[id].proc.Kill("it did not take its routes")
	}
	if s.table.Owed() {
		s.awaitAcks()
	}
}

// newGate has a gate that has just started take over.
func (s *Supervisor) newGate() {
	for _, c := range s.cells {
		if c.state == retiring {
			s.fleet.Join(c.proc) // it has connections to give back
		}
	}
	s.table.NewGate()
	s.sendTable()
}

// retireOld retires the cells to which the gate sends no more.
func (s *Supervisor) retireOld() {
	for i := range s.news {
		n := &s.news[i]
		if n.old != nil && !n.retired && s.table.GateHas(n.version) {
			n.retired = true
			if !s.inUse(n.old.in) {
				s.retire(n.old.in)
			}
		}
	}
}

// inUse reports whether a cell serves a handler.
func (s *Supervisor) inUse(c *cell) bool {
	return slices.ContainsFunc(c.seats, func(st *seat) bool {
		h := s.handlers[st.name]
		return h != nil && h.Live == st.of
	})
}

// announce reports the changes that the gate and every cell have in force.
func (s *Supervisor) announce() {
	if gate, _ := s.fleet.Gate(); !gate || len(s.news) == 0 {
		return
	}
	acked := s.table.InForce()
	for len(s.news) > 0 && s.news[0].version <= acked {
		n := s.news[0]
		s.news = s.news[1:]
		e := s.log.WithFields(fieldsOf(n.seat)).WithFields(logrus.Fields{
			event.Field: n.event, "patterns": listed(n.seat.of.Patterns),
		})
		if n.event == event.Live {
			e = e.WithField("took", time.Since(n.seat.in.proc.Began).Round(100*time.Microsecond))
		}
		level := logrus.InfoLevel
		if n.event == event.RolledBack && n.seat.of.Why != lifecycle.ByHand {
			level = logrus.ErrorLevel // somebody has to mend the release
		}
		e.Log(level, n.text)
	}
}

// listed lists patterns for a log record, which has to be of bounded length.
func listed(patterns []string) string {
	const most = 2000 // bytes
	size := 0
	for i, p := range patterns {
		if size += len(p) + 2; size > most {
			return fmt.Sprintf("%s and %d more", strings.Join(patterns[:i], ", "), len(patterns)-i)
		}
	}
	return strings.Join(patterns, ", ")
}
