package page

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/daemon/rates"
)

// graph is a small curve, and its last value in words.
type graph struct {
	What  string // "rate", "errors" or "time"
	Value string
	Most  string // the largest value, in words
	Line  string // an SVG polyline's points, "" where all is 0
	Area  string // the same, closed below
	Bad   bool
}

// The size of a graph in its own units. The curve stays within by its line's width.
const (
	graphWidth  = 120.0
	graphHeight = 28.0
	graphMargin = 1.5
)

// graphs are those of a handler. Without a request in all of the time there are none.
func graphs(points []rates.Point) []graph {
	if len(points) == 0 {
		return nil
	}
	rate, errors, mean := make([]float64, len(points)), make([]float64, len(points)), make([]float64, len(points))
	var failed uint64
	var lately time.Duration
	for i, p := range points {
		rate[i], errors[i], mean[i] = float64(p.Requests)/rates.Step.Seconds(), float64(p.Errors), p.Mean.Seconds()
		if failed += p.Errors; p.Mean > 0 {
			lately = p.Mean
		}
	}
	all := []graph{
		{What: "rate", Value: perSecond(rate[len(rate)-1]), Most: perSecond(most(rate))},
		{What: "errors", Value: digits(failed), Most: digits(uint64(most(errors))) + " in " + lasts(rates.Step), Bad: failed > 0},
		{What: "time", Value: took(lately), Most: took(time.Duration(most(mean) * float64(time.Second)))},
	}
	for i, values := range [][]float64{rate, errors, mean} {
		all[i].Line, all[i].Area = curve(values)
	}
	return all
}

func most(values []float64) (most float64) {
	for _, v := range values {
		most = max(most, v)
	}
	return most
}

// curve draws values, the last one at the right end: the largest is as high as the graph.
func curve(values []float64) (line, area string) {
	top := most(values)
	if top == 0 {
		return "", ""
	}
	step := graphWidth / (rates.Kept - 1)
	var b strings.Builder
	x := 0.0
	for i, v := range values {
		x = graphWidth - float64(len(values)-1-i)*step
		fmt.Fprintf(&b, "%.1f,%.1f ", x, graphHeight-graphMargin-v/top*(graphHeight-2*graphMargin))
	}
	line = strings.TrimSpace(b.String())
	left := graphWidth - float64(len(values)-1)*step
	return line, fmt.Sprintf("%.1f,%g %s %g,%g", left, graphHeight, line, graphWidth, graphHeight)
}

// perSecond is a rate in words.
func perSecond(v float64) string {
	switch {
	case v == 0:
		return "0/s"
	case v < 10:
		return fmt.Sprintf("%.1f/s", v)
	}
	return digits(uint64(math.Round(v))) + "/s"
}

// took is a time in words, of three digits at the most.
func took(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "µs"}} {
		if v := float64(d) / float64(unit.of); v >= 10 {
			return fmt.Sprintf("%.0f %s", v, unit.name)
		} else if v >= 1 {
			return fmt.Sprintf("%.1f %s", v, unit.name)
		}
	}
	return "0 s"
}
