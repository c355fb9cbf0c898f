package cells

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/belongings"
	"github.com/andrestc/go-plugserver/internal/daemon/fleet"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
)

// in runs a test in a world.
func in(t *testing.T, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) { test(newWorld(t)) })
}

func (w *world) wasTold(want ...string) {
	w.t.Helper()
	w.do(func() {
		if got := fmt.Sprint(w.told); got != fmt.Sprint(want) {
			w.t.Errorf("told %v, want %v\n%s", got, want, w.log)
		}
		w.told = nil
	})
}

// A version is proved, gets its routes, and the cell of the one before ends once the
// gate leads there no more.
func TestReplace(t *testing.T) {
	in(t, func(w *world) {
		w.begin("a", "1")
		w.wasTold("a IsReady")
		first := w.running("a")[0]
		if got := w.gate().did(); !strings.HasSuffix(got, "[/a]") || first.did() != "[/a]" || !w.InForce() {
			t.Errorf("the gate was told %s, the cell %s", got, first.did())
		}
		if n := strings.Count(w.log.String(), "live: a"); n != 1 {
			t.Errorf("it is told %d times", n)
		}
		w.begin("a", "2")
		w.wasTold("a IsReady")
		if first.did() != "[/a], [/a], retire" || len(w.running("a")) != 1 {
			t.Errorf("the cell before was told %s, %d run", first.did(), len(w.running("a")))
		}
		var a api.Handler
		if Status(w.handlers["a"].Live, &a); a.Version != "222222222222" || a.Cell != "cell" || a.PID == 0 {
			t.Errorf("it is shown as %+v", a)
		}
		unneeded := map[string]bool{w.handlers["a"].Live.Version.Sum: true, "of nobody": true}
		if w.Needed(unneeded); len(unneeded) != 1 || !w.Left() || w.Left() {
			t.Errorf("unneeded are %v", unneeded)
		}
		w.running("a")[0].Kill()
		w.after(time.Second)
		w.wasTold("a Died")
	})
}

// What does not become ready has failed, each in its way, and what serves goes on.
func TestFailed(t *testing.T) {
	for way, want := range map[string]string{
		"hangs":                  "a Failed 0",
		"refuses":                "a Failed 0",
		"dies":                   fmt.Sprint("a Failed ", int(states.Soon)), // by SIGKILL
		"says nothing of itself": "a Failed 0",
		"has no cell":            fmt.Sprint("a Failed ", int(states.WithCells)),
		"cannot be started":      fmt.Sprint("a Failed ", int(states.WithSettings)),
	} {
		in(t, func(w *world) {
			w.begin("a", "1")
			w.wasTold("a IsReady")
			w.mu.Lock()
			w.ways["2"], w.failing = way, way == "cannot be started"
			w.mu.Unlock()
			w.begin("a", "2")
			w.after(11 * time.Second)
			if w.wasTold(want); len(w.running("a")) != 1 {
				t.Errorf("%s: %d run", way, len(w.running("a")))
			}
		})
	}
}

// What nobody wants any more says nothing.
func TestDrop(t *testing.T) {
	in(t, func(w *world) {
		w.mu.Lock()
		w.ways["1"] = "hangs"
		w.mu.Unlock()
		w.begin("a", "1")
		w.do(func() { w.Drop(w.handlers["a"].Next); w.Drop(w.handlers["a"].Next) })
		if w.after(time.Minute); len(w.running("a")) != 0 {
			t.Error("it still runs")
		}
		w.wasTold()
	})
}

// A cell that does not take its routes is killed, so that nobody waits for it for ever.
func TestMute(t *testing.T) {
	in(t, func(w *world) {
		w.begin("a", "1")
		w.wasTold("a IsReady")
		w.mu.Lock()
		w.ways["acks"] = "never"
		w.mu.Unlock()
		w.begin("b", "1")
		w.after(9 * time.Second)
		if w.wasTold("b IsReady"); w.InForce() || len(w.running("b")) != 1 {
			t.Error("it is killed too early")
		}
		w.after(5 * time.Second)
		w.wasTold("b Died")
	})
}

// A new gate gets the routes, and all cells are joined to it.
func TestNewGate(t *testing.T) {
	in(t, func(w *world) {
		w.begin("a", "1")
		w.gate().Kill()
		w.after(time.Second)
		if got := w.gate().did(); got != "[/a]" || !w.InForce() {
			t.Errorf("the gate was told %s", got)
		}
		w.wasTold("a IsReady")
	})
}

