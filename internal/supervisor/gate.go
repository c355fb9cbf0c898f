package supervisor

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/andrestc/go-plugserver/internal/proc"
	"github.com/andrestc/go-plugserver/internal/routes"
	"github.com/sirupsen/logrus"
)

// gate is the process that accepts.
type gate struct {
	child     *proc.Child
	began     time.Time
	listening bool // it was told to accept
	accepting bool // it says that it does
	acked     uint64
	quit      bool // it was told to end
	owed      int
	ponged    uint64
	stats     link.Stats
}

func (g *gate) send(m link.Message) {
	if err := g.child.Link.Send(m); err != nil {
		g.child.Kill()
	}
}

// startGate starts a gate with the routes in force. A gate that does not
// start is tried again.
func (s *Supervisor) startGate() {
	child, err := proc.Start(proc.Spec{
		Path: s.cfg.Gate[0], Args: s.cfg.Gate[1:], Env: cleanEnv(os.Environ()),
		Output: func(stream, line string) { s.log.WithField("stream", stream).Warn("gate: " + line) },
	})
	if err != nil {
		s.log.WithError(err).Error("gate cannot be started")
		s.startGateLater()
		return
	}
	g := &gate{child: child, began: time.Now()}
	s.gate = g
	g.send(link.Message{Kind: link.Open, Limits: s.cfg.Limits})
	for _, c := range s.cells {
		if c.state == retiring {
			s.joinCell(c) // it has connections to give back
		}
	}
	s.sendTable()
	go func() {
		for {
			m, err := child.Link.Recv()
			if err != nil {
				break
			}
			s.post(func() { s.heardGate(g, m) })
		}
		child.End(deafWait)
		s.post(func() { s.gateExited(g) })
	}()
}

func (s *Supervisor) startGateLater() {
	time.AfterFunc(restartMin, func() {
		s.post(func() {
			if s.gate == nil && !s.stopping {
				s.startGate()
			}
		})
	})
}

// listen makes the gate accept.
func (s *Supervisor) listen() {
	if s.gate == nil || s.gate.listening || s.stopping {
		return
	}
	var files []*os.File
	for _, f := range s.cfg.Listeners {
		fd, err := syscall.Dup(int(f.Fd()))
		if err != nil {
			s.log.WithError(err).Error("listening socket cannot be given to the gate: it is tried again")
			closeFiles(files...)
			s.later(s.listen)
			return
		}
		syscall.CloseOnExec(fd)
		files = append(files, os.NewFile(uintptr(fd), f.Name()))
	}
	s.gate.listening = true
	s.gate.send(link.Message{Kind: link.Listen, FDs: files})
}

func (s *Supervisor) heardGate(g *gate, m link.Message) {
	switch m.Kind {
	case link.Ready:
		g.accepting = true
	case link.Ack:
		g.acked = max(g.acked, m.Version)
		s.retireOld()
	case link.Unjoined:
		if c := s.cells[m.Cell]; c != nil && g == s.gate {
			s.unjoined(c)
		}
	case link.Broken:
		if c := s.cells[m.Cell]; c != nil {
			s.kill(c, "its way to the gate has failed: "+m.Bounded().Text)
		}
	case link.Pong:
		g.owed = 0
		g.ponged = m.Seq
		if m.Stats != nil {
			g.stats = *m.Stats
		}
	case link.Log:
		m = m.Bounded()
		level, err := logrus.ParseLevel(m.Level)
		if err != nil {
			level = logrus.ErrorLevel
		}
		s.log.WithField("pid", g.child.PID).Log(level, "gate: "+strings.TrimSpace(m.Text))
	}
}

// gateExited starts a new gate at once: connections that live in cells do not
// notice, new ones wait in the sockets' backlogs.
func (s *Supervisor) gateExited(g *gate) {
	g.child.Link.Close()
	s.gate = nil
	if s.stopping {
		s.stopCells()
		return
	}
	s.log.WithFields(logrus.Fields{"event": "gate_died", "status": g.child.Status()}).Error("gate died: a new one takes over")
	if time.Since(g.began) < restartMin {
		s.startGateLater()
		return
	}
	s.startGate()
}

// news is a change of the routes that is on its way.
type news struct {
	event   string // live, rolled_back or retired
	text    string
	seat    *seat
	old     *seat  // its cell retires, if nobody else is in it, once the gate has the table; nil if there is none
	version uint64 // of the table
	retired bool
}

// publish puts the routes of all live cells in force as a new table.
func (s *Supervisor) publish(n news) {
	s.alter()
	n.version = s.table
	s.news = append(s.news, n)
}

// alter begins a new table, unless one has begun that was not sent yet.
func (s *Supervisor) alter() {
	s.regroup = true
	if !s.unsent {
		s.table++
		s.unsent = true
	}
}

