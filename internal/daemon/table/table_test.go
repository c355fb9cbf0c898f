package table

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/link"
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
	version, told := tab.Tell(all, serves)
	want := []Told{{1, 1, all[1:2]}, {3, 1, all[2:]}}
	if version != 1 || !reflect.DeepEqual(told, want) {
		t.Errorf("told %+v, want %+v", told, want)
	}
	tab.Change()
	all = append(all, link.Route{Pattern: "/a/b", Cell: 4})
	if _, told := tab.Tell(all, serves); len(told) != 1 || told[0].Cell != 1 || told[0].Version != 2 || len(told[0].Routes) != 2 {
		t.Errorf("the second time: %+v", told)
	}
	// A new gate makes no difference to the cells.
	if version, told := tab.Tell(all, serves); version != 2 || told != nil {
		t.Errorf("told again: %+v", told)
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
	got := Route(leads("/b", "/a/{x}"), []string{"/b", "/a/{y}", "/c"})
	want := []link.Route{{Pattern: "/a/{x}", Cell: 2}, {Pattern: "/b", Cell: 1}, {Pattern: "/c"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

// However acknowledgements come, what is in force never runs ahead of anybody
// that was told of it.
func TestInForceNeverRunsAhead(t *testing.T) {
	for seed := range uint64(200) {
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
