package supervisor

import (
	"fmt"
	"time"

	"github.com/andrestc/go-plugserver/internal/event"
	"github.com/andrestc/go-plugserver/internal/fleet"
	"github.com/andrestc/go-plugserver/internal/intake"
	"github.com/andrestc/go-plugserver/internal/lifecycle"
	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/sirupsen/logrus"
)

type state int

const (
	starting state = iota // loads and proves its plugins, or waits for its turn to
	serving               // has routes
	retiring              // gives its connections back
	dropped               // killed, whatever it says now
)

// cell is one process, from the wish for one to its end. It runs one version of one
// handler, or, for a group, of several.
type cell struct {
	id       uint64
	name     string // of the handler, or of the group
	group    *group // nil for a cell of one handler
	seats    []*seat
	state    state
	proc     *fleet.Cell    // nil before it is asked for
	program  intake.Program // that it runs; zero until it is prepared
	patterns []string       // of all seats
}

// seat is one version of one handler in a cell.
type seat struct {
	of       *lifecycle.Seat // whose Place is this
	in       *cell
	name     string // the handler's
	part     intake.Part
	settings Settings
}

// placeOf is where a handler's seat is, nil if it has no cell yet.
func placeOf(st *lifecycle.Seat) *seat {
	place, _ := st.Place.(*seat)
	return place
}

// startSeat gives a handler's seat a cell of its own.
func (s *Supervisor) startSeat(h *handler, of *lifecycle.Seat) {
	if h.part.Version != of.Version {
		h.part = intake.Part{Version: of.Version}
	}
	c := s.newCell(h.Name)
	c.seat(h.Name, of, h.part, s.settings(h.Name))
	s.start(c)
}

func (s *Supervisor) newCell(name string) *cell {
	s.lastCell++
	return &cell{id: s.lastCell, name: name}
}

func (c *cell) seat(handler string, of *lifecycle.Seat, part intake.Part, settings Settings) {
	st := &seat{of: of, in: c, name: handler, part: part, settings: settings}
	of.Place = st
	c.seats = append(c.seats, st)
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
	s.cells[c.id] = c
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
		r, retry := notServed(p.Err, true)
		s.failed(c, r, retry)
		return
	}
	c.program = p.Program
	var plugins []link.Plugin
	for i, st := range c.seats {
		st.part = p.Parts[i]
		plugins = append(plugins, link.Plugin{Name: st.name, Path: st.part.Version.Path})
		if h := s.handlers[st.name]; h != nil && h.part.Version == st.part.Version {
			h.part = st.part
		}
	}
	c.proc = s.fleet.Start(fleet.Spec{
		ID: c.id, Name: c.name, Title: c.title(), Path: p.Path, GODEBUG: p.GODEBUG,
		Limits: c.limits(), Log: c.logRate(), Plugins: plugins,
		// The n-th plugin of a process takes longer than the first.
		Ready:  s.cfg.StartTimeout * time.Duration(len(c.seats)),
		Fields: c.fields,
	})
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
		r, retry := notServed(e.Err, false)
		s.failed(s.cells[e.Cell.ID], r, retry)
	case fleet.Offers:
		s.proved(s.cells[e.Cell.ID], e.Offers)
	case fleet.Refuses:
		s.failed(s.cells[e.Cell.ID], e.Refusal, lifecycle.OnChange)
	case fleet.Overdue:
		s.failed(s.cells[e.Cell.ID], refusal.Hung(e.Limit, e.Cell.Printed()), lifecycle.OnChange)
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
		o, ok := offers[st.name]
		if !ok {
			o.Refused = refusal.NoPatterns(st.name)
		}
		if o.Refused != nil {
			s.failed(c, o.Refused, lifecycle.OnChange)
			return
		}
		st.of.Patterns, st.of.Size = o.Patterns, o.Size
		c.patterns = append(c.patterns, o.Patterns...)
	}
	if c.group != nil {
		s.gathered(c)
	} else if h := s.handlers[c.name]; h != nil {
		s.handle(h, lifecycle.IsReady{Seat: c.seats[0].of, Patterns: c.seats[0].of.Patterns, Size: c.seats[0].of.Size})
	}
}

// retire makes a cell that has no route any more end.
func (s *Supervisor) retire(c *cell) {
	if c.state == serving && !c.proc.Gone() {
		c.state = retiring
		c.proc.Retire(s.cfg.Fleet.DrainTimeout)
	}
}

// failed ends a cell that did not become ready.
func (s *Supervisor) failed(c *cell, r *refusal.Error, retry lifecycle.Retry) {
	s.drop(c)
	if c.group != nil {
		s.notGathered(c, r.Reason)
	} else if h := s.handlers[c.name]; h != nil {
		s.handle(h, lifecycle.Failed{Seat: c.seats[0].of, Refusal: r, Retry: retry})
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
	s.table.Forget(c.id)
	delete(s.cells, c.id)
	s.garbage = true
	switch c.state {
	case starting:
		r, passing := c.proc.DiedEarly()
		retry := lifecycle.OnChange
		if passing {
			retry = lifecycle.Soon
		}
		s.failed(c, r, retry)
	case serving:
		s.crashed(c)
	case retiring:
		s.log.WithFields(c.allFields()).Debugf("cell is gone: %s", c.proc.Status())
	case dropped:
	}
}

// crashed is called when a cell that served has died. The requests for it wait at
// the gate.
func (s *Supervisor) crashed(c *cell) {
	if s.stopping || !s.inUse(c) {
		return
	}
	e := s.log.WithFields(c.allFields()).WithFields(logrus.Fields{
		event.Field: event.Crashed, "status": c.proc.Status(), "reason": c.proc.Died(),
	})
	if frames := c.proc.Frames(); frames != "" {
		e = e.WithField("frames", frames)
	}
	e.Error("crashed: " + c.name)
	if c.group != nil {
		s.scattered(c)
	}
	for _, st := range c.seats {
		if h := s.handlers[st.name]; h != nil {
			s.handle(h, lifecycle.Died{
				Seat: st.of, How: c.proc.Died(), Lived: time.Since(c.proc.Began), Cut: c.proc.Cut(), Shared: c.group != nil,
			})
		}
	}
}

// allFields are those of a log record about a cell.
func (c *cell) allFields() logrus.Fields {
	if c.proc != nil {
		return c.proc.Fields("")
	}
	return c.fields("")
}

// fieldsOf are those of one about a handler's seat.
func fieldsOf(st *seat) logrus.Fields {
	if st.in.proc != nil {
		return st.in.proc.Fields(st.name)
	}
	return st.in.fields(st.name)
}

// fields tells of a cell, or of the plugin of that name in it, what is known
// without its process.
func (c *cell) fields(plugin string) logrus.Fields {
	f := logrus.Fields{"handler": c.name}
	if c.group != nil {
		f["group"] = c.name
	}
	for _, st := range c.seats {
		if st.name == plugin || c.group == nil {
			f["handler"], f["version"] = st.name, st.part.Version.Short()
		}
	}
	return f
}
