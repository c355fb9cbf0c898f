// Package live measures what changing handlers costs: until they are live, on the
// processor and in memory, alone and among others.
package live

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/andrestc/go-plugserver/bench/stats"
	"github.com/andrestc/go-plugserver/bench/tree"
)

// Build is a build of plugserver.
type Build struct{ Name, Bin string }

// Spec is what is to be measured.
type Spec struct {
	Builds   []Build
	Dir      string // for handlers and state; on the file system that is meant
	Port     int    // the first
	Handlers int    // that there are
	Changes  int    // of each kind
	Out      io.Writer
	Page     *Page  // what is measured is added to it
	Toy      string // the program of cmd/toy
}

// figures are those of one build, by name.
type figures map[string][]float64

// rows are the names, in their order, with the part of a second that they are in.
var rows = []string{
	"all live, first start, s", "all live, restart, s", "supervisor RSS, MiB", "gate RSS, MiB", "cell PSS, MiB", "spare cell PSS, MiB",
	"new, just written, ms", "replaced, just written, ms", "replaced, at rest, ms", "rolled back, ms", "supervisor CPU, ms/change",
	"10 replaced/s: requests/s, ×", "10 replaced/s: p99, ×",
	"the least: all live, first start, s", "the least: all live, restart, s", "the least: 10 replaced/s: requests/s, ×", "the least: 10 replaced/s: p99, ×",
	"supervisor's descriptors", "gate's descriptors", "cell's descriptors", "cell's threads",
}

// Where in rows are the figures under load, requests and then p99, those of the least, first start and then restart, and what processes have.
const movingRow, leastStartRow, leastMovingRow, restRow = 11, 13, 15, 17

// copies is of how many handlers a disk has room for copies beside them: of more neither the least nor peers are measured.
const copies = 1000

// Run measures, and prints. Few handlers are measured at the same time with all
// builds, change by change; many by one build after the other.
func Run(s Spec, twins *Twins, least *Least) error {
	all := make([]figures, len(s.Builds))
	var daemons []*Daemon
	defer func() {
		for _, d := range daemons {
			d.Kill()
		}
	}()
	changes := func(at int) error {
		for n := range s.Changes {
			for i := at; i < len(daemons); i++ {
				if err := change(daemons[i], twins, n, all[i]); err != nil {
					return fmt.Errorf("%s: %w", s.Builds[i].Name, err)
				}
			}
		}
		for i := at; i < len(daemons); i++ {
			if err := underLoad(daemons[i], twins, least, all[i]); err != nil {
				return fmt.Errorf("%s: %w", s.Builds[i].Name, err)
			}
		}
		return nil
	}
	const many = 300
	for i, b := range s.Builds {
		all[i] = make(figures)
		d, err := NewDaemon(filepath.Join(s.Dir, b.Name), b.Bin, s.Port+i)
		if err != nil {
			return err
		}
		daemons = append(daemons, d)
		if err := begin(d, twins, least, s.Handlers, all[i]); err != nil {
			return fmt.Errorf("%s: %w", b.Name, err)
		}
		if s.Handlers <= many {
			continue
		}
		if err := changes(i); err != nil {
			return err
		}
		if err := end(d); err != nil {
			return err
		}
	}
	if s.Handlers <= many {
		if err := changes(0); err != nil {
			return err
		}
		for _, d := range daemons {
			if err := end(d); err != nil {
				return err
			}
		}
	}
	print(s, all)
	s.Page.table(s, all)
	if s.Handlers > 1 && s.Handlers <= many { // a change loads all of them again
		if err := RunShared(s, twins); err != nil {
			return fmt.Errorf("in one cell: %w", err)
		}
	}
	if s.Handlers > copies {
		return nil
	}
	return RunPeers(s, twins)
}

func end(d *Daemon) error {
	if err := d.Stop(); err != nil {
		return err
	}
	return os.RemoveAll(d.dir)
}

func nameOf(n int) string { return fmt.Sprintf("h%04d", n) }

