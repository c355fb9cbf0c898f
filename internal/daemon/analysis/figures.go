package analysis

import (
	"fmt"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/counter"
)

// Figures are what a version has done while it was judged.
type Figures struct {
	Requests, Errors uint64
	// P50 and P99 are those of counter.Bounds that half of its answers and 99 of 100 took at the most, and the last where they
	// took longer; 0 where there were none.
	P50, P99 time.Duration
	Open     uint64
}

// Figures are those of both versions at the last look.
func (j *Analysis) Figures() (canary, incumbent Figures) {
	all := j.last.since(j.first)
	return all.canary.figures(), all.incumbent.figures()
}

func (c Counts) figures() Figures {
	return Figures{c.Requests, c.Errors, quantile(c.Times, 0.5), quantile(c.Times, 0.99), c.Open}
}

func (f Figures) failed() string { return part(f.Errors, f.Requests) }

func part(n, of uint64) string {
	if of == 0 {
		return "0 of 0"
	}
	return fmt.Sprintf("%d of %d (%.3g %%)", n, of, 100*float64(n)/float64(of))
}

// quantile is the bound of the bucket in which that part of the times ends; the last one's, too, where they are longer.
func quantile(times [counter.Buckets]uint64, part float64) time.Duration {
	want, seen := part*float64(sum(times[:])), 0.
	for i, n := range times {
		if seen += float64(n); n > 0 && seen >= want {
			return counter.Bounds[min(i, len(counter.Bounds)-1)]
		}
	}
	return 0
}
