package gate

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/link"
)

// Tables that are told as changes lead where those lead that are told whole, and to the same
// cells.
func TestChangesAreTheWhole(t *testing.T) {
	cells := []uint64{1, 2, 3, 4}
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		changes, whole := newGate(t), newGate(t)
		now, version := make(map[string]link.Route), uint64(0)
		for range 40 {
			for range rnd.IntN(3) {
				id := cells[rnd.IntN(len(cells))] // joined, perhaps again
				c := newCell(t)
				changes.cells[id], whole.cells[id] = c, c
				changes.told.join(id)
			}
			m, told := link.Message{Version: version + 1, Since: version}, make(map[string]bool)
			for range rnd.IntN(3) {
				r := link.Route{Pattern: fmt.Sprintf("/%d", rnd.IntN(6)), Cell: rnd.Uint64N(5), Down: rnd.IntN(9) == 0}
				if rnd.IntN(3) > 0 {
					r.Canary = link.Canary{Cell: rnd.Uint64N(5), Weight: rnd.IntN(3)}
				}
				_, there := now[r.Pattern]
				switch {
				case told[r.Pattern]:
				case there && rnd.IntN(3) == 0:
					delete(now, r.Pattern)
					m.Gone = append(m.Gone, r.Pattern)
				default:
					now[r.Pattern], m.Routes = r, append(m.Routes, r)
				}
				told[r.Pattern] = true
			}
			version++
			if err := changes.apply(m); err != nil {
				t.Fatal(err)
			}
			whole.applyAll(slices.Collect(maps.Values(now)))
			if !maps.Equal(changes.cells, whole.cells) {
				t.Fatalf("seed %d: cells are %v, want %v", seed, changes.cells, whole.cells)
			}
			for i := range 6 {
				path := fmt.Sprintf("/%d", i)
				got, _ := changes.table.Load().find(get(path))
				want, _ := whole.table.Load().find(get(path))
				if (got == nil) != (want == nil) || got != nil && !got.leadsAs(want) {
					t.Fatalf("seed %d: %s leads to %+v, want %+v", seed, path, got, want)
				}
			}
		}
	}
}

func (rt *route) leadsAs(other *route) bool {
	a, b := *rt, *other
	if one, two := a.also.rule, b.also.rule; one != nil && two != nil && *one == *two {
		a.also.rule, b.also.rule = nil, nil
	}
	return a == b
}

// A replaced handler costs the gate no more among many.
func TestReplacedAmongMany(t *testing.T) {
	allocs := func(n int) float64 {
		g := newGate(t)
		m := link.Message{Version: 1}
		for i := range n {
			m.Routes = append(m.Routes, link.Route{Pattern: fmt.Sprintf("/h%d", i), Cell: uint64(i + 1)})
		}
		if err := g.apply(m); err != nil {
			t.Fatal(err)
		}
		return testing.AllocsPerRun(10, func() {
			m = link.Message{Version: m.Version + 1, Since: m.Version, Routes: []link.Route{{Pattern: "/h0", Cell: m.Version + 5000}}}
			if err := g.apply(m); err != nil {
				t.Error(err)
			}
		})
	}
	if few, many := allocs(10), allocs(1000); many > few+2 {
		t.Errorf("%v allocations among 1000, %v among 10", many, few)
	}
}

// What is other than in a table that the gate has not got is no table.
func TestChangesOfAnother(t *testing.T) {
	g := newGate(t, 1)
	g.applyAll([]link.Route{{Pattern: "/x", Cell: 1}})
	if err := g.apply(link.Message{Version: 3, Since: 2}); err == nil {
		t.Error("it is taken")
	}
}
