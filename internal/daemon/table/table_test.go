package table

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/routes"
)

func leads(patterns ...string) (all []link.Route) {
	for i, p := range patterns {
		all = append(all, link.Route{Pattern: p, Cell: uint64(i + 1)})
	}
	return all
}

// Several changes become one table, until it was told.
func TestChange(t *testing.T) {
	var tab Table
	if a, b := tab.Change(), tab.Change(); a != 1 || b != 1 || !tab.Unsent() {
		t.Errorf("two changes are the versions %d and %d", a, b)
	}
	tab.Tell(nil, nil)
	if tab.Unsent() || tab.Change() != 2 {
		t.Error("a change after the table was told is none of it")
	}
}

// A cell is told what can overlap with its own patterns, and only when that
// has changed.
func TestTell(t *testing.T) {
	var tab Table
	tab.Change()
	all := leads("/a", "/a/{x}", "/b")
	serves := []Serves{{1, []string{"/a/"}}, {3, []string{"/b"}}}
	gate, told := tab.Tell(all, serves)
	want := []Told{{1, 1, []link.Route{{Pattern: "/a/{x}"}}}, {3, 1, all[2:]}}
	if !reflect.DeepEqual(gate, Change{1, 0, all, nil}) || !reflect.DeepEqual(told, want) {
		t.Errorf("told %+v, %+v, want %+v", gate, told, want)
	}
	tab.Change()
	all = Route(routes.Std, append(all, link.Route{Pattern: "/a/b", Cell: 4}), nil, link.Route{})
	if _, told := tab.Tell(all, serves); len(told) != 1 || told[0].Cell != 1 || told[0].Version != 2 || len(told[0].Routes) != 2 {
		t.Errorf("the second time: %+v", told)
	}
	// Of another version of another handler nobody is told but the gate.
	tab.Change()
	all = slices.Clone(all)
	all[len(all)-1].Cell = 7
	if gate, told := tab.Tell(all, serves[:1]); !reflect.DeepEqual(gate, Change{3, 2, all[len(all)-1:], nil}) || told != nil {
		t.Errorf("of another version: %+v, %+v", gate, told)
	}
	// A new gate makes no difference to the cells, and is told all.
	tab.NewGate()
	if gate, told := tab.Tell(all, serves); !reflect.DeepEqual(gate, Change{3, 0, all, nil}) || told != nil {
		t.Errorf("told again: %+v, %+v", gate, told)
	}
}

// Those between whom a pattern is divided are told so, and what else is other between them; nobody
// else is.
func TestTellOfACanary(t *testing.T) {
	var tab Table
	serves := []Serves{{1, []string{"/a"}}, {2, []string{"/a"}}, {3, []string{"/b"}}}
	rule := link.Canary{Cell: 2, Weight: 500, Sticky: link.StickyIP, Seed: 7}
	incumbents := rule
	incumbents.Cell = 0
	for i, step := range []struct {
		a    link.Route
		told map[uint64]link.Route // of /a
	}{
		{link.Route{Cell: 1}, map[uint64]link.Route{1: {Cell: 1}, 2: {}}},
		{link.Route{Cell: 1, Canary: rule}, map[uint64]link.Route{1: {Cell: 1, Canary: incumbents}, 2: {Canary: rule}}},
		{link.Route{Cell: 0, Canary: rule}, map[uint64]link.Route{1: {}}}, // the incumbent has died
		{link.Route{Cell: 1, Canary: rule}, map[uint64]link.Route{1: {Cell: 1, Canary: incumbents}}},
		{link.Route{Cell: 1, Canary: incumbents}, map[uint64]link.Route{1: {Cell: 1}, 2: {}}}, // the canary has
		{link.Route{Cell: 1, Canary: link.Canary{Cell: 2}}, map[uint64]link.Route{2: {Canary: link.Canary{Cell: 2}}}},
		{link.Route{Cell: 2}, map[uint64]link.Route{1: {}, 2: {Cell: 2}}},
	} {
		step.a.Pattern = "/a"
		all := []link.Route{step.a, {Pattern: "/b", Cell: 3}}
		tab.Change()
		_, told := tab.Tell(all, serves)
		got := make(map[uint64]link.Route)
		for _, to := range told {
			if to.Cell != 3 {
				got[to.Cell] = to.Routes[0]
			} else if i > 0 {
				t.Errorf("step %d: another is told %v", i, to.Routes)
			}
		}
		for cell, r := range step.told {
			r.Pattern = "/a"
			step.told[cell] = r
		}
		if !maps.Equal(got, step.told) {
			t.Errorf("step %d: told %+v, want %+v", i, got, step.told)
		}
	}
}

