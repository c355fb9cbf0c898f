package cells

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/lifecycle"
)

// group is the handlers that are to share a cell. Each version is first proved
// and made live in a cell of its own, so that a bad one is found out alone; once
// nothing is under way for any of them, those that agree are gathered in a new
// cell. When a shared cell dies, each gets one of its own again.
type group struct {
	name   string
	live   *cell             // the shared cell; nil if there is none
	next   *cell             // is being started
	apart  map[string]string // why a handler is not in it
	failed string            // the seats of the last attempt, if it failed
	deaths int
	rest   bool // it died lately: it is not gathered for a while
}

const (
	// restMin and restMax bound how long the handlers of a shared cell that
	// died stay alone, to show which of them it was.
	restMin = time.Minute
	restMax = time.Hour
)

// Gather begins a shared cell for every group whose handlers have changed.
func (cs *Cells) Gather() {
	if !cs.regroup || cs.stopping {
		return
	}
	cs.regroup = false
	members := make(map[string][]*lifecycle.Handler)
	for h := range cs.owner.Handlers() {
		if name := cs.settings(h.Name).Group; name != "" && h.Serves() && h.Next == nil {
			members[name] = append(members[name], h)
		}
	}
	for name, g := range cs.groups {
		if len(members[name]) == 0 && g.next == nil && !g.rest {
			delete(cs.groups, name)
		}
	}
	for name, all := range members {
		g := cs.groups[name]
		if g == nil {
			g = &group{name: name}
			cs.groups[name] = g
		}
		slices.SortFunc(all, func(a, b *lifecycle.Handler) int { return strings.Compare(a.Name, b.Name) })
		cs.gatherGroup(g, all)
	}
}

func (cs *Cells) gatherGroup(g *group, all []*lifecycle.Handler) {
	g.apart = make(map[string]string)
	var seats []*seat
	for _, h := range all {
		st := placeOf(h.Live)
		if why := disagrees(st, seats); why != "" {
			g.apart[h.Name] = why
		} else {
			seats = append(seats, st)
		}
	}
	if g.rest {
		for _, st := range seats {
			g.apart[st.name] = "the shared cell has crashed: its handlers are alone for a while"
		}
		return
	}
	key := seating(seats)
	switch {
	case g.live != nil && !cs.inUse(g.live):
		g.live = nil
	case g.live != nil && seating(g.live.seats) == key:
		return // as it is to be
	}
	if g.next != nil {
		if seating(g.next.seats) != key {
			cs.drop(g.next)
			g.next = nil
		} else {
			return
		}
	}
	if g.failed == key {
		return
	}
	if len(seats) < 2 {
		if len(seats) == 1 && seats[0].in.group != nil {
			cs.owner.Tell(cs.owner.Handler(seats[0].name), lifecycle.Renew{}) // the last one needs no shared cell
		}
		return
	}
	c := cs.newCell(g.name)
	c.group = g
	for _, st := range seats {
		c.seat(st.name, &lifecycle.Seat{Version: st.of.Version, Why: lifecycle.Again, Phase: lifecycle.Starting}, st.part, cs.settings(st.name))
	}
	g.next = c
	cs.start(c)
}

// disagrees says why a handler cannot share a cell with the others, "" if it can.
func disagrees(st *seat, others []*seat) string {
	for _, o := range others {
		if err := st.part.Agree(o.part); err != nil {
			return fmt.Sprintf("does not agree with %s: %v", o.name, err)
		}
	}
	return ""
}

// seating tells one choice of versions from another.
func seating(seats []*seat) string {
	var b strings.Builder
	for _, st := range seats {
		fmt.Fprintf(&b, "%s %s %v\n", st.name, st.part.Version.Sum, st.settings.Limits)
	}
	return b.String()
}

// gathered gives a shared cell that is proved its handlers' routes, unless one
// of them has changed meanwhile.
func (cs *Cells) gathered(c *cell) {
	g := c.group
	if g.next != c {
		cs.drop(c)
		return
	}
	g.next = nil
	for _, st := range c.seats {
		h := cs.owner.Handler(st.name)
		if h == nil || h.Live == nil || h.Standing == lifecycle.Quarantined || h.Next != nil || h.Live.Version != st.of.Version {
			cs.drop(c) // quiet is to come again
			return
		}
		if !slices.Equal(h.Live.Patterns, st.of.Patterns) {
			g.failed = seating(c.seats)
			cs.log.WithFields(c.allFields()).Errorf("cell not shared: %s has other patterns in it", st.name)
			cs.drop(c)
			return
		}
	}
	g.live, g.failed = c, ""
	for _, st := range c.seats {
		cs.owner.Tell(cs.owner.Handler(st.name), lifecycle.Gathered{Seat: st.of})
	}
}

// notGathered is called when a shared cell did not start. Its handlers go on
// where they are.
func (cs *Cells) notGathered(c *cell, why string) {
	g := c.group
	if g.next != c || cs.stopping {
		return
	}
	g.next, g.failed = nil, seating(c.seats)
	for _, st := range c.seats {
		g.apart[st.name] = "the shared cell did not start: " + why
	}
	cs.log.WithFields(c.allFields()).WithField("reason", why).Error("cell not shared: " + g.name)
}

// scattered is called when a shared cell has died. Whose fault it was, the
// handlers show when each is alone.
func (cs *Cells) scattered(c *cell) {
	g := c.group
	g.live, g.rest = nil, true
	rest := min(restMin<<min(g.deaths, 20), restMax)
	g.deaths++
	time.AfterFunc(rest, func() { cs.owner.Post(func() { g.rest, cs.regroup = false, true }) })
}

// Apart says why a handler is not in the shared cell of its group, "" if it is.
func (cs *Cells) Apart(handler string) string {
	if g := cs.groups[cs.settings(handler).Group]; g != nil {
		return g.apart[handler]
	}
	return ""
}
