package supervisor

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/routes"
	"github.com/andrestc/go-plugserver/internal/daemon/cells"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
)

// A version that dies is started again at once, then after pauses that double, up to
// a bound; and at once again when it has lived for a while.
func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{}, nil, nil)
		w.put("a", "/a;1")
		w.after(time.Second)
		for i, pause := range []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond,
			1600 * time.Millisecond, 3200 * time.Millisecond, 6400 * time.Millisecond, 10 * time.Second, 10 * time.Second} {
			w.one("a").exit("exit status 2")
			if pause > 0 {
				w.after(pause - time.Millisecond)
				if n := len(w.running("a")); n != 0 {
					t.Errorf("death %d: it runs again before %v", i, pause)
				}
			}
			w.after(time.Millisecond)
			w.is("a", api.StateLive, "/a;1")
		}
		w.after(2 * time.Minute)
		w.one("a").exit("exit status 2")
		w.settle()
		w.is("a", api.StateLive, "/a;1")
		if h, _ := w.status("a"); h.Restarts != 11 {
			t.Errorf("%d restarts", h.Restarts)
		}
	})
}

// Three crashes within a minute are too many: the version before takes over, and
// where there is none, nobody does.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{CrashLimit: 3, CrashWindow: time.Minute}, nil, nil)
		crash := func() {
			w.one("a").exit("exit status 2")
			w.after(time.Second)
		}
		w.put("a", "/a;1")
		w.after(time.Second)
		w.put("a", "/a;2")
		w.after(time.Second)
		for range 4 { // not so many within a minute
			crash()
			w.after(31 * time.Second)
		}
		w.is("a", api.StateLive, "/a;2")
		w.after(2 * time.Minute)
		crash()
		crash()
		w.is("a", api.StateLive, "/a;2")
		crash()
		w.is("a", api.StateRolledBack, "/a;1")
		crash()
		crash()
		crash()
		w.is("a", api.StateQuarantined, "/a;1")
		w.after(time.Hour)
		if w.is("a", api.StateQuarantined, "/a;1"); len(w.running("a")) != 0 || w.told("event=quarantined") != 1 {
			t.Error("it is started again")
		}
		if _, err := w.Release(context.Background(), "a"); err != nil {
			t.Error(err)
		}
		w.is("a", api.StateLive, "/a;2")
	})
}

// A handler that does not become ready in its time is refused, and what served goes
// on; what dies while it starts is refused at once.
func TestDoesNotStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{StartTimeout: 10 * time.Second}, nil, nil)
		w.put("a", "/a;1")
		w.after(time.Second)
		w.put("a", "/a;hangs")
		w.after(9 * time.Second)
		if len(w.running("a")) != 2 {
			t.Error("the next is not being tried")
		}
		w.after(2 * time.Second)
		w.is("a", api.StateLive, "/a;1")
		if h, _ := w.status("a"); h.Refusal == nil || !h.Earlier {
			t.Errorf("it is not refused: %+v", h)
		}
		for _, how := range []string{"dies", "refuses it"} {
			w.put("a", "/a;"+how)
			w.after(time.Second)
			if h, _ := w.status("a"); h.Refusal == nil || len(w.running("a")) != 1 {
				t.Errorf("%s: %+v", how, h)
			}
		}
	})
}

// A removed handler serves until all who may want its pattern were tried, and no
// longer than a start may take.
func TestHeirs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{StartTimeout: 10 * time.Second}, nil, nil)
		w.put("a", "/v;1")
		w.after(time.Second)
		w.put("b", "/v;hangs")
		w.settle()
		w.remove("a")
		w.after(9 * time.Second)
		w.is("a", api.StateLive, "/v;1")
		w.after(2 * time.Second)
		if _, there := w.status("a"); there {
			t.Error("it is held up for ever")
		}
		w.put("a", "/v;1")
		w.after(time.Second)
		w.put("c", "/v;2")
		w.after(time.Second)
		w.is("c", api.StateRefused, "")
		w.remove("a")
		w.after(time.Second)
		w.is("c", api.StateLive, "/v;2")
	})
}

// Handlers that share a cell are alone for a while after it died, longer each time,
// and then gathered again.
func TestRestOfGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Settings: func(string) Settings { return Settings{Group: "g"} }}, nil, nil)
		w.put("a", "/a;1")
		w.put("b", "/b;1")
		w.after(time.Second)
		for i, rest := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
			w.one("g").exit("exit status 2")
			w.after(rest - time.Second)
			if len(w.running("g")) != 0 || len(w.running("a")) != 1 || len(w.running("b")) != 1 {
				t.Errorf("death %d: %d shared, %d and %d alone", i, len(w.running("g")), len(w.running("a")), len(w.running("b")))
			}
			w.is("a", api.StateLive, "/a;1")
			w.after(2 * time.Second)
			if len(w.running("g")) != 1 || len(w.running("a")) != 0 || len(w.running("b")) != 0 {
				t.Errorf("after death %d: %d shared, %d and %d alone", i, len(w.running("g")), len(w.running("a")), len(w.running("b")))
			}
		}
		w.put("b", "/b;2")
		w.after(time.Second)
		w.is("b", api.StateLive, "/b;2")
		if g := w.one("g"); len(w.running("b")) != 0 || g == nil {
			t.Error("the new version is not gathered")
		}
		w.remove("b")
		w.after(time.Second)
		if len(w.running("g")) != 0 || len(w.running("a")) != 1 {
			t.Error("the last one is not alone")
		}
	})
}

