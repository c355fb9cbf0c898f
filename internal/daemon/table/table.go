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
	version uint64 // of the newest table
	unsent  bool   // it has begun, and was not told to anybody
	gate    uint64 // the version that the gate has
	parts   map[uint64]*part
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
	Patterns []string // of all its handlers
}

// Told is what one cell is to be told.
type Told struct {
	Cell    uint64
	Version uint64
	Routes  []link.Route
}

// Tell returns what is to be told of the table all: to the gate all of it, at the
// version; to a cell the part that can overlap with its own patterns, where it has
// another or none. All else it hands back in any case.
func (t *Table) Tell(all []link.Route, serves []Serves) (version uint64, told []Told) {
	t.unsent = false
	index := routes.NewIndex(all, func(r link.Route) string { return r.Pattern })
	for _, s := range serves {
		part := t.part(s.Cell)
		if overlaps := index.Overlapping(s.Patterns); part.wants == 0 || !slices.Equal(overlaps, part.routes) {
			part.routes, part.wants = overlaps, t.version
			told = append(told, Told{s.Cell, t.version, overlaps})
		}
	}
	return t.version, told
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
func (t *Table) NewGate() { t.gate = 0 }

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

// Route returns the table that leads to served, sorted by pattern. The patterns
// claimed are of handlers that were not tried yet: those beside which all of served
// can stand lead nowhere for now, so that their requests wait and are not told
// that there is no such page. What cannot be sent does not wait.
func Route(served []link.Route, claimed []string) []link.Route {
	all := slices.Clone(served)
	size := 0
	patterns := make([]string, len(served))
	for i, r := range served {
		patterns[i] = r.Pattern
		size += link.RouteSize(r.Pattern)
	}
	if len(claimed) > 0 {
		for _, p := range routes.Beside(patterns, claimed) {
			if size += link.RouteSize(p); size > link.MaxRoutes {
				break
			}
			all = append(all, link.Route{Pattern: p})
		}
	}
	slices.SortFunc(all, func(a, b link.Route) int { return strings.Compare(a.Pattern, b.Pattern) })
	return all
}