// Whatever changes, each cell is told of what can overlap with its patterns, and of
// nothing twice: as if all were compared with all.
func TestTellIsOfAllThatOverlaps(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		one := func(of ...string) string { return of[rnd.IntN(len(of))] }
		pattern := func() string {
			return one("", "", "GET ", "POST ") + one("", "", "", "h.example", "i.example") + "/" +
				one("a", "b", "{x}", "") + one("", "", "/", "/a", "/{y}", "/{y...}")
		}
		var tab Table
		cells, next := make(map[uint64][]string), uint64(1)
		has, known := make(map[uint64][]link.Route), make(map[string]link.Route)
		for range 60 {
			for range rnd.IntN(4) {
				if len(cells) > 0 && rnd.IntN(3) == 0 {
					gone := slices.Sorted(maps.Keys(cells))[rnd.IntN(len(cells))]
					tab.Forget(gone)
					delete(cells, gone)
					delete(has, gone)
					continue
				}
				for range 1 + rnd.IntN(3) {
					if p := pattern(); routes.Std.Check([]string{p}, 0, 0) == nil {
						cells[next] = append(cells[next], p)
					}
				}
				next++
			}
			// Some have their routes, and one that is about to end may not.
			leads := make(map[string]link.Route)
			var serves []Serves
			for _, cell := range slices.Sorted(maps.Keys(cells)) {
				serves = append(serves, Serves{cell, cells[cell]})
				for _, p := range cells[cell] {
					if rnd.IntN(8) > 0 {
						leads[p] = link.Route{Pattern: p, Cell: cell, Down: rnd.IntN(8) == 0}
					}
				}
			}
			all := Route(routes.Std, slices.Collect(maps.Values(leads)), nil, link.Route{})
			want := make(map[uint64][]link.Route)
			index := routes.NewIndex(routes.Std, all, func(r link.Route) string { return r.Pattern })
			for _, s := range serves {
				overlaps := index.Overlapping(s.Patterns)
				for i, r := range overlaps {
					overlaps[i] = link.Route{Pattern: r.Pattern}
					if r.Cell == s.Cell {
						overlaps[i].Cell = r.Cell
					}
				}
				if before, told := has[s.Cell]; !told || !slices.Equal(before, overlaps) {
					want[s.Cell] = overlaps
				}
				has[s.Cell] = overlaps
			}
			tab.Change()
			if rnd.IntN(5) == 0 {
				tab.NewGate()
				clear(known)
			}
			gate, told := tab.Tell(all, serves)
			for _, p := range gate.Gone {
				delete(known, p)
			}
			for _, r := range gate.Routes {
				known[r.Pattern] = r
			}
			if !maps.Equal(known, leads) {
				t.Fatalf("seed %d: the gate knows %v\nwant %v", seed, known, leads)
			}
			got := make(map[uint64][]link.Route)
			for _, to := range told {
				got[to.Cell] = to.Routes
			}
			if !maps.EqualFunc(got, want, slices.Equal) || len(told) != len(got) {
				t.Fatalf("seed %d: told %v\nwant %v", seed, got, want)
			}
		}
	}
}

// A table is in force once the gate and all that were told of it say so.
func TestInForce(t *testing.T) {
	var tab Table
	tell := func(cells ...uint64) {
		tab.Change()
		var serves []Serves
		for _, c := range cells {
			serves = append(serves, Serves{c, []string{"/"}})
		}
		tab.Tell(leads(fmt.Sprintf("/%d", tab.version)), serves)
	}
	for i, step := range []struct {
		do      func()
		force   uint64
		current bool
		owed    bool
	}{
		{func() { tell(1, 2) }, 0, false, true},
		{func() { tab.AckGate(1) }, 0, true, true},
		{func() { tab.Ack(1, 1) }, 0, true, true},
		{func() { tab.Ack(2, 99) }, 1, true, false}, // as far as there is one
		{func() { tell(1) }, 1, false, true},
		{func() { tab.Ack(1, 2) }, 1, false, false},
		{func() { tab.AckGate(99) }, 2, true, false},
		{func() { tab.Change() }, 2, false, false},
		{func() { tell(1) }, 2, false, true},
		{func() { tab.AckGate(3) }, 2, true, true},
		{func() { tab.Forget(1) }, 3, true, false},
		{func() { tab.Ack(1, 3) }, 3, true, false}, // it is gone
		{func() { tab.NewGate() }, 0, false, false},
		{func() { tab.AckGate(2) }, 2, false, false},
		{func() { tab.AckGate(1) }, 2, false, false}, // never back
	} {
		step.do()
		if force, current, owed := tab.InForce(), tab.Current(), tab.Owed(); force != step.force || current != step.current || owed != step.owed {
			t.Errorf("step %d: in force %d, current %v, owed %v; want %+v", i, force, current, owed, step)
		}
	}
}

