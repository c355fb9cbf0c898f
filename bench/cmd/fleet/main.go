// Fleet plays a thousand boxes that follow a tag of one registry (package fleet).
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/andrestc/go-plugserver/bench/fleet"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

func run() error {
	var s fleet.Spec
	var scales fleet.Scales
	flag.IntVar(&s.Boxes, "boxes", 1000, "`number` of boxes")
	flag.IntVar(&s.Handlers, "handlers", 10, "`number` of handlers under the tag")
	flag.Int64Var(&s.Size, "size", 64<<10, "`bytes` of each one's file")
	flag.DurationVar(&s.Interval, "interval", 5*time.Minute, "`time` between two looks of a box")
	flag.IntVar(&scales.Steady, "scale", 60, "`times` that time goes faster where nothing changes")
	flag.IntVar(&scales.Busy, "busy-scale", 5, "`times` that it does where all boxes ask for something")
	dir := flag.String("dir", "/dev/shm", "`folder` for the boxes' files and the registry's, best in memory")
	flag.Parse()
	top, err := os.MkdirTemp(*dir, "fleet-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(top)
	s.Dir = top
	rows, err := fleet.Play(s, scales)
	fmt.Printf("%d boxes, %d handlers of %d bytes, Interval=%v\n\n%s", s.Boxes, s.Handlers, s.Size, s.Interval, fleet.Head)
	for _, r := range rows {
		fmt.Print(r)
	}
	for _, r := range rows {
		if r.Problem != "" || r.Behind > 0 {
			fmt.Printf("\n%s: %d boxes are behind at its end; the last that failed: %s\n", r.Scene, r.Behind, r.Problem)
		}
	}
	return err
}
