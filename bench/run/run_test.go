package run

import (
	"slices"
	"strings"
	"testing"
)

// The names in the tables are those of peers and works that there are.
func TestNames(t *testing.T) {
	var peers, works []string
	for _, p := range (&Lab{Base: "x"}).Peers() {
		peers = append(peers, p.Name)
	}
	for _, w := range Works() {
		works = append(works, w.Name)
		for _, n := range w.Not {
			if !slices.Contains(peers, n) {
				t.Errorf("%s is not for %q, which is no peer", w.Name, n)
			}
		}
		if len(w.Handlers) == 0 || len(w.Spec.Requests) == 0 || w.Spec.Conns == 0 {
			t.Errorf("%s asks for nothing", w.Name)
		}
	}
	for _, n := range strings.Split(Short, ",") {
		if !slices.Contains(works, n) {
			t.Errorf("the short form has %q, which is no work", n)
		}
	}
	if peers[0] != Compiled || len(slices.Compact(slices.Sorted(slices.Values(peers)))) != len(peers) {
		t.Errorf("peers: %q", peers)
	}
}

// What slows a whole round is in no ratio.
func TestRatios(t *testing.T) {
	compiled := Row{PerSecond: []float64{100, 10}, CPU: []float64{10, 40}}
	ours := Row{PerSecond: []float64{50, 5}, CPU: []float64{20, 80}}
	perSecond, cpu := Ratios(ours, compiled)
	if perSecond.Min != 0.5 || perSecond.Max != 0.5 || cpu.Min != 2 || cpu.Max != 2 {
		t.Errorf("%v, %v", perSecond, cpu)
	}
}