// Who owes an acknowledgement too often is named once, and who is served again
// in time never.
func TestLook(t *testing.T) {
	var tab Table
	tab.Change()
	tab.Tell(leads("/"), []Serves{{1, []string{"/"}}, {2, []string{"/"}}})
	for range looksLate {
		if late := tab.Look(); late != nil {
			t.Fatalf("too early: %v", late)
		}
	}
	tab.Ack(2, 1)
	if late := tab.Look(); !slices.Equal(late, []uint64{1}) {
		t.Errorf("late are %v", late)
	}
	if late := tab.Look(); late != nil {
		t.Errorf("named again: %v", late)
	}
}

func TestRoute(t *testing.T) {
	got := Route(routes.Std, leads("/b", "/a/{x}"), []string{"/b", "/a/{y}", "/c"}, link.Route{Hold: time.Second})
	want := []link.Route{{Pattern: "/a/{x}", Cell: 2}, {Pattern: "/b", Cell: 1}, {Pattern: "/c", Hold: time.Second}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	// Where there is no room for the rules of canaries, the incumbents have all.
	served := leads("/"+strings.Repeat("a", link.MaxRoutes-200), "/b")
	served[1].Canary = link.Canary{Cell: 3, Weight: link.Whole}
	if got := Route(routes.Std, served, nil, link.Route{Hold: time.Second}); got[1].Canary != (link.Canary{}) || served[1].Canary.Cell != 3 {
		t.Errorf("too large, the canary is %+v", got[1].Canary)
	}
}

// However acknowledgements come, what is in force never runs ahead of anybody
// that was told of it.
func TestInForceNeverRunsAhead(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		var tab Table
		gate, told, has := uint64(0), map[uint64]uint64{}, map[uint64]uint64{}
		for range 200 {
			cell := r.Uint64N(3) + 1
			switch r.IntN(5) {
			case 0:
				tab.Change()
				_, all := tab.Tell(leads(fmt.Sprintf("/%d", tab.version)), []Serves{{cell, []string{"/"}}})
				for _, to := range all {
					told[to.Cell] = to.Version
				}
			case 1:
				v := r.Uint64N(tab.version + 1)
				gate = max(gate, v)
				tab.AckGate(v)
			case 2:
				if told[cell] > 0 {
					has[cell] = max(has[cell], told[cell])
					tab.Ack(cell, told[cell])
				}
			case 3:
				gate = 0
				tab.NewGate()
			case 4:
				delete(told, cell)
				delete(has, cell)
				tab.Forget(cell)
			}
			force := tab.InForce()
			if force > gate {
				t.Fatalf("seed %d: %d is in force, the gate has %d", seed, force, gate)
			}
			for cell, version := range told {
				if has[cell] < version && force >= version {
					t.Fatalf("seed %d: %d is in force, cell %d has %d of %d", seed, force, cell, has[cell], version)
				}
			}
		}
	}
}

// One change among a thousand costs as much as among ten.
func TestOneChangeAmongMany(t *testing.T) {
	allocs := func(n int) float64 {
		var tab Table
		var all []link.Route
		var serves []Serves
		for i := range n {
			p := fmt.Sprintf("/h%04d", i)
			all = append(all, link.Route{Pattern: p, Cell: uint64(i + 1)})
			serves = append(serves, Serves{uint64(i + 1), []string{p}})
		}
		cell := uint64(n)
		tab.Change()
		tab.Tell(all, serves)
		return testing.AllocsPerRun(10, func() {
			tab.Forget(cell)
			cell++
			all = slices.Clone(all)
			all[n-1].Cell, serves[n-1].Cell = cell, cell
			tab.Change()
			if _, told := tab.Tell(all, serves); len(told) != 1 {
				t.Errorf("%d cells are told", len(told))
			}
		})
	}
	if few, many := allocs(10), allocs(1000); many > 2*few {
		t.Errorf("%v allocations among 1000, %v among 10", many, few)
	}
}
