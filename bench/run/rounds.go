package run

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/bench/stats"
)

// Row is what the rounds have measured of a peer at a work.
type Row struct {
	Work, Peer string
	PerSecond  []float64 // requests, by round
	CPU        []float64 // of the whole tree, in µs per request
	Busy       []float64 // the load generator's CPU time; 1 is its whole core
	Note       string
}

// Measure measures the peers at the work: in each round each of them once,
// there and back again, so that what drifts meets all alike.
func (l *Lab) Measure(ctx context.Context, w Work, peers []Peer, rounds int, each time.Duration, progress io.Writer) ([]Row, error) {
	rows := make([]Row, len(peers))
	servers := make([]*Server, len(peers))
	for i, p := range peers {
		s, err := p.Start(l, w)
		if err == nil {
			defer s.Stop()
			err = s.ready(w)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		servers[i], rows[i] = s, Row{Work: w.Name, Peer: p.Name}
	}
	spec := w.Spec
	spec.Time = each
	for r := range rounds {
		order := make([]int, len(peers))
		for i := range order {
			order[i] = i
		}
		if r%2 == 1 {
			slices.Reverse(order)
		}
		for _, i := range order {
			res, err := l.Load(ctx, servers[i], spec)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", peers[i].Name, w.Name, err)
			}
			n, row := float64(res.Answers), &rows[i]
			row.PerSecond = append(row.PerSecond, n/res.Elapsed.Seconds())
			row.CPU = append(row.CPU, float64(res.CPU)/n/1e3)
			row.Busy = append(row.Busy, float64(res.Own)/float64(res.Elapsed))
		}
		fmt.Fprint(progress, ".")
	}
	fmt.Fprintln(progress)
	return rows, nil
}

// Ratios are a row's, to the compiled-in peer's in the same round.
func Ratios(row, compiled Row) (perSecond, cpu stats.Summary) {
	return stats.Of(stats.Ratios(row.PerSecond, compiled.PerSecond)), stats.Of(stats.Ratios(row.CPU, compiled.CPU))
}

// Print writes the rows of one work, of which the first is compiled in.
func Print(out io.Writer, rows []Row) {
	fmt.Fprintf(out, "%-22s %28s %22s %22s %22s %6s\n", "", "requests/s", "÷ compiled in", "CPU µs/request", "÷ compiled in", "load")
	for _, r := range rows {
		perSecond, cpu := Ratios(r, rows[0])
		s := stats.Of(r.PerSecond)
		fmt.Fprintf(out, "%-22s %28s %22v %22v %22v %5.0f%%\n", r.Peer,
			fmt.Sprintf("%.0f (%.0f–%.0f)", s.Median, s.Min, s.Max), perSecond, stats.Of(r.CPU), cpu, 100*stats.Of(r.Busy).Median)
	}
}
