package stats

import (
	"slices"
	"testing"
)

func TestOf(t *testing.T) {
	for _, c := range []struct {
		v    []float64
		want Summary
	}{
		{[]float64{3}, Summary{3, 3, 3, 3, 3}},
		{[]float64{4, 2}, Summary{2, 2.5, 3, 3.5, 4}},
		{[]float64{5, 1, 4, 2, 3}, Summary{1, 2, 3, 4, 5}},
		{[]float64{1, 2, 3, 100}, Summary{1, 1.75, 2.5, 27.25, 100}},
	} {
		v := slices.Clone(c.v)
		if got := Of(v); got != c.want {
			t.Errorf("Of(%v) = %+v, want %+v", c.v, got, c.want)
		}
		if !slices.Equal(v, c.v) {
			t.Errorf("Of has changed %v to %v", c.v, v)
		}
	}
}

// A ratio is of one round: what slows a whole round does not show.
func TestRatios(t *testing.T) {
	if got := Of(Ratios([]float64{50, 5, 100}, []float64{100, 10, 200})); got != (Summary{0.5, 0.5, 0.5, 0.5, 0.5}) {
		t.Errorf("got %+v", got)
	}
}
