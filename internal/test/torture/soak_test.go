package torture

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// TestSoak replaces the victim once a second and looks at what the daemon holds
// meanwhile. Nothing of it may grow with time.
func TestSoak(t *testing.T) {
	a := newArena(t)
	const every = 10 // replacements
	var at []float64 // seconds
	var all []census
	began := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	ok := try(func() {
		for n := 0; time.Since(began) < *soakFlag; n++ {
			a.refresh()
			if n%every == every-1 {
				a.rest()
				a.nothingIsLeft()
				c := a.least(2)
				a.resume()
				at, all = append(at, time.Since(began).Seconds()), append(all, c)
				fmt.Printf("%6.0f s, %5d replacements: supervisor %d descriptors, %d goroutines, %.1f MiB; gate %d, %d, %.1f MiB; all %d descriptors; store %d files, %.1f MiB\n",
					at[len(at)-1], n+1, c.supervisorFDs, c.supervisorGoroutines, mib(c.supervisorRSS), c.gateFDs, c.gateGoroutines, mib(c.gateRSS),
					c.allFDs, c.stored, mib(c.storedBytes))
			}
			<-tick.C
		}
		a.rest()
		a.nothingIsLeft()
		a.resume()
	})
	for _, c := range a.crowds {
		if s := c.score(); s.failed > 0 || s.refused > 0 {
			t.Errorf("%s: %+v: %v", c.name, s, c.Errors())
		}
	}
	if !ok || len(all) < 12 {
		fmt.Printf("%v are too short for a slope\n", *soakFlag)
		return
	}
	// The heap takes its size in the first minutes.
	skip := len(all) / 4
	for _, q := range []struct {
		what string
		unit string
		of   func(census) float64
		most float64 // an hour, beyond what the scatter explains
	}{
		{"RSS of the supervisor", "MiB", func(c census) float64 { return mib(c.supervisorRSS) }, 1},
		{"RSS of the gate", "MiB", func(c census) float64 { return mib(c.gateRSS) }, 1},
		{"descriptors of the supervisor", "", func(c census) float64 { return float64(c.supervisorFDs) }, 0},
		{"descriptors of the gate", "", func(c census) float64 { return float64(c.gateFDs) }, 0},
		{"descriptors in all", "", func(c census) float64 { return float64(c.allFDs) }, 0},
		{"goroutines of the supervisor", "", func(c census) float64 { return float64(c.supervisorGoroutines) }, 0},
		{"goroutines of the gate", "", func(c census) float64 { return float64(c.gateGoroutines) }, 0},
		{"files in the store", "", func(c census) float64 { return float64(c.stored) }, 0},
		{"store", "MiB", func(c census) float64 { return mib(c.storedBytes) }, 0},
	} {
		var y []float64
		for _, c := range all[skip:] {
			y = append(y, q.of(c))
		}
		slope, stderr := fit(at[skip:], y)
		slope, stderr = slope*3600, stderr*3600
		fmt.Printf("%-32s %+9.3f ± %.3f %s an hour\n", q.what, slope, stderr, q.unit)
		if slope-3*stderr > q.most {
			t.Errorf("%s: the slope is %+.3f ± %.3f %s an hour, want 0", q.what, slope, stderr, q.unit)
		}
	}
}

func mib(b int64) float64 { return float64(b) / (1 << 20) }

// fit returns the least-squares slope of y over x and its standard error.
func fit(x, y []float64) (slope, stderr float64) {
	n := float64(len(x))
	var mx, my float64
	for i := range x {
		mx, my = mx+x[i]/n, my+y[i]/n
	}
	var sxx, sxy float64
	for i := range x {
		sxx += (x[i] - mx) * (x[i] - mx)
		sxy += (x[i] - mx) * (y[i] - my)
	}
	slope = sxy / sxx
	var rest float64
	for i := range x {
		e := y[i] - my - slope*(x[i]-mx)
		rest += e * e
	}
	return slope, math.Sqrt(rest / (n - 2) / sxx)
}

func TestFit(t *testing.T) {
	x := []float64{0, 1, 2, 3, 4}
	if slope, stderr := fit(x, []float64{5, 7, 9, 11, 13}); slope != 2 || stderr != 0 {
		t.Errorf("got %v ± %v, want 2 ± 0", slope, stderr)
	}
	if slope, stderr := fit(x, []float64{1, -1, 1, -1, 1}); math.Abs(slope) > 1e-9 || math.Abs(stderr-0.4) > 0.01 {
		t.Errorf("got %v ± %v, want 0 ± 0.4", slope, stderr) // sqrt(4.8/3/10)
	}
}