// No more than so many cells start at a time.
func TestStartSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{StartTimeout: 10 * time.Second}, nil, nil)
		for i := range 30 {
			w.put(fmt.Sprintf("h%02d", i), fmt.Sprintf("/%d;hangs", i))
		}
		for i := range 4 {
			w.after(time.Second)
			n := 0
			for i := range 30 {
				n += len(w.running(fmt.Sprintf("h%02d", i)))
			}
			if want := min(8, 30-8*i); n != want {
				t.Errorf("round %d: %d start at a time, want %d", i, n, want)
			}
			w.after(9 * time.Second)
		}
	})
}

// Whatever happens, in whatever order: a pattern has one owner, what is live serves,
// and nothing is deleted that a handler may need.
func TestRandomDays(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) { randomDay(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func randomDay(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 3))
	groups := map[string]string{"c": "g", "d": "g"}
	w := newWorld(t, Config{
		CrashLimit: 3, CrashWindow: time.Minute, StartTimeout: 5 * time.Second,
		Settings: func(name string) Settings { return Settings{Group: groups[name]} },
	}, nil, slowly(time.Duration(r.IntN(3))*100*time.Millisecond))
	w.mu.Lock()
	w.gateTakes = time.Duration(seed%3) * 300 * time.Millisecond
	w.mu.Unlock()
	names, canaries := []string{"a", "b", "c", "d", "e"}, []string{"a.canary", "c.canary"}
	patterns := []string{"/x", "/y", "/y/{id}", "/z", "/x /y", "GET /z"}
	hows := []string{"", "", "", "", "hangs", "dies", "refuses"}
	for i := range 60 {
		name := names[r.IntN(len(names))]
		if r.IntN(4) == 0 {
			name = canaries[r.IntN(len(canaries))]
		}
		switch r.IntN(11) {
		case 0, 1, 2, 3:
			w.put(name, fmt.Sprintf("%s;%s%d", patterns[r.IntN(len(patterns))], hows[r.IntN(len(hows))], r.IntN(4)))
		case 4:
			w.remove(name)
		case 5, 6:
			if all := w.running([]string{name, "g"}[r.IntN(2)]); len(all) > 0 {
				all[r.IntN(len(all))].exit("exit status 2")
			}
		case 7:
			if g := w.running("gate"); len(g) > 0 && r.IntN(3) == 0 {
				g[0].exit("signal: killed")
			}
		case 8:
			go w.Rollback(t.Context(), name, "")
		case 9:
			go w.Release(t.Context(), name)
		case 10:
			go w.Canary(t.Context(), canary.Of(canaries[r.IntN(2)]), []string{canary.Promote, canary.Withdraw}[r.IntN(2)], "")
		}
		w.after(time.Duration(r.IntN(2000)) * time.Millisecond)
		if i%4 == 0 {
			w.check()
		}
	}
	// In the end all is well, for whoever is.
	for i, name := range names {
		w.put(name, fmt.Sprintf("/%d;end%d", i, seed))
	}
	for i, name := range canaries {
		w.put(name, fmt.Sprintf("/%d;canary%d", 2*i, seed))
	}
	w.after(10 * time.Minute)
	for i, name := range canaries {
		w.is(name, api.StateCanary, fmt.Sprintf("/%d;canary%d", 2*i, seed))
		w.leads(fmt.Sprintf("/%d", 2*i), name, 500)
	}
	for i, name := range names {
		w.is(name, api.StateLive, fmt.Sprintf("/%d;end%d", i, seed))
	}
	if table := w.table(); len(table) != len(names) {
		t.Errorf("the gate has the routes %v", table)
	}
}

// check checks what holds at any time.
func (w *world) check() {
	w.t.Helper()
	checked := make(chan struct{})
	err := w.ask(context.Background(), func() {
		defer close(checked)
		owners := make(map[string]string)
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, h := range w.roster.Handlers {
			if h.Live == nil {
				continue
			}
			if _, there := w.stored[h.Live.Version.Sum]; !there {
				w.t.Errorf("the version of %s that serves is deleted", h.Name)
			}
			if h.Of != "" {
				if of := w.roster.Handlers[h.Of]; of == nil || of.Live == nil {
					w.t.Errorf("%s stands beside nobody", h.Name)
				}
				continue
			}
			for _, p := range h.Live.Patterns {
				if other := owners[p]; other != "" {
					w.t.Errorf("%s is of %s and of %s", p, other, h.Name)
				}
				owners[p] = h.Name
			}
			var a api.Handler
			if cells.Status(h.Live, &a); h.Standing == states.Serving && a.PID == 0 {
				w.t.Errorf("%s serves without a process", h.Name)
			}
		}
		all := slices.Collect(maps.Keys(owners))
		for i, p := range all {
			if mine, theirs, ok := routes.NewIndex(routes.Std, []string{p}, func(p string) string { return p }).Conflicting(slices.Delete(slices.Clone(all), i, i+1)...); ok {
				w.t.Errorf("%s of %s conflicts with %s of %s", mine, owners[mine], theirs, owners[theirs])
			}
		}
		seniors := make(map[int64]string)
		for name, r := range w.roster.History {
			if other := seniors[r.Seq]; other != "" && r.Seq > 0 {
				w.t.Errorf("%s and %s are of the same seniority", name, other)
			}
			seniors[r.Seq] = name
			for _, v := range r.Versions {
				if _, there := w.stored[v.Sum]; !there {
					w.t.Errorf("a version that the history of %s names is deleted", name)
				}
			}
		}
	})
	if err != nil {
		w.t.Error(err)
		return
	}
	<-checked
}
