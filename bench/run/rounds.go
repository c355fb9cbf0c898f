package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/bench/stats"
)

// Row is what the rounds have measured of a peer at a work.
type Row struct {
	Work, Peer string
	PerSecond  []float64 // requests, by round
	CPU        []float64 // of the whole tree, in µs per request
	Busy       []float64 // the load generator's CPU time; 1 is its whole core
}

// Measure measures the peers at the work: in each round each of them once,
// there and back again, so that what drifts meets all alike.
func (l *Lab) Measure(ctx context.Context, w Work, peers []Peer, rounds int, each time.Duration, progress io.Writer) ([]Row, error) {
	servers, err := l.serveAll(peers, w)
	defer stopAll(servers)
	if err != nil {
		return nil, err
	}
	rows := make([]Row, len(peers))
	for i, p := range peers {
		rows[i] = Row{Work: w.Name, Peer: p.Name}
	}
	spec := w.Spec
	spec.Time, spec.Warm = each, min(warm, each)
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

// serveAll starts the peers, all at once.
func (l *Lab) serveAll(peers []Peer, w Work) ([]*Server, error) {
	servers := make([]*Server, len(peers))
	errs := make([]error, len(peers))
	var wg sync.WaitGroup
	for i, p := range peers {
		wg.Go(func() {
			if servers[i], errs[i] = l.serve(p, w); errs[i] != nil {
				errs[i] = fmt.Errorf("%s, %s: %w", p.Name, w.Name, errs[i])
			}
		})
	}
	wg.Wait()
	return servers, errors.Join(errs...)
}

func stopAll(servers []*Server) {
	var wg sync.WaitGroup
	for _, s := range servers {
		if s != nil {
			wg.Go(s.Stop)
		}
	}
	wg.Wait()
}

// serve starts the peer for the work, and waits until it is ready.
func (l *Lab) serve(p Peer, w Work) (*Server, error) {
	s, err := p.Start(l, w)
	if err == nil && w.Front > 0 {
		s, err = l.before(s, w, l.front)
	}
	if err != nil {
		return nil, err
	}
	if err := s.ready(w); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
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
