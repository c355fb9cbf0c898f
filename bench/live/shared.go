package live

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/bench/stats"
	"github.com/andrestc/go-plugserver/bench/tree"
)

// RunShared measures what handlers cost that share one process (Cell=), by the last build, and prints.
func RunShared(s Spec, twins *Twins) error {
	d, err := NewDaemon(filepath.Join(s.Dir, "shared"), s.Builds[len(s.Builds)-1].Bin, s.Port+9)
	if err != nil {
		return err
	}
	defer os.RemoveAll(d.dir)
	defer d.Kill()
	var conf strings.Builder
	for n := range s.Handlers {
		fmt.Fprintf(&conf, "[Handler %s]\nCell=all\n", nameOf(n))
		err = errors.Join(err, os.WriteFile(d.Path(nameOf(n)), twins.Make(n, nameOf(n), "v0"), 0o644))
	}
	err = errors.Join(err, os.WriteFile(filepath.Join(d.dir, "conf"), []byte(conf.String()), 0o644))
	if err != nil {
		return err
	}
	if _, err := d.Start(); err != nil {
		return err
	}
	d.conn.Close() // it may have rested for too long once they are
	if err := errors.Join(d.gathered(), d.connect()); err != nil {
		return err
	}
	for n := range s.Handlers { // so that each has served a request
		if _, err := d.until("/"+nameOf(n), 200, "v0", time.Now()); err != nil {
			return err
		}
	}
	time.Sleep(12 * time.Second) // until they rest
	cells := d.rest().cells
	var took, cpu []float64
	for n := range min(s.Changes, 10) {
		before, _ := tree.CPU(tree.Of(d.cmd.Process.Pid))
		t, err := d.drop(nameOf(0), fmt.Sprint("v", n+1), twins.Make(0, nameOf(0), fmt.Sprint("v", n+1)), false)
		if err != nil {
			return err
		}
		if err := d.gathered(); err != nil {
			return err
		}
		after, err := tree.CPU(tree.Of(d.cmd.Process.Pid))
		if err != nil {
			return err
		}
		took, cpu = append(took, milliseconds(t)), append(cpu, milliseconds(after-before))
	}
	each := cells[0] / float64(s.Handlers)
	fmt.Fprintf(s.Out, "  %-40s  %.2f MiB a handler, replaced %s ms, CPU of all processes %v ms/change\n", "all in one cell", each, figure(took), stats.Of(cpu))
	s.Page.shared(each, took, cpu)
	return d.Stop()
}

// gathered returns once one cell runs all handlers.
func (d *Daemon) gathered() error {
	for began := time.Now(); time.Since(began) < patience; time.Sleep(20 * time.Millisecond) {
		if len(d.rest().cells) == 1 {
			return nil
		}
	}
	return errors.New("the handlers are not in one cell")
}
