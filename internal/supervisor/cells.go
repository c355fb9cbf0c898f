package supervisor

import (
	"fmt"
	"time"

	"github.com/andrestc/go-plugserver/internal/fleet"
	"github.com/andrestc/go-plugserver/internal/intake"
	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/andrestc/go-plugserver/internal/store"
)

type state int

const (
	recalling state = iota // its version is being found in the store
	starting               // loads and proves its plugin, or waits for its turn to
	waiting                // proved; others may claim its patterns, or have to be ready for those that it gives up
	live                   // has routes
	retiring               // gives its connections back
	dropped                // killed, whatever it says now
)

// cell is one process. It runs one version of one handler, or, for a group,
// of several.
type cell struct {
	id       uint64
	name     string // of the handler, or of the group
	group    *group // nil for a cell of one handler
	seats    []*seat
	again    bool // it serves a version that has served before
	rollBack bool // and an earlier one than serves now
	byHand   bool // which an operator has asked for
	state    state
	proc     *fleet.Cell // nil before it is asked for
	gone     bool        // its process is, or never was
	provedAt time.Time
	program  intake.Program // that it runs; zero until it is prepared
	patterns []string       // of all seats
}

func (c *cell) dead() bool { return c.gone }

// seat is one version of one handler in a cell.
type seat struct {
	*cell
	name     string      // the handler's
	part     intake.Part // the version
	mixed    bool        // it may be: written in place over another version, and not proved to be whole
	settings Settings
	patterns []string // once it is proved
	size     int      // of their routes in a message, in bytes
}

// newSeat returns a place for a version in a cell of its own.
func (s *Supervisor) newSeat(h *handler, v store.Version) *seat {
	c := s.newCell(h.name)
	return c.seat(h.name, intake.Part{Version: v}, s.settings(h.name))
}

func (s *Supervisor) newCell(name string) *cell {
	s.lastCell++
	return &cell{id: s.lastCell, name: name, state: starting}
}

func (c *cell) seat(handler string, part intake.Part, settings Settings) *seat {
	st := &seat{cell: c, name: handler, part: part, settings: settings}
	c.seats = append(c.seats, st)
	return st
}

// limits are those of all seats together; where one has none, there is none.
func (c *cell) limits() (l fleet.Limits) {
	for i, st := range c.seats {
		if of := st.settings.Limits; i == 0 {
			l = of
		} else {
			l.Memory = sumOrNone(l.Memory, of.Memory)
			l.Descriptors = sumOrNone(l.Descriptors, of.Descriptors)
		}
	}
	return l
}

// logRate is what all seats may log together.
func (c *cell) logRate() (r fleet.LogRate) {
	for i, st := range c.seats {
		if of := st.settings.Log; i == 0 {
			r = of
		} else {
			r = r.And(of)
		}
	}
	return r
}

func sumOrNone[N int | int64](a, b N) N {
	if a == 0 || b == 0 {
		return 0
	}
	return a + b
}

// title is what ps(1) shows of a cell: the handler, or the group and its
// handlers, as many as fit.
func (c *cell) title() string {
	if c.group == nil {
		return c.name
	}
	title := c.name + ":"
	for _, st := range c.seats {
		if title += " " + st.name; len(title) > titleMax {
			return title[:titleMax] + "..."
		}
	}
	return title
}

const titleMax = 400 // bytes

// start starts a cell once what it runs is found.
func (s *Supervisor) start(c *cell) {
	c.state, s.cells[c.id] = starting, c
	parts := make([]intake.Part, len(c.seats))
	for i, st := range c.seats {
		parts[i] = st.part
	}
	s.intake.Prepare(parts, func(p intake.Prepared) { s.post(func() { s.prepared(c, p) }) })
}

func (s *Supervisor) prepared(c *cell, p intake.Prepared) {
	switch {
	case c.state != starting || s.stopping:
		delete(s.cells, c.id) // it is not wanted any more
		return
	case p.Err != nil:
		r := notServed(p.Err)
		r.celled = true
		s.notStarted(c, r)
		return
	}
	c.program = p.Program
	var plugins []link.Plugin
	for i, st := range c.seats {
		st.part = p.Parts[i]
		plugins = append(plugins, link.Plugin{Name: st.name, Path: st.part.Version.Path})
	}
	c.proc = s.fleet.Start(fleet.Spec{
		ID: c.id, Name: c.name, Title: c.title(), Path: p.Path, GODEBUG: p.GODEBUG,
		Limits: c.limits(), Log: c.logRate(), Plugins: plugins,
		// The n-th plugin of a process takes longer than the first.
		Ready:  c.limit(s.cfg.StartTimeout),
		Fields: c.fields,
	})
}

// limit is how long the cell may take to become ready, where one handler may take
// as long as each.
func (c *cell) limit(each time.Duration) time.Duration { return each * time.Duration(len(c.seats)) }

func (s *Supervisor) notStarted(c *cell, r refusalOf) {
	delete(s.cells, c.id)
	c.gone = true
	s.failed(c, r)
}

// heard takes what the children do.
func (s *Supervisor) heard(e fleet.Event) {
	switch e := e.(type) {
	case fleet.GateStarted:
		s.newGate()
	case fleet.GateAccepts: // which reconciled asks for
	case fleet.GateAcks:
		s.table.AckGate(e.Version)
		s.retireOld()
	case fleet.GateEnded:
		s.table.NewGate()
		if s.stopping {
			s.fleet.Quit(s.graceLeft())
		}
	case fleet.NotStarted:
		s.notStarted(s.cells[e.Cell.ID], notServed(e.Err))
	case fleet.Offers:
		s.proved(s.cells[e.Cell.ID], e.Offers)
	case fleet.Refuses:
		s.failed(s.cells[e.Cell.ID], refusalOf{Error: e.Refusal})
	case fleet.Overdue:
		c := s.cells[e.Cell.ID]
		s.failed(c, refusalOf{Error: refusal.Hung(c.limit(s.cfg.StartTimeout), e.Cell.Printed())})
	case fleet.Acks:
		s.table.Ack(e.Cell.ID, e.Version)
	case fleet.Unjoined:
		s.alter()
	case fleet.Ended:
		s.exited(s.cells[e.Cell.ID])
	default:
		panic(fmt.Sprintf("supervisor: unknown event %T", e))
	}
}

// proved is called when a cell reports its plugins' patterns.
func (s *Supervisor) proved(c *cell, offers map[string]fleet.Offer) {
	for _, st := range c.seats {
		o := offers[st.name]
		switch {
		case o.Refused != nil:
			s.failed(c, refusalOf{Error: o.Refused})
			return
		case len(o.Patterns) == 0:
			s.failed(c, refusalOf{Error: refusal.NoPatterns(st.name)})
			return
		}
		st.patterns, st.size = o.Patterns, o.Size
		c.patterns = append(c.patterns, st.patterns...)
	}
	c.state, c.provedAt = waiting, time.Now()
	if c.group != nil {
		s.gathered(c)
	} else {
		s.claim(c.seats[0])
	}
}

// retire makes a cell that has no route any more end.
func (s *Supervisor) retire(c *cell) {
	if c.gone || c.state == dropped || c.state == retiring {
		return
	}
	c.state = retiring
	c.proc.Retire(s.cfg.Fleet.DrainTimeout)
}
