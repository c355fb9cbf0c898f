package supervisor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

// A nudge has those files looked at to which something has happened, as far as that is known.
// The first look is at all, and so is what an operator asks for, and what follows one that
// was in vain.
func TestLooksAtWhatHasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks []string // of the only one who looks at a time
		fails := false
		w := newWorld(t, Config{}, nil, func(d intake.Disk) intake.Disk {
			scan := d.Scan
			d.Scan = func(prev *handlerdir.Snapshot, changed []string, sure bool) (*handlerdir.Snapshot, error) {
				what := "all"
				if sure {
					what = "[" + strings.Join(changed, " ") + "]"
				}
				if looks = append(looks, what); fails {
					return nil, errors.New("no")
				}
				return scan(prev, changed, sure)
			}
			return d
		})
		happens := func(sure bool, names ...string) {
			w.mu.Lock()
			w.sure, w.changed = sure, names
			w.mu.Unlock()
			w.nudge()
			w.settle()
		}
		w.settle()
		happens(true, "a.so", "b.so")
		happens(false, "a.so")
		fails = true
		happens(true, "b.so")
		fails = false
		happens(true, "c.so")
		happens(true)
		w.Reload(context.Background())
		happens(true)
		if got, want := strings.Join(looks, " "), "all [a.so b.so] all [b.so] all [] all []"; got != want {
			t.Errorf("looks at %s, want %s", got, want)
		}
	})
}