// The handlers of a group are gathered, alone again when their cell dies, and
// gathered again after a rest.
func TestGroup(t *testing.T) {
	in(t, func(w *world) {
		w.settings.Group = "g"
		w.begin("a", "1")
		w.begin("b", "2")
		w.do(w.Gather)
		w.wasTold("a IsReady", "b IsReady", "a Gathered", "b Gathered")
		if len(w.running("g")) != 1 || len(w.running("a"))+len(w.running("b")) != 0 {
			t.Fatalf("%d shared, %d alone", len(w.running("g")), len(w.running("a"))+len(w.running("b")))
		}
		w.running("g")[0].Kill()
		w.after(time.Second)
		w.wasTold("a Died", "b Died")
		w.begin("a", "1")
		w.begin("b", "2")
		w.do(w.Gather)
		w.wasTold("a IsReady", "b IsReady")
		if w.Apart("a") == "" || w.Apart("b") == "" {
			t.Error("nobody knows why they are apart")
		}
		w.after(time.Minute)
		w.do(w.Gather)
		w.wasTold("a Gathered", "b Gathered")
		delete(w.handlers, "b")
		w.do(func() { w.Alter(); w.Gather() })
		w.wasTold("a Renew")
	})
}

// A shared cell that all have left ends once the gate leads nobody's requests there: not
// with the first whose routes are elsewhere.
func TestLeftOneByOne(t *testing.T) {
	in(t, func(w *world) {
		w.settings.Group = "g"
		w.begin("a", "1")
		w.begin("b", "2")
		w.do(w.Gather)
		w.do(func() {
			a, b := placeOf(w.handlers["a"].Live), placeOf(w.handlers["b"].Live)
			delete(w.handlers, "a")
			delete(w.handlers, "b")
			w.news = []news{{old: a}, {old: b, version: w.table.Change()}}
			if w.retireOld(); a.in != b.in || a.in.state != serving {
				t.Errorf("the cell is in state %v while the gate leads to it", a.in.state)
			}
			w.news[1].version = 0
			if w.retireOld(); a.in.state != retiring {
				t.Errorf("the cell is in state %v, and nobody needs it", a.in.state)
			}
			w.news = nil
		})
	})
}

// A shared cell in which one has other patterns than alone is not used, nor tried again.
func TestNotShared(t *testing.T) {
	for _, way := range []string{"is another in company", "hangs"} {
		in(t, func(w *world) {
			w.settings.Group = "g"
			w.begin("a", "1")
			w.begin("b", "2")
			w.mu.Lock()
			w.ways["2"] = way
			w.mu.Unlock()
			w.do(w.Gather)
			w.after(time.Minute)
			w.do(func() { w.Alter(); w.Gather() })
			w.wasTold("a IsReady", "b IsReady")
			if len(w.running("g")) != 0 || len(w.running("a")) != 1 || len(w.running("b")) != 1 {
				t.Errorf("%s: %d shared, %d and %d alone", way, len(w.running("g")), len(w.running("a")), len(w.running("b")))
			}
			if n := strings.Count(w.log.String(), "cell not shared"); n != 1 {
				t.Errorf("%s: told %d times\n%s", way, n, w.log)
			}
		})
	}
}

// With other settings a handler needs a new cell, but not for what it may log.
func TestOutdated(t *testing.T) {
	in(t, func(w *world) {
		w.begin("a", "1")
		for _, tt := range []struct {
			name string
			s    Settings
			want bool
		}{
			{"the same", Settings{}, false},
			{"its log", Settings{Log: fleet.LogRate{Burst: 1}}, false},
			{"its limits", Settings{Limits: fleet.Limits{Memory: 1}}, true},
			{"a group", Settings{Group: "g"}, false}, // it is gathered
		} {
			w.do(func() {
				w.Configure(func(string) Settings { return tt.s })
				if got := w.Outdated(w.handlers["a"]); got != tt.want {
					t.Errorf("%s: %v", tt.name, got)
				}
			})
		}
	})
}

