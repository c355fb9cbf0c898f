package cells

import (
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/words"
	"github.com/andrestc/go-plugserver/internal/daemon/events"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/notice"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/table"
)

// news is a change of the routes that is on its way.
type news struct {
	what    states.Change
	handler string
	seat    *seat
	old     *seat  // its cell retires, if nobody else is in it, once the gate has the table; nil if there is none
	version uint64 // of the table
	retired bool
}

// Publish puts a handler's routes in force as a new table.
func (cs *Cells) Publish(handler string, p lifecycle.Publish) {
	n := news{what: p.What, handler: handler, seat: placeOf(p.Seat), version: cs.Alter()}
	if p.Old != nil {
		n.old = placeOf(p.Old)
	}
	cs.news = append(cs.news, n)
	if p.What != states.Retired {
		n.seat.in.state = serving
	}
}

// InForce reports whether there is a gate, and it and every cell have the newest table.
func (cs *Cells) InForce() bool {
	gate, _ := cs.Fleet.Gate()
	return gate && len(cs.news) == 0 && cs.table.Current()
}

// Alter begins a new table, and returns its version.
func (cs *Cells) Alter() uint64 {
	cs.regroup = true
	return cs.table.Change()
}

// routes returns the table in force. A pattern of a handler that has served before and has not been tried yet, as after a start of
// the daemon, leads nowhere for now: its requests are not told that there is no such page, and wait for as long as a try may take
// once its turn has come, unless none is to wait at all.
func (cs *Cells) routes() []link.Route {
	place := func(of *states.Seat) (uint64, time.Duration) { return placeOf(of).in.id, placeOf(of).settings.Hold }
	var untried link.Route
	if hold := cs.cfg.Fleet.Limits.Hold; hold > 0 {
		untried.Hold = max(hold, cs.cfg.StartTimeout)
	}
	return table.Route(cs.table.Dialect, cs.owner.Served(place), cs.owner.Claimed(), untried)
}

// SendTable tells the gate and the cells of a table that has begun. It is called when no event waits: a burst of changes becomes one table. While more
// handlers are under way, what tables take stays a small part of the time: each is of all handlers, and a thousand that start would have as many of them.
func (cs *Cells) SendTable(more bool) {
	if !cs.table.Unsent() || more && cs.resting {
		return
	}
	began := time.Now()
	cs.sendTable()
	cs.resting = true
	time.AfterFunc(min(restful*time.Since(began), longestRest), func() { cs.owner.Post(func() { cs.resting = false }) })
}

func (cs *Cells) sendTable() {
	serves := make([]table.Serves, 0, len(cs.cells))
	for _, c := range cs.cells {
		if c.state == serving || c.state == retiring { // which has connections to give back
			cs.Fleet.Join(c.proc)
		}
		if c.state == serving {
			serves = append(serves, table.Serves{Cell: c.id, Patterns: c.patterns})
		}
	}
	gate, told := cs.table.Tell(cs.routes(), serves)
	for _, to := range told {
		cs.cells[to.Cell].proc.Send(link.Message{Kind: link.Table, Version: to.Version, Routes: to.Routes})
	}
	cs.Fleet.SendGate(link.Message{Kind: link.Table, Version: gate.Version, Since: gate.Since, Routes: gate.Routes, Gone: gate.Gone})
	cs.awaitAcks()
}

// awaitAcks sees to it that whoever waits for a table to be in force everywhere does not wait for a cell that never says so.
func (cs *Cells) awaitAcks() {
	if !cs.awaited {
		cs.awaited = true
		time.AfterFunc(ackEvery, func() { cs.owner.Post(cs.checkAcks) })
	}
}

func (cs *Cells) checkAcks() {
	cs.awaited = false
	for _, id := range cs.table.Look() {
		cs.cells[id].proc.Kill("it did not take its routes")
	}
	if cs.table.Owed() {
		cs.awaitAcks()
	}
}

// newGate has a gate that has just started take over.
func (cs *Cells) newGate() {
	cs.table.NewGate()
	cs.sendTable()
}

// retireOld retires the cells to which the gate sends no more.
func (cs *Cells) retireOld() {
	for i := range cs.news {
		n := &cs.news[i]
		led := func(m news) bool { return m.old != nil && m.old.in == n.old.in && !m.retired } // the gate still leads another there
		if n.old != nil && !n.retired && cs.table.GateHas(n.version) {
			n.retired = true
			if !cs.inUse(n.old.in) && !slices.ContainsFunc(cs.news, led) {
				cs.retire(n.old.in)
			}
		}
	}
}

// inUse reports whether a cell serves a handler.
func (cs *Cells) inUse(c *cell) bool {
	return slices.ContainsFunc(c.seats, func(st *seat) bool {
		h := cs.owner.Handler(st.name)
		return h != nil && h.Live == st.of
	})
}

// Announce reports the changes that the gate and every cell have in force.
func (cs *Cells) Announce() {
	if gate, _ := cs.Fleet.Gate(); !gate || len(cs.news) == 0 {
		return
	}
	acked := cs.table.InForce()
	for len(cs.news) > 0 && cs.news[0].version <= acked {
		n := cs.news[0]
		cs.news = cs.news[1:]
		r := notice.Change(n.what, n.handler, n.seat.in.name, n.seat.of)
		e := cs.log.WithFields(Fields(n.seat.of)).WithFields(r.Fields).WithField("patterns", words.Within(n.seat.of.Patterns, 2000)) // a record is bounded
		if n.what == states.WentLive || n.what == states.LiveAgain {
			e = e.WithField("took", time.Since(n.seat.in.proc.Began).Round(100*time.Microsecond))
		}
		if h := cs.owner.Handler(n.handler); h != nil && n.what == states.WentLive && n.seat.of.Why == states.Newest && !h.Changed().IsZero() {
			e = e.WithField(events.After, time.Since(h.Changed()).Round(100*time.Microsecond))
		}
		e.Log(r.Level, r.Text)
	}
}
