package supervisor

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/roster"
	"github.com/andrestc/go-plugserver/internal/daemon/standing"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/sirupsen/logrus"
)

// What is refused for its name, or for whose it is, is told once, however often
// it is looked at while it is being written; another file is told again.
func TestRefusedIsToldOnce(t *testing.T) {
	state := func(ino uint64, size int64) handlerdir.ID { return handlerdir.ID{Ino: ino, Size: size} }
	name, mode := badfile.BadName("a b.so"), badfile.WritableByOthers("/h/a b.so")
	type look struct {
		id      handlerdir.ID
		refused *refusal.Error
	}
	for _, tt := range []struct {
		name  string
		looks []look
		told  int
	}{
		{"being written", []look{{state(1, 0), name}, {state(1, 10), name}, {state(1, 20), name}}, 1},
		{"looked at again", []look{{state(1, 0), name}, {state(1, 0), name}}, 1},
		{"another file", []look{{state(1, 10), name}, {state(2, 10), name}}, 2},
		{"for something else", []look{{state(1, 10), mode}, {state(1, 20), name}}, 2},
	} {
		var out strings.Builder
		log := logrus.New()
		log.SetOutput(&out)
		s := &Supervisor{log: log, roster: roster.New(store.History{}, roster.Rules{})}
		s.view = &standing.View{Roster: s.roster}
		for _, l := range tt.looks {
			s.roster.Snapshot = &handlerdir.Snapshot{Files: []handlerdir.File{{Name: "a b", Path: "/h/a b.so", ID: l.id, Refusal: l.refused}}}
			s.reconcile()
			if h := s.roster.Handlers["a b"]; h == nil || h.Tried != l.id || h.Refusal == nil || h.Refusal.Reason != l.refused.Reason {
				t.Errorf("%s: %+v", tt.name, h)
			}
		}
		if told := strings.Count(out.String(), "event=refused"); told != tt.told {
			t.Errorf("%s: told %d times, want %d\n%s", tt.name, told, tt.told, out.String())
		}
	}
}

// Once it is known that nothing is to be served where something was before, its requests do not wait any more.
func TestNothingIsHeldForWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := sumOf("lost")
		past := store.History{"a": {Seq: 1, Patterns: []string{"/a"}, Serves: lost, Versions: []store.Served{{Sum: lost}}}}
		w := newWorld(t, Config{}, past, func(d intake.Disk) intake.Disk {
			d.Copy = func(handlerdir.File, func(*os.File, *elfplug.Info)) (intake.Copied, error) {
				time.Sleep(2 * acceptWait)
				return intake.Copied{}, &refusal.Error{Reason: "no"}
			}
			return d
		})
		w.put("a", "/a")
		w.after(acceptWait + time.Second)
		if _, held := w.table()["/a"]; !held {
			t.Error("its requests do not wait")
		}
		w.after(acceptWait)
		w.is("a", api.StateRefused, "")
		if to, held := w.table()["/a"]; held {
			t.Errorf("its requests wait for %d", to)
		}
	})
}
