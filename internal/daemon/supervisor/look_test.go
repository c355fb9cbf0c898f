package supervisor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
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

// Where the directory cannot be read it is told what is served meanwhile: it may be mistyped.
func TestToldWhatIsServedMeanwhile(t *testing.T) {
	ran := sumOf("ran")
	for _, tt := range []struct {
		name string
		past store.History
		seen bool // it could be read at first
		want string
	}{
		{"never, after a start with a past", store.History{"a": {Seq: 1, Patterns: []string{"/a"}, Serves: ran, Versions: []store.Served{{Sum: ran}}}}, false, "what served before this start is served, out of --state"},
		{"never, with none", store.History{}, false, "nothing is served"},
		{"no longer", store.History{}, true, "what is live stays live"},
	} {
		synctest.Test(t, func(t *testing.T) {
			fails := !tt.seen
			w := newWorld(t, Config{}, tt.past, func(d intake.Disk) intake.Disk {
				scan := d.Scan
				d.Scan = func(prev *handlerdir.Snapshot, changed []string, sure bool) (*handlerdir.Snapshot, error) {
					if fails {
						return nil, errors.New("no such directory; make it")
					}
					return scan(prev, changed, sure)
				}
				return d
			})
			w.settle()
			fails = true
			w.nudge()
			w.settle()
			if got, want := w.view.Problem(), "no such directory; make it; meanwhile "+tt.want; got != want {
				t.Errorf("%s: the problem is %q, want %q", tt.name, got, want)
			}
		})
	}
}
