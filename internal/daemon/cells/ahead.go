package cells

import (
	"cmp"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
)

// Ahead starts a cell for a version of a handler whose sum is not known yet: Start takes it
// where that is the version, else Forgo ends it. Nothing is heard of it before.
func (cs *Cells) Ahead(h *lifecycle.Handler, p intake.Prepared) {
	cs.Forgo(h)
	c, part := cs.newCell(h.Name, h.Live != nil), p.Parts[0]
	c.lead, cs.ahead[h.Name] = part.Version.Path, c
	c.seat(h.Name, &states.Seat{}, part, cs.settings(h.Name))
	cs.cells[c.id] = c
	cs.prepared(c, p)
}

// Forgo ends the one that Start has not taken, if there is one.
func (cs *Cells) Forgo(h *lifecycle.Handler) {
	if c := cs.ahead[h.Name]; c != nil {
		delete(cs.ahead, h.Name)
		cs.drop(c)
	}
}

// adopt takes the cell that was started ahead for a seat, if that loads the same copy, on the same terms.
func (cs *Cells) adopt(handler string, of *states.Seat, part intake.Part) bool {
	c := cs.ahead[handler]
	if c == nil || c.state != starting || c.lead != part.Led || c.seats[0].settings.Outdate(cs.settings(handler)) {
		return false
	}
	delete(cs.ahead, handler)
	st := c.seats[0]
	st.of, st.part, of.Place = of, part, st
	if c.proc != nil {
		c.proc.Name(c.plugins())
	}
	return true
}

// plugins are what a cell is to load.
func (c *cell) plugins() (all []link.Plugin) {
	for _, st := range c.seats {
		v := st.part.Version
		all = append(all, link.Plugin{Name: st.name, Path: v.Path, Version: v.Short(), Bounds: st.settings.Bounds})
	}
	all[0].Path = cmp.Or(c.lead, all[0].Path)
	return all
}

// unlead ends the name of what a cell has loaded.
func (cs *Cells) unlead(c *cell) {
	cs.intake.Unlead(c.lead)
	c.lead = ""
}
