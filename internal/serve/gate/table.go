package gate

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/routes"
)

// table is the routes in force at one moment.
type table struct {
	mux      routes.Mux    // of places
	routes   []*route      // by place
	replaced chan struct{} // closed when a newer table is in force
}

// place is where a pattern's route is in a table: tables of the same patterns have their mux in
// common. It is an http.Handler only to be one that a Mux returns.
type place int

func (place) ServeHTTP(http.ResponseWriter, *http.Request) { panic("a route does not answer") }

// find finds the route of a request, or, where there is none, who answers it: the router itself,
// with not found, not allowed, or a redirect.
func (t *table) find(r *http.Request) (*route, http.Handler) {
	h, _ := t.mux.Handler(r)
	if p, ok := h.(place); ok {
		return t.routes[p], nil
	}
	return nil, h
}

// told is what the supervisor has told of routes by now. The goroutine of hear owns it.
type told struct {
	version uint64
	routes  map[string]link.Route // by pattern
	leads   map[uint64]int        // how many of them lead to a cell
	places  map[string]place      // of the table in force, by pattern; nil where that is another's
	joined  []uint64              // the cells that have since
	again   bool                  // to one of these a route leads already
}

func (t *told) join(cell uint64) {
	t.joined = append(t.joined, cell)
	t.again = t.again || t.leads[cell] > 0
}

// take takes in a Table. It returns the cells to which fewer routes lead, each as often as it has
// lost one, and whether the patterns are the same as before.
func (t *told) take(m link.Message) (less []uint64, same bool) {
	if same = m.Since != 0; !same {
		t.routes, t.leads = make(map[string]link.Route, len(m.Routes)), make(map[uint64]int)
	}
	drop := func(pattern string) {
		old, had := t.routes[pattern]
		if !had {
			same = false
			return
		}
		delete(t.routes, pattern)
		for _, cell := range [...]uint64{old.Cell, old.Canary.Cell} {
			if t.leads[cell]--; t.leads[cell] == 0 {
				delete(t.leads, cell)
			}
			less = append(less, cell)
		}
	}
	for _, p := range m.Gone {
		drop(p)
		same = false
	}
	for _, r := range m.Routes {
		drop(r.Pattern)
		t.routes[r.Pattern] = r
		t.leads[r.Cell]++
		t.leads[r.Canary.Cell]++
	}
	t.version = m.Version
	return less, same
}

// apply publishes a table. A cell that has no route in it gets no more
// connections and is told so once those on their way have left. An error is that of a table that is
// told as what is other than in one that is not in force.
func (g *Gate) apply(m link.Message) error {
	t := &g.told
	if m.Since != 0 && m.Since != t.version {
		return fmt.Errorf("route table %d is told as what is other than in %d, and here is %d", m.Version, m.Since, t.version)
	}
	less, same := t.take(m)
	next := &table{replaced: make(chan struct{})}
	var err error
	if old := g.table.Load(); same && t.places != nil {
		next.mux, next.routes = old.mux, slices.Clone(old.routes)
		for _, r := range m.Routes {
			next.routes[t.places[r.Pattern]] = g.routeOf(r)
		}
	} else if next.mux, next.routes, err = g.muxOf(); err != nil {
		g.record("error", "route table refused: "+err.Error()) // the supervisor has built the same already
		t.places = nil
		return nil
	}
	if t.again {
		for p, r := range t.routes {
			next.routes[t.places[p]] = g.routeOf(r)
		}
	}
	close(g.table.Swap(next).replaced)
	select {
	case <-g.tabled:
	default:
		close(g.tabled)
	}
	less = append(less, t.joined...)
	t.joined, t.again = nil, false
	if m.Since == 0 {
		for id := range g.cells {
			less = append(less, id)
		}
	}
	for _, id := range less {
		if c := g.cells[id]; c != nil && t.leads[id] == 0 {
			delete(g.cells, id)
			c.leave()
		}
	}
	return nil
}

func (g *Gate) routeOf(r link.Route) *route {
	return &route{cell: g.cells[r.Cell], down: r.Down, hold: r.Hold, also: g.alsoOf(r.Canary)}
}

// muxOf makes a mux for all that was told, and gives each pattern its place.
func (g *Gate) muxOf() (mux routes.Mux, all []*route, err error) {
	t := &g.told
	t.places = make(map[string]place, len(t.routes))
	handlers := make(map[string]http.Handler, len(t.routes))
	for p, r := range t.routes {
		t.places[p], handlers[p] = place(len(all)), place(len(all))
		all = append(all, g.routeOf(r))
	}
	mux, err = g.dialect.Mux(handlers)
	return mux, all, err
}
