package cells

import (
	"fmt"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/fleet"
	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/offer"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/terms"
	"github.com/sirupsen/logrus"
)

type state int

const (
	starting state = iota // loads and proves its plugins, or waits for its turn to
	serving               // has routes
	retiring              // gives its connections back
	dropped               // killed, whatever it says now
)

// cell is one process, from the wish for one to its end. It runs one version of one handler, or, for a group, of several.
type cell struct {
	id       uint64
	name     string // of the handler, or of the group
	served   bool   // when it was asked for
	group    *group // nil for a cell of one handler
	seats    []*seat
	state    state
	proc     *fleet.Cell    // nil before it is asked for
	program  intake.Program // that it runs; zero until it is prepared
	patterns []string       // of all seats
	lead     string         // the path of a version that is started ahead, until that is over
}

// seat is one version of one handler in a cell.
type seat struct {
	of       *states.Seat // whose Place is this
	in       *cell
	name     string // the handler's
	part     intake.Part
	settings Settings
}

// placeOf is where a handler's seat is, nil if it has no cell yet.
func placeOf(st *states.Seat) *seat {
	place, _ := st.Place.(*seat)
	return place
}

// Start gives a handler's seat a cell of its own. The part is what is known of its version, if that is it.
func (cs *Cells) Start(h *lifecycle.Handler, of *states.Seat, part intake.Part) {
	if part.Version == of.Version && cs.adopt(h.Name, of, part) {
		return
	}
	if part.Version != of.Version {
		part = intake.Part{Handler: h.Name, Version: of.Version}
	}
	if h.Live != nil && h.Live.Version == of.Version {
		part.Info = placeOf(h.Live).part.Info // which was inspected
	}
	c := cs.newCell(h.Name, h.Live != nil)
	c.seat(h.Name, of, part, cs.settings(h.Name))
	cs.start(c)
}

func (cs *Cells) newCell(name string, served bool) *cell {
	cs.lastCell++
	return &cell{id: cs.lastCell, name: name, served: served}
}

func (c *cell) seat(handler string, of *states.Seat, part intake.Part, settings Settings) {
	st := &seat{of: of, in: c, name: handler, part: part, settings: settings}
	of.Place = st
	c.seats = append(c.seats, st)
}

// terms are those of all seats together.
func (cs *Cells) terms(c *cell) terms.Terms {
	all := make([]terms.Terms, len(c.seats))
	for i, st := range c.seats {
		all[i] = st.settings
	}
	return terms.Together(all, cs.cfg.Fleet.DrainTimeout)
}

// title is what ps(1) shows of a cell: the handler, or the group and its handlers.
func (c *cell) title() string {
	if c.group == nil {
		return c.name
	}
	var names []string
	for _, st := range c.seats {
		names = append(names, st.name)
	}
	return terms.Title(c.name, names)
}

// start starts a cell once what it runs is found.
func (cs *Cells) start(c *cell) {
	cs.Fleet.Spares().Expect()
	cs.cells[c.id] = c
	parts := make([]intake.Part, len(c.seats))
	for i, st := range c.seats {
		parts[i] = st.part
	}
	cs.intake.Prepare(parts, func(p intake.Prepared) { cs.owner.Post(func() { cs.prepared(c, p) }) })
}

func (cs *Cells) prepared(c *cell, p intake.Prepared) {
	switch {
	case c.state != starting || cs.stopping:
		delete(cs.cells, c.id) // it is not wanted any more
		return
	case p.Err != nil:
		r, retry := states.NotServed(p.Err, true)
		cs.failed(c, r, retry)
		return
	}
	c.program = p.Program
	for i, st := range c.seats {
		st.part.Info = p.Parts[i].Info
	}
	on := cs.terms(c)
	c.proc = cs.Fleet.Start(fleet.Spec{
		ID: c.id, Name: c.name, Title: c.title(), Path: p.Path, GODEBUG: p.GODEBUG, Env: on.Env,
		Limits: on.Limits, Log: on.Log, Plugins: c.plugins(), Unnamed: cs.ahead[c.name] == c, Sandbox: on.Sandbox.Reading(p.Path), Own: on.Belongings, Apart: on.Apart, Served: c.served,
		Ready:  cs.cfg.StartTimeout * time.Duration(len(c.seats)), // the n-th plugin of a process takes longer than the first
		Fields: c.fields,
	})
}

