// Package table keeps the route table: which version is in force, which part of it
// each cell was told of, and who has acknowledged what. It is pure: what is to be
// told goes out, what was acknowledged comes in, and time is counted in looks.
package table

import (
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/routes"
)

// looksLate is at how many looks in a row a cell may owe its acknowledgement.
const looksLate = 10

// Table is the one of a daemon. The zero Table has no route and was not told to
// anybody.
type Table struct {
	Dialect routes.Dialect // of all patterns; set before any is told

	version uint64 // of the newest table
	unsent  bool   // it has begun, and was not told to anybody
	gate    uint64 // the version that the gate has
	sent    uint64 // the version that it was told last; 0 is none
	parts   map[uint64]*part

	all      []link.Route          // that were told last, by pattern
	routes   map[string]link.Route // the same
	patterns routes.Book[string]   // theirs, and some of before
	cells    routes.Book[uint64]   // by their own patterns; some of before, too
}

// part is what one cell has of the table.
type part struct {
	routes []link.Route
	wants  uint64 // the version that it was told last
	has    uint64 // the version that it has acknowledged
	late   int    // looks at which it owed one
}

// Change begins a new table, unless one has begun that was not told yet, and
// returns its version.
func (t *Table) Change() uint64 {
	if !t.unsent {
		t.version++
		t.unsent = true
	}
	return t.version
}

// Unsent reports whether there is a table that was not told to anybody.
func (t *Table) Unsent() bool { return t.unsent }

// Serves is a process that has routes.
type Serves struct {
	Cell     uint64
	Patterns []string // of all its handlers; they never change
}

// Told is what one cell is to be told: who has what is no matter to it, where it is another.
type Told struct {
	Cell    uint64
	Version uint64
	Routes  []link.Route
}

// Change is what the gate is to be told: the routes that were others at the version Since, and the
// patterns that have none any more; all routes where Since is 0.
type Change struct {
	Version, Since uint64
	Routes         []link.Route
	Gone           []string
}

// Tell returns what is to be told of the table all, which is sorted by pattern and which nobody changes any more: to the gate
// what it does not know; to a cell the part that can overlap with its own patterns,
// where it has another or none. It looks at those whom a change may concern.
func (t *Table) Tell(all []link.Route, serves []Serves) (gate Change, told []Told) {
	t.unsent = false
	d := t.take(all)
	gate = Change{t.version, t.sent, d.routes, d.gone}
	if t.sent == 0 {
		gate.Routes, gate.Gone = t.all, nil
	}
	t.sent = t.version
	for _, s := range serves {
		t.cells.Add(t.Dialect, s.Cell, s.Patterns, func(yield func(uint64, []string) bool) {
			for _, s := range serves {
				if !yield(s.Cell, s.Patterns) {
					return
				}
			}
		})
	}
	for _, cell := range t.cells.Overlapping(d.patterns) {
		d.concerned[cell] = true
	}
	for _, s := range serves {
		part := t.part(s.Cell)
		if part.wants > 0 && !d.concerned[s.Cell] {
			continue
		}
		if overlaps := t.overlapping(s); part.wants == 0 || !slices.Equal(overlaps, part.routes) {
			part.routes, part.wants = overlaps, t.version
			told = append(told, Told{s.Cell, t.version, overlaps})
		}
	}
	return gate, told
}

// difference is what is other in a table than in the one before.
type difference struct {
	routes    []link.Route    // that are new, or others
	gone      []string        // patterns that have none any more
	patterns  []string        // that there were not, or are not any more
	concerned map[uint64]bool // the cells that have got a pattern of another's, or have lost one to it
}

func (d *difference) lacks(old link.Route) {
	d.gone, d.patterns = append(d.gone, old.Pattern), append(d.patterns, old.Pattern)
}

func (d *difference) has(now link.Route, old link.Route) {
	d.routes = append(d.routes, now)
	if old.Pattern == "" {
		d.patterns = append(d.patterns, now.Pattern)
	} else {
		for _, r := range [...]link.Route{old, now} {
			d.concerned[r.Cell], d.concerned[r.Canary.Cell] = true, true
		}
	}
}

// take takes the table over, and returns what is other than before.
func (t *Table) take(all []link.Route) difference {
	if t.routes == nil {
		t.routes = make(map[string]link.Route)
	}
	d := difference{concerned: make(map[uint64]bool)}
	old, now := t.all, all
	for len(old)+len(now) > 0 {
		if len(now) == 0 || len(old) > 0 && old[0].Pattern < now[0].Pattern {
			delete(t.routes, old[0].Pattern)
			d.lacks(old[0])
			old = old[1:]
			continue
		}
		var before link.Route
		if len(old) > 0 && old[0].Pattern == now[0].Pattern {
			before, old = old[0], old[1:]
		}
		if before != now[0] {
			d.has(now[0], before)
			t.routes[now[0].Pattern] = now[0]
		}
		now = now[1:]
	}
	for _, p := range d.patterns {
		t.patterns.Add(t.Dialect, p, []string{p}, func(yield func(string, []string) bool) {
			for _, r := range all {
				if !yield(r.Pattern, []string{r.Pattern}) {
					return
				}
			}
		})
	}
	t.all = all
	return d
}