// routes returns the table in force. A pattern of a handler that has not been
// tried yet leads nowhere for now: its requests wait, and are not told that
// there is no such page.
func (s *Supervisor) routes() (table []link.Route) {
	for _, h := range s.handlers {
		if h.live != nil {
			for _, p := range h.live.patterns {
				table = append(table, link.Route{Pattern: p, Cell: h.live.id, Down: h.quarantined})
			}
		}
	}
	var served, claimed []string
	size := 0
	for _, r := range table {
		served = append(served, r.Pattern)
		size += link.RouteSize(r.Pattern)
	}
	for _, c := range s.undecidedClaims() {
		claimed = append(claimed, c.Patterns...)
	}
	if len(claimed) > 0 {
		for _, p := range routes.Beside(served, claimed) {
			if size += link.RouteSize(p); size > link.MaxRoutes {
				break // what cannot be sent does not wait
			}
			table = append(table, link.Route{Pattern: p})
		}
	}
	slices.SortFunc(table, func(a, b link.Route) int { return strings.Compare(a.Pattern, b.Pattern) })
	return table
}

// sendTable sends the table in force to the gate and, where it differs from
// what they have, to the cells. A cell gets only what can overlap with its own
// patterns: all else it hands back in any case.
func (s *Supervisor) sendTable() {
	s.unsent = false
	table := s.routes()
	index := routes.NewIndex(table, func(r link.Route) string { return r.Pattern })
	for _, c := range s.cells {
		if c.state != live {
			continue
		}
		if s.gate != nil {
			s.joinCell(c)
		}
		part := index.Overlapping(c.patterns)
		if c.wants == 0 || !slices.Equal(part, c.sent) {
			c.sent, c.wants = part, s.table
			c.send(link.Message{Kind: link.Table, Version: s.table, Routes: part})
		}
	}
	if s.gate != nil {
		s.gate.send(link.Message{Kind: link.Table, Version: s.table, Routes: table})
	}
	s.awaitAcks()
}

// awaitAcks sees to it that whoever waits for a table to be in force everywhere
// does not wait for a cell that never says so. Like pingAll it counts how often it
// has looked, not time.
func (s *Supervisor) awaitAcks() {
	if !s.awaited {
		s.awaited = true
		time.AfterFunc(ackEvery, func() { s.post(s.checkAcks) })
	}
}

func (s *Supervisor) checkAcks() {
	s.awaited = false
	for _, c := range s.cells {
		switch {
		case c.acked >= c.wants || c.gone || c.child == nil || c.state == dropped:
			c.late = 0
			continue
		case c.late == acksLate:
			s.kill(c, "it did not take its routes")
		}
		c.late++
		s.awaitAcks()
	}
}

// kill ends a cell that does not do what it has to.
func (s *Supervisor) kill(c *cell, why string) {
	if c.killed == "" {
		c.killed = why
		s.log.WithFields(s.fields(c)).WithField("reason", why).Error("killed: " + c.name)
	}
	c.child.Kill()
}

// retireOld retires the cells to which the gate sends no more.
func (s *Supervisor) retireOld() {
	for i := range s.news {
		n := &s.news[i]
		if n.old != nil && !n.retired && s.gate.acked >= n.version {
			n.retired = true
			if !s.inUse(n.old.cell) {
				s.retire(n.old.cell)
			}
		}
	}
}

// inUse reports whether a cell serves a handler.
func (s *Supervisor) inUse(c *cell) bool {
	return slices.ContainsFunc(c.seats, func(st *seat) bool {
		h := s.handlers[st.name]
		return h != nil && h.live == st
	})
}

// announce reports the changes that the gate and every cell have in force.
func (s *Supervisor) announce() {
	if s.gate == nil || len(s.news) == 0 {
		return
	}
	acked := s.gate.acked
	for _, c := range s.cells {
		if (c.state == live || c.state == retiring) && c.acked < c.wants {
			acked = min(acked, c.wants-1)
		}
	}
	for len(s.news) > 0 && s.news[0].version <= acked {
		n := s.news[0]
		s.news = s.news[1:]
		e := s.log.WithFields(s.seatFields(n.seat)).WithFields(logrus.Fields{
			"event": n.event, "patterns": listed(n.seat.patterns),
		})
		if n.event == "live" {
			e = e.WithField("took", time.Since(n.seat.began).Round(100*time.Microsecond))
		}
		level := logrus.InfoLevel
		if n.event == "rolled_back" && !n.seat.byHand {
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

// pingAll asks every child for a sign of life, and kills those that owe too
// many. It counts answers, not time: where the supervisor itself was stopped,
// nobody is blamed.
func (s *Supervisor) pingAll() {
	s.pingSeq++
	for _, c := range s.cells {
		if c.child == nil || c.state == dropped {
			continue
		}
		s.tellLost(c)
		if c.owed++; c.owed > pingsOwed {
			s.kill(c, "it did not answer")
			continue
		}
		c.pinged = s.pingSeq
		c.send(link.Message{Kind: link.Ping, Seq: s.pingSeq})
	}
	if g := s.gate; g != nil {
		if g.owed++; g.owed > pingsOwed {
			s.log.Error("gate does not answer: it is killed")
			g.child.Kill()
			return
		}
		g.send(link.Message{Kind: link.Ping, Seq: s.pingSeq})
	}
}
