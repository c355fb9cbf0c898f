// Live measures what changing handlers costs (package live).
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/bench/live"
	"github.com/andrestc/go-plugserver/bench/report"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "live:", err)
		os.Exit(1)
	}
}

func run() error {
	bin := flag.String("bin", "../bin", "`folder` of a build of plugserver")
	base := flag.String("base", "", "`folder` of another build, to compare with")
	handlers := flag.String("handlers", "1,100,1000", "`numbers` of handlers, with commas; each takes 16 MB of disk")
	changes := flag.Int("changes", 30, "`number` of changes of each kind")
	port := flag.Int("port", 18700, "first `port` to listen on")
	dir := flag.String("dir", "", "`folder` for handlers and state (default a temporary one)")
	docs := flag.String("docs", "", "`file` to write what was measured to (default none)")
	note := flag.String("note", "", "`text` about it, in that file")
	flag.Parse()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	top, err := os.MkdirTemp(*dir, "live-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(top)
	if err := os.Chmod(top, 0o755); err != nil {
		return err
	}
	page := new(live.Page)
	s := live.Spec{Page: page, Dir: top, Port: *port, Changes: *changes, Out: os.Stdout, Toy: filepath.Join(filepath.Dir(self), "toy")}
	for _, b := range []live.Build{{Name: "base", Bin: *base}, {Name: "plugserver", Bin: *bin}} {
		if b.Bin != "" {
			if b.Bin, err = filepath.Abs(b.Bin); err != nil {
				return err
			}
			s.Builds = append(s.Builds, b)
		}
	}
	twins, err := live.BuildTwins(filepath.Join(top, "src"))
	if err != nil {
		return err
	}
	least, err := live.BuildLeast(filepath.Join(top, "least"))
	if err != nil {
		return err
	}
	fmt.Printf("plugins of %.1f MB\n", float64(twins.Size())/1e6)
	if err := live.Touch(); err != nil {
		return err
	}
	for _, n := range strings.Split(*handlers, ",") {
		if s.Handlers, err = strconv.Atoi(n); err != nil {
			return err
		}
		if err := live.Run(s, twins, least); err != nil {
			return err
		}
	}
	if *docs == "" {
		return nil
	}
	what := fmt.Sprintf("Measured on %s, plugserver at %s, %d changes of each kind.", time.Now().Format("2 January 2006"), report.Commit("."), s.Changes)
	if *note != "" {
		what = "**" + *note + "**\n\n" + what
	}
	return page.Write(*docs, what, report.Machine("."), twins.Size())
}