// heard takes what the children do.
func (cs *Cells) heard(e fleet.Event) {
	switch e := e.(type) {
	case fleet.GateStarted:
		cs.newGate()
	case fleet.GateAccepts: // which reconciled asks for
	case fleet.GateAcks:
		cs.table.AckGate(e.Version)
		cs.retireOld()
		cs.Announce() // before what a handler logs of its end
	case fleet.GateEnded:
		cs.table.NewGate()
		if cs.stopping {
			cs.Fleet.Quit(cs.graceLeft())
		}
	case fleet.NotStarted:
		r, retry := states.NotServed(e.Err, false)
		if retry == states.OnChange {
			retry = states.WithSettings // the file is not to blame
		}
		cs.failed(cs.cells[e.Cell.ID], r, retry)
	case fleet.Offers:
		cs.proved(cs.cells[e.Cell.ID], e.Offers)
	case fleet.Refuses:
		cs.failed(cs.cells[e.Cell.ID], e.Refusal, states.OnChange)
	case fleet.Overdue:
		cs.failed(cs.cells[e.Cell.ID], refusal.Hung(e.Limit, e.Cell.Printed()), states.OnChange)
	case fleet.Acks:
		cs.table.Ack(e.Cell.ID, e.Version)
		cs.Announce()
	case fleet.Unjoined:
		cs.Alter()
	case fleet.Ended:
		cs.exited(cs.cells[e.Cell.ID])
	default:
		panic(fmt.Sprintf("supervisor: unknown event %T", e))
	}
}

// proved is called when a cell reports its plugins' patterns.
func (cs *Cells) proved(c *cell, offers map[string]offer.Offer) {
	cs.unlead(c)
	for _, st := range c.seats {
		o, ok := offers[st.name]
		if !ok {
			o.Refused = refusal.NoPatterns(st.name)
		}
		if o.Refused != nil {
			cs.failed(c, o.Refused, states.OnChange)
			return
		}
		st.of.Patterns, st.of.Size = o.Patterns, o.Size
		c.patterns = append(c.patterns, o.Patterns...)
	}
	if c.group != nil {
		cs.gathered(c)
	} else if h := cs.owner.Handler(c.name); h != nil {
		cs.owner.Tell(h, lifecycle.IsReady{Seat: c.seats[0].of, Patterns: c.seats[0].of.Patterns, Size: c.seats[0].of.Size})
	}
}

// retire makes a cell that has no route any more end.
func (cs *Cells) retire(c *cell) {
	if c.state == serving && !c.proc.Gone() {
		c.state, cs.retiring[c.id] = retiring, c
		c.proc.Retire(cs.terms(c).DrainTimeout)
	}
}

// failed ends a cell that did not become ready.
func (cs *Cells) failed(c *cell, r *refusal.Error, retry states.Retry) {
	cs.drop(c)
	if c.group != nil {
		cs.notGathered(c, r.Reason)
	} else if h := cs.owner.Handler(c.name); h != nil {
		cs.owner.Tell(h, lifecycle.Failed{Seat: c.seats[0].of, Refusal: r, Retry: retry})
	}
}

// Drop kills a seat's cell, if it has one: nobody wants it any more.
func (cs *Cells) Drop(of *states.Seat) {
	if st := placeOf(of); st != nil {
		cs.drop(st.in)
	}
}

func (cs *Cells) drop(c *cell) {
	if c.state == dropped {
		return
	}
	c.state = dropped
	delete(cs.retiring, c.id)
	cs.unlead(c)
	cs.table.Forget(c.id)
	if c.proc != nil {
		c.proc.Drop()
	}
	if c.proc == nil || c.proc.Gone() {
		delete(cs.cells, c.id)
	}
}

// exited is called once a cell's process is gone and its output was read.
func (cs *Cells) exited(c *cell) {
	cs.table.Forget(c.id)
	delete(cs.cells, c.id)
	delete(cs.retiring, c.id)
	cs.left = true
	switch c.state {
	case starting:
		r, passing := c.proc.DiedEarly()
		cs.failed(c, r, map[bool]states.Retry{true: states.Soon}[passing])
	case serving:
		cs.crashed(c)
	case retiring:
		cs.log.WithFields(c.allFields("")).Debugf("cell is gone: %s", c.proc.Status())
	}
}

// crashed is called when a cell that served has died. The requests for it wait at the gate.
func (cs *Cells) crashed(c *cell) {
	if cs.stopping || !cs.inUse(c) {
		return
	}
	e := cs.log.WithFields(c.allFields("")).WithFields(logrus.Fields{
		event.Field: event.Crashed, "status": c.proc.Status(), "reason": c.proc.Died(),
	})
	if frames := c.proc.Frames(); frames != "" {
		e = e.WithField("frames", frames)
	}
	e.Error("crashed: " + c.name)
	if c.group != nil {
		cs.scattered(c)
	}
	for _, st := range c.seats {
		if h := cs.owner.Handler(st.name); h != nil {
			cs.owner.Tell(h, lifecycle.Died{
				Seat: st.of, How: c.proc.Died(), Lived: time.Since(c.proc.Began), Cut: c.proc.Cut(), Shared: c.group != nil,
			})
		}
	}
}

// allFields are those of a log record about a cell, or about the plugin of that name in it.
func (c *cell) allFields(plugin string) logrus.Fields {
	if c.proc != nil {
		return c.proc.Fields(plugin)
	}
	return c.fields(plugin)
}

// Fields are those of one about a handler's seat that has had a cell.
func Fields(of *states.Seat) logrus.Fields {
	return placeOf(of).in.allFields(placeOf(of).name)
}

// fields tells of a cell, or of the plugin of that name in it, what is known without its process.
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
