// Bench measures plugserver beside its peers.
package main

import (
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
	rounds := flag.Int("rounds", 7, "`number` of rounds")
	each := flag.Duration("time", time.Second, "how long each peer is measured in each round")
	port := flag.Int("port", 18600, "first `port` to listen on")
	flag.Parse()
	if *rounds < 1 || *each <= 0 || flag.NArg() > 0 {
		return fmt.Errorf("want a number of rounds and a time above 0, and nothing else but flags")
	}
	top, err := filepath.Abs(*root)
	if err != nil {
		return err
	}
	l := &run.Lab{Root: top, Bin: filepath.Join(top, "bin", "bench"), Port: *port}
	if *base != "" {
		if l.Base, err = filepath.Abs(*base); err != nil {
			return err
		}
		if err := run.Check(l.Base); err != nil {
			return fmt.Errorf("no build of plugserver: %w", err)
		}
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
	if err := l.Build(peers, works); err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	for _, w := range works {
		fmt.Printf("\n%s: %s\n", w.Name, w.About)
		rows, err := l.Measure(ctx, w, peers, *rounds, *each, os.Stderr)
		if err != nil {
			return err
		}
		run.Print(os.Stdout, rows)
	}
	return nil
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
