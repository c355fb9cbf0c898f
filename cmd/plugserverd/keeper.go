package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/apart"
	"github.com/andrestc/go-plugserver/internal/between/cgroup"
	"github.com/andrestc/go-plugserver/internal/daemon/sd"
)

// runKeeper is the role of who has a cell in a unit of its own: systemd starts it, with the supervisor's connection as
// its standard input. Lent is where the unit shows what cells are lent, memory a folder that is in memory alone.
func runKeeper(lent, memory string) error {
	notify := sd.NewNotifier()
	notify.Ready("waits for what to run")
	if pause := notify.Interval(); pause > 0 {
		go func() {
			for range time.Tick(pause) {
				notify.Watchdog()
			}
		}()
	}
	keep := filepath.Join(memory, "plugserver-cell-"+rand.Text())
	defer os.Remove(keep)
	return apart.Keeper{
		Lent: lent, Temp: os.TempDir(), Keep: keep, Groups: cgroup.Own(), Tell: func(doing string) { notify.Status(doing) },
	}.Run(os.Stdin)
}
