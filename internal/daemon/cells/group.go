package cells

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/plan"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
)

// group is the handlers that are to share a cell (plan.Gather).
type group struct {
	name   string
	live   *cell             // the shared cell; nil if there is none
	next   *cell             // is being started
	apart  map[string]string // why a handler is not in it
	failed string            // the seating of the last attempt, if it failed
	deaths int
	rest   bool // it died lately: it is not gathered for a while
}

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
	if g.live != nil && !cs.inUse(g.live) {
		g.live = nil
	}
	seats := make([]*seat, len(all))
	for i, h := range all {
		seats[i] = placeOf(h.Live)
	}
	now := plan.Group{Serves: g.live.seating(), Starts: g.next.seating(), Failed: g.failed, Rests: g.rest}
	to := plan.Gather(now, members(seats), func(i, j int) error {
		return cmp.Or(seats[i].settings.Agree(seats[j].settings), seats[i].part.Agree(seats[j].part))
	})
	g.apart = to.Apart
	if to.Drop {
		cs.drop(g.next)
		g.next = nil
	}
	switch {
	case to.Part:
		cs.owner.Tell(all[to.Members[0]], lifecycle.Renew{})
	case to.Start:
		c := cs.newCell(g.name, true)
		c.group, g.next = g, c
		for _, i := range to.Members {
			st := seats[i]
			st.part.Version = st.of.Version // which may have been signed anew
			c.seat(st.name, &states.Seat{Version: st.of.Version, Why: states.Again, Phase: states.Starting}, st.part, cs.settings(st.name))
		}
		cs.start(c)
	}
}

// members are the seats as plan has them.
func members(seats []*seat) (all []plan.Member) {
	for _, st := range seats {
		all = append(all, plan.Member{Name: st.name, Version: st.part.Version.Sum, Limits: fmt.Sprint(st.settings.Limits), Shares: st.in.group != nil})
	}
	return all
}

// seating tells one choice of versions from another, "" where there is no cell.
func (c *cell) seating() string {
	if c == nil {
		return ""
	}
	return plan.Seating(members(c.seats))
}

// gathered gives a shared cell that is proved its handlers' routes, unless one of them has changed meanwhile.
func (cs *Cells) gathered(c *cell) {
	g := c.group
	if g.next != c {
		cs.drop(c)
		return
	}
	g.next = nil
	arrivals := make([]plan.Arrival, len(c.seats))
	for i, st := range c.seats {
		h := cs.owner.Handler(st.name)
		a := plan.Arrival{Name: st.name, Offers: st.of.Patterns}
		if h != nil && h.Live != nil {
			a.Serves = h.Live.Patterns
			a.Same = h.Standing != states.Quarantined && h.Next == nil && h.Live.Version == st.of.Version
		}
		arrivals[i] = a
	}
	ok, differs := plan.Admit(arrivals)
	if !ok {
		if differs != "" {
			g.failed = c.seating()
			cs.log.WithFields(c.allFields("")).Errorf("cell not shared: %s has other patterns in it", differs)
		}
		cs.drop(c) // quiet is to come again
		return
	}
	g.live, g.failed = c, ""
	for _, st := range c.seats {
		cs.owner.Tell(cs.owner.Handler(st.name), lifecycle.Gathered{Seat: st.of})
	}
}

// notGathered is called when a shared cell did not start. Its handlers go on where they are.
func (cs *Cells) notGathered(c *cell, why string) {
	g := c.group
	if g.next != c || cs.stopping {
		return
	}
	g.next, g.failed = nil, c.seating()
	for _, st := range c.seats {
		g.apart[st.name] = "the shared cell did not start: " + why
	}
	cs.log.WithFields(c.allFields("")).WithField("reason", why).Error("cell not shared: " + g.name)
}

// scattered is called when a shared cell has died. Whose fault it was, the handlers show when each is alone.
func (cs *Cells) scattered(c *cell) {
	g := c.group
	g.live, g.rest = nil, true
	rest := time.Duration(plan.RestMinutes(g.deaths)) * time.Minute
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
