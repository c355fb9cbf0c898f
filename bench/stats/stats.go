// Package stats sums up what rounds have measured.
package stats

import (
	"fmt"
	"math"
	"slices"
)

// Summary is how some figures are spread.
type Summary struct{ Min, Q1, Median, Q3, Max float64 }

// Of sums up figures, of which there is one at least.
func Of(v []float64) Summary {
	v = slices.Sorted(slices.Values(v))
	return Summary{v[0], quantile(v, 0.25), quantile(v, 0.5), quantile(v, 0.75), v[len(v)-1]}
}

// Quantile is one of some figures, of which there is one at least.
func Quantile(v []float64, q float64) float64 { return quantile(slices.Sorted(slices.Values(v)), q) }

// quantile interpolates between the two nearest of the sorted figures.
func quantile(v []float64, q float64) float64 {
	at := q * float64(len(v)-1)
	low := math.Floor(at)
	next := v[min(int(low)+1, len(v)-1)]
	return v[int(low)] + (at-low)*(next-v[int(low)])
}

// String is the median with the extremes.
func (s Summary) String() string { return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Median, s.Min, s.Max) }

// Ratios divides what was measured in the same round.
func Ratios(v, by []float64) []float64 {
	out := make([]float64, len(v))
	for i := range v {
		out[i] = v[i] / by[i]
	}
	return out
}
