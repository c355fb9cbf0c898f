package gate

import (
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/serve/handover"
)

// A request is held from its arrival until its handler runs again, and no longer than
// the hold, however many tables come meanwhile.
func TestHoldTime(t *testing.T) {
	const hold = 2 * time.Second
	for _, tt := range []struct {
		name   string
		tables []link.Route // one a second
		after  time.Duration
		served bool
		own    time.Duration // the route's hold
	}{
		{"nothing happens", nil, hold, false, 0},
		{"still starting at every look", []link.Route{{Pattern: "/x"}, {Pattern: "/x"}, {Pattern: "/x"}}, hold, false, 0},
		{"runs again", []link.Route{{Pattern: "/x", Cell: 1}}, time.Second, true, 0},
		{"runs again too late", []link.Route{{Pattern: "/x"}, {Pattern: "/x"}, {Pattern: "/x", Cell: 1}}, hold, false, 0},
		{"is given up", []link.Route{{Pattern: "/x", Down: true}}, time.Second, false, 0},
		{"a longer hold of its own", []link.Route{{Pattern: "/x"}, {Pattern: "/x"}, {Pattern: "/x", Cell: 1}}, 3 * time.Second, true, time.Minute},
		{"a shorter one", []link.Route{{Pattern: "/x", Cell: 1}}, 500 * time.Millisecond, false, 500 * time.Millisecond},
		{"not at all", nil, 0, false, -1},
		{"has gone", []link.Route{{Pattern: "/y"}}, time.Second, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGate(t, 1) // its sockets are real: no time passes for them
			g.hold = hold
			synctest.Test(t, func(t *testing.T) {
				g.table.Store(&table{mux: g.table.Load().mux, routes: g.table.Load().routes, replaced: make(chan struct{})})
				g.tabled = make(chan struct{})
				c := g.cells[1]
				g.applyAll([]link.Route{{Pattern: "/x", Hold: tt.own}, {Pattern: "/other", Cell: 1}})
				began := time.Now()
				got := make(chan handover.Dest, 1)
				var took time.Duration
				go func() {
					d := g.route(get("/x"))
					took = time.Since(began)
					got <- d
				}()
				synctest.Wait()
				if n := g.held.Load(); n != 1 && tt.after > 0 {
					t.Fatalf("%d requests are held, want 1", n)
				}
				for _, r := range tt.tables {
					time.Sleep(time.Second)
					g.applyAll([]link.Route{r, {Pattern: "/other", Cell: 1}})
					synctest.Wait()
				}
				d := <-got
				if served := d.Peer == c.peer; served != tt.served || took != tt.after {
					t.Errorf("served %v after %v, want %v after %v", served, took, tt.served, tt.after)
				}
				if n := g.held.Load(); n != 0 {
					t.Errorf("%d requests are held in the end", n)
				}
			})
		})
	}
}

// Whoever is not served is told when to come again: as late as a request is held.
func TestRetryAfter(t *testing.T) {
	for hold, want := range map[time.Duration]string{0: "1", 500 * time.Millisecond: "1", 2 * time.Second: "2", time.Minute: "60"} {
		g := newGate(t)
		g.hold = hold
		w := httptest.NewRecorder()
		g.unavailable(new(route)).ServeHTTP(w, get("/x"))
		if got := w.Header().Get("Retry-After"); got != want || w.Code != 503 {
			t.Errorf("a hold of %v: %d, Retry-After %q, want %q", hold, w.Code, got, want)
		}
	}
}