// overlapping are the routes that can overlap with a cell's patterns, by pattern, as far as they
// matter to it.
func (t *Table) overlapping(s Serves) (found []link.Route) {
	for _, p := range t.patterns.Overlapping(s.Patterns) {
		if r, ok := t.routes[p]; ok {
			found = append(found, ownPart(r, s.Cell))
		}
	}
	slices.SortFunc(found, func(a, b link.Route) int { return strings.Compare(a.Pattern, b.Pattern) })
	return found
}

// ownPart is what matters of a route to a cell: whether it is its own, and which requests are.
func ownPart(r link.Route, cell uint64) link.Route {
	own := link.Route{Pattern: r.Pattern}
	switch c := r.Canary; {
	case r.Cell == cell:
		own.Cell = cell
		if c.Cell != 0 && c.Divides() {
			own.Canary, own.Canary.Cell = c, 0
		}
	case c.Cell == cell && cell != 0:
		own.Canary = c
	}
	return own
}

func (t *Table) part(cell uint64) *part {
	if t.parts == nil {
		t.parts = make(map[uint64]*part)
	}
	p := t.parts[cell]
	if p == nil {
		p = &part{}
		t.parts[cell] = p
	}
	return p
}

// Ack takes a cell's acknowledgement. A version that it cannot have is cut down to
// the newest.
func (t *Table) Ack(cell, version uint64) {
	if p := t.parts[cell]; p != nil {
		p.has = max(p.has, min(version, t.version))
	}
}

// AckGate takes the gate's acknowledgement.
func (t *Table) AckGate(version uint64) { t.gate = max(t.gate, min(version, t.version)) }

// NewGate says that the gate is one that has no table.
func (t *Table) NewGate() { t.gate, t.sent = 0, 0 }

// Forget takes a cell out that is gone, or that nobody waits for any more.
func (t *Table) Forget(cell uint64) { delete(t.parts, cell) }

// GateHas reports whether the gate has the version, or a later one.
func (t *Table) GateHas(version uint64) bool { return t.gate >= version }

// Current reports whether the gate has the newest table, and nothing newer has
// begun.
func (t *Table) Current() bool { return !t.unsent && t.gate == t.version }

// InForce returns the version that the gate and every cell have.
func (t *Table) InForce() uint64 {
	version := t.gate
	for _, p := range t.parts {
		if p.has < p.wants {
			version = min(version, p.wants-1)
		}
	}
	return version
}

// Owed reports whether a cell owes an acknowledgement.
func (t *Table) Owed() bool {
	for _, p := range t.parts {
		if p.has < p.wants {
			return true
		}
	}
	return false
}

// Look counts one more look at those that owe an acknowledgement, and returns the
// cells that have owed it too often, each once.
func (t *Table) Look() (late []uint64) {
	for cell, p := range t.parts {
		switch {
		case p.has >= p.wants:
			p.late = 0
			continue
		case p.late == looksLate:
			late = append(late, cell)
		}
		p.late++
	}
	return late
}

// Route returns the table that leads to served, sorted by pattern. All patterns are of the
// dialect. Those claimed are of handlers that were not tried yet: those beside which all of served
// can stand lead nowhere for now, so that their requests wait, as untried says, and are not told
// that there is no such page. What cannot be sent does not wait, and canaries that cannot be have no
// requests.
func Route(d routes.Dialect, served []link.Route, claimed []string, untried link.Route) []link.Route {
	all := slices.Clone(served)
	size, canaries := 0, 0
	patterns := make([]string, len(served))
	for i, r := range served {
		patterns[i] = r.Pattern
		size += link.RouteSize(r.Pattern)
		canaries += r.Canary.Size()
	}
	if size += canaries; size > link.MaxRoutes && canaries > 0 {
		size -= canaries
		for i := range all {
			all[i].Canary = link.Canary{}
		}
	}
	if len(claimed) > 0 {
		for _, p := range d.Beside(patterns, claimed) {
			if size += link.RouteSize(p); size > link.MaxRoutes {
				break
			}
			untried.Pattern = p
			all = append(all, untried)
		}
	}
	slices.SortFunc(all, func(a, b link.Route) int { return strings.Compare(a.Pattern, b.Pattern) })
	return all
}