// For how long requests are held is told in a new table, and takes no new cell.
func TestHold(t *testing.T) {
	in(t, func(w *world) {
		w.begin("a", "1")
		for _, hold := range []time.Duration{time.Minute, time.Minute, 0} {
			w.do(func() {
				w.Configure(func(string) Settings { return Settings{Hold: hold} })
				w.SendTable(false)
				if w.Outdated(w.handlers["a"]) {
					t.Errorf("a hold of %v takes a new cell", hold)
				}
			})
		}
		if got := w.gate().did(); !strings.HasSuffix(got, "[/a], [/a held 1m0s], [/a]") {
			t.Errorf("the gate was told %s", got)
		}
		w.running("a")[0].Kill()
		w.after(time.Second)
		w.do(func() { w.Configure(func(string) Settings { return Settings{Hold: time.Hour} }) })
		if got := w.gate().did(); !strings.HasSuffix(got, "[/a held 1h0m0s]") {
			t.Errorf("of a handler whose cell is dead the gate was told %s", got)
		}
	})
}

// While more handlers are under way, tables are few where each takes long, and hold all that has come meanwhile; the
// last of them waits for nothing.
func TestFewTables(t *testing.T) {
	in(t, func(w *world) {
		w.begin("a", "1")
		w.more, w.takes = true, 10*time.Millisecond
		tables := func() string { return strings.ReplaceAll(w.gate().did(), "join, ", "") }
		w.begin("b", "2") // the first one took no time
		w.after(w.takes)
		told := tables()
		if !strings.HasSuffix(told, "[/a /b]") && !strings.HasSuffix(told, "[/b]") {
			t.Fatalf("the gate was told %s", told)
		}
		w.begin("c", "3")
		w.begin("d", "4")
		w.after((restful - 1) * w.takes)
		if got := tables(); got != told {
			t.Errorf("at once the gate was told %s", strings.TrimPrefix(got, told))
		}
		w.after(3 * w.takes)
		if got := strings.TrimPrefix(tables(), told); strings.Count(got, "[") != 1 || !strings.Contains(got, "/c") || !strings.Contains(got, "/d") {
			t.Errorf("later the gate was told %s", got)
		}
		told = tables()
		w.more = false
		w.begin("e", "5")
		w.after(w.takes)
		if got := strings.TrimPrefix(tables(), told); !strings.Contains(got, "/e") {
			t.Errorf("of the last the gate was told %q", got)
		}
	})
}

// Nor do they wait for long after one that took long, as where somebody had stopped the daemon meanwhile.
func TestShortRest(t *testing.T) {
	in(t, func(w *world) {
		w.begin("a", "1")
		w.more, w.takes = true, 5*time.Second
		w.begin("b", "2")
		w.after(w.takes)
		w.takes = 0
		told := w.gate().did()
		w.begin("c", "3")
		w.after(longestRest)
		if got := strings.TrimPrefix(w.gate().did(), told); !strings.Contains(got, "/c") {
			t.Errorf("after %v the gate was told %q", longestRest, got)
		}
	})
}

// Who has something of their own stays alone.
func TestBelongingsAreNotShared(t *testing.T) {
	in(t, func(w *world) {
		w.Configure(func(handler string) Settings {
			return Settings{Group: "g", Belongings: belongings.Belongings{Dir: "/" + handler}}
		})
		w.begin("a", "1")
		w.begin("b", "2")
		w.do(w.Gather)
		w.wasTold("a IsReady", "b IsReady")
		if why := w.Apart("b"); !strings.Contains(why, "WorkingDirectory= is another") {
			t.Errorf("b is apart since %q", why)
		}
	})
}

// When the service ends, connections get their last answers first, then the gate ends,
// and then the cells.
func TestStop(t *testing.T) {
	in(t, func(w *world) {
		w.begin("a", "1")
		cell, gate, stopped := w.running("a")[0], w.gate(), false
		w.do(w.Stop)
		w.do(func() { stopped = w.Stopped() })
		w.do(func() { stopped = w.Stopped() })
		if got := cell.did(); !strings.HasSuffix(got, "part, quit") {
			t.Errorf("the cell was told %s", got)
		}
		if got := gate.did(); !strings.HasSuffix(got, "part, quit") {
			t.Errorf("the gate was told %s", got)
		}
		if w.do(func() { stopped = w.Stopped() }); !stopped {
			t.Error("it has not ended")
		}
	})
}
