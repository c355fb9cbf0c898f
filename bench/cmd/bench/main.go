// Bench measures plugserver beside its peers.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/bench/report"
	"github.com/andrestc/go-plugserver/bench/run"
)

func main() {
	if err := bench(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench() error {
	root := flag.String("root", "..", "`folder` of the repository")
	base := flag.String("base", "", "`folder` of another build of plugserver, to compare with")
	peer := flag.String("peer", "", "`names` of the peers, with commas; compiled is always there (default all)")
	work := flag.String("work", "", "`names` of the works, with commas (default all)")
	rounds := flag.Int("rounds", 0, "`number` of rounds (default 7)")
	each := flag.Duration("time", 0, "how long each peer is measured in each round (default 1s)")
	short := flag.Bool("short", false, "prove that everything works, and judge nothing: one round of 50ms, and one work of each kind")
	port := flag.Int("port", 18600, "first `port` to listen on")
	docs := flag.String("docs", "", "`folder` where benchmarks.md and its pictures are written, where all peers and works are measured")
	note := flag.String("note", "", "`text` to stand at the beginning of benchmarks.md")
	flag.Parse()
	if *rounds < 0 || *each < 0 || flag.NArg() > 0 {
		return fmt.Errorf("want a number of rounds and a time above 0, and nothing else but flags")
	}
	if *short {
		*rounds, *each = cmp.Or(*rounds, 1), cmp.Or(*each, 50*time.Millisecond)
		*work = cmp.Or(*work, run.Short)
	}
	*rounds, *each = cmp.Or(*rounds, 7), cmp.Or(*each, time.Second)
	l, err := lab(*root, *base, *port)
	if err != nil {
		return err
	}
	peers, err := choose(*peer, l.Peers(), func(p run.Peer) string { return p.Name })
	if err != nil {
		return err
	}
	if peers[0].Name != run.Compiled {
		peers = append(l.Peers()[:1], peers...)
	}
	works, err := choose(*work, run.Works(), func(w run.Work) string { return w.Name })
	if err != nil {
		return err
	}
	if l.Dir, err = os.MkdirTemp("", "bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(l.Dir)
	if err := l.Certify(); err != nil {
		return err
	}
	r := &report.Report{Short: *short, Note: *note, When: time.Now(), Commit: report.Commit(l.Root), Rounds: *rounds, Each: *each, Peers: peers}
	if err := measure(l, r, works); err != nil {
		return err
	}
	if *docs == "" || *short || *peer != "" || *work != "" {
		return nil
	}
	r.Machine = report.Machine(l.Root)
	return r.Write(*docs)
}

func lab(root, base string, port int) (*run.Lab, error) {
	top, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	l := &run.Lab{Root: top, Bin: filepath.Join(top, "bin", "bench"), Port: port}
	builds := []string{filepath.Join(top, "bin")}
	if base != "" {
		if l.Base, err = filepath.Abs(base); err != nil {
			return nil, err
		}
		builds = append(builds, l.Base)
	}
	for _, bin := range builds {
		if err := run.Check(bin); err != nil {
			return nil, fmt.Errorf("no build of plugserver: %w", err)
		}
	}
	return l, nil
}

// measure measures the works one after the other, and prints each.
func measure(l *run.Lab, r *report.Report, works []run.Work) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := l.Build(r.Peers, works); err != nil {
		return err
	}
	for _, w := range works {
		able := slices.DeleteFunc(slices.Clone(r.Peers), func(p run.Peer) bool { return !w.Can(p) })
		if len(able) < len(r.Peers) && len(able) == 1 {
			return fmt.Errorf("%s: none of %s can do it", w.Name, names(r.Peers[1:]))
		}
		fmt.Printf("\n%s: %s\n", w.Name, w.About)
		rows, err := l.Measure(ctx, w, able, r.Rounds, r.Each, os.Stderr)
		if err != nil {
			return err
		}
		if r.Short {
			fmt.Printf("work: %s\n", names(able))
			continue
		}
		run.Print(os.Stdout, rows)
		r.Results = append(r.Results, report.Result{Work: w, Rows: rows})
	}
	return nil
}

func names(peers []run.Peer) string {
	var names []string
	for _, p := range peers {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// choose returns those that names, with commas, name; all where it is empty.
func choose[T any](names string, all []T, name func(T) string) (chosen []T, err error) {
	if names == "" {
		return all, nil
	}
	wanted := strings.Split(names, ",")
	var known []string
	for _, x := range all {
		known = append(known, name(x))
		if slices.Contains(wanted, name(x)) {
			chosen = append(chosen, x)
		}
	}
	for _, n := range wanted {
		if !slices.Contains(known, n) {
			return nil, fmt.Errorf("no %q; there are %s", n, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}