// begin starts a daemon on its handlers twice.
func begin(d *Daemon, twins *Twins, least *Least, handlers int, f figures) error {
	old := time.Now().Add(-time.Hour) // they are at rest
	for n := range handlers {
		path := d.Path(nameOf(n))
		if err := errors.Join(twins.Write(path, twins.Make(n, nameOf(n), "v0")), os.Chtimes(path, old, old)); err != nil {
			return err
		}
	}
	flush()
	if handlers <= copies {
		if err := least.starts(d, handlers, f); err != nil {
			return err
		}
	}
	took, err := d.Start()
	if err != nil {
		return err
	}
	f.add(rows[0], took.Seconds())
	if err := d.Stop(); err != nil {
		return err
	}
	flush()
	if took, err = d.Start(); err != nil {
		return err
	}
	f.add(rows[1], took.Seconds())
	for n := range handlers { // so that each has served a request
		if _, err := d.until("/"+nameOf(n), 200, "v0", time.Now()); err != nil {
			return err
		}
	}
	time.Sleep(12 * time.Second) // until they rest
	r := d.rest()
	f.add(rows[2], r.supervisor)
	f.add(rows[3], r.gate)
	f[rows[4]], f[rows[5]] = r.cells, r.spares
	for i, v := range [][]float64{r.supervisorFDs, r.gateFDs, r.cellFDs, r.cellThreads} {
		f[rows[restRow+i]] = v
	}
	return nil
}

func (f figures) add(row string, v float64) { f[row] = append(f[row], v) }

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// at is the number of the twin that is changed, beyond all others.
const at = 8000

// change makes one change of each kind.
func change(d *Daemon, twins *Twins, n int, f figures) error {
	versions := [...]string{fmt.Sprintf("a%d", n), fmt.Sprintf("b%d", n), fmt.Sprintf("c%d", n)}
	known := ""
	for i, v := range versions {
		content := twins.Make(at, "change", v)
		before, err := tree.CPU([]int{d.cmd.Process.Pid})
		if err != nil {
			return err
		}
		took, err := d.drop("change", v, content, i == 2)
		if err != nil {
			return err
		}
		f.add(rows[6+i], milliseconds(took))
		time.Sleep(150 * time.Millisecond) // what follows from a change is a part of it
		after, err := tree.CPU([]int{d.cmd.Process.Pid})
		if err != nil {
			return err
		}
		if i > 0 {
			f.add(rows[10], milliseconds(after-before))
		}
		if i == 1 {
			known = fmt.Sprintf("%.6x", sha256.Sum256(content)) // to ask the daemon would have every cell answer, beside the next change
		}
	}
	began := time.Now()
	back := make(chan error, 1)
	go func() { back <- d.rollback("change", known) }()
	took, err := d.until("/change", 200, versions[1], began)
	if err != nil {
		return err
	}
	f.add(rows[9], milliseconds(took))
	if err := <-back; err != nil {
		return err
	}
	if err := os.Remove(d.Path("change")); err != nil {
		return err
	}
	_, err = d.until("/change", 404, "", time.Now())
	return err
}

// drop writes a file, and renames it to the handler's.
func (d *Daemon) drop(name, version string, content []byte, atRest bool) (time.Duration, error) {
	temp := filepath.Join(d.dir, "handlers", ".new")
	if err := os.WriteFile(temp, content, 0o644); err != nil {
		return 0, err
	}
	if old := time.Now().Add(-time.Hour); atRest {
		if err := os.Chtimes(temp, old, old); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	if err := os.Rename(temp, d.Path(name)); err != nil {
		return 0, err
	}
	return d.until("/"+name, 200, version, began)
}

func print(s Spec, all []figures) {
	fmt.Fprintf(s.Out, "\n%d handlers, %d changes of each kind: median (least–greatest), 99th of a hundred\n", s.Handlers, s.Changes)
	for _, row := range rows {
		fmt.Fprintf(s.Out, "  %-40s", row)
		for i, b := range s.Builds {
			v := all[i][row]
			if len(v) == 0 {
				continue
			}
			fmt.Fprintf(s.Out, "  %s: %s", b.Name, figure(v))
			if base := all[0][row]; i > 0 && len(base) > 0 {
				fmt.Fprintf(s.Out, " = %.2f×", stats.Of(v).Median/stats.Of(base).Median)
			}
		}
		fmt.Fprintln(s.Out)
	}
}
