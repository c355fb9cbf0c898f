package analysis

import (
	"fmt"
	"math"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/counter"
)

// Figures are what a version has done while it was judged.
type Figures struct {
	Requests, Errors uint64
	// P50 and P99 are the times that half of its answers and 99 of 100 took at the most, as histogram_quantile of Prometheus
	// has them; 0 where there were none.
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

func quantile(times [counter.Buckets]uint64, part float64) time.Duration {
	want, seen := part*float64(sum(times[:])), 0.
	if want == 0 {
		return 0
	}
	low := time.Duration(0)
	for i, bound := range counter.Bounds {
		n := float64(times[i])
		if n > 0 && seen+n >= want {
			exact := low + time.Duration(float64(bound-low)*(want-seen)/n)
			return exact.Round(time.Duration(math.Pow10(int(math.Log10(float64(exact)))) / 10)) // two digits tell as much as there is
		}
		seen, low = seen+n, bound
	}
	return low
}
