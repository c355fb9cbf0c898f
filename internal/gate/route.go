package gate

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/handover"
)

// route returns the peer that serves a request, where there is one that takes
// it now. It is the short way of ServeHTTP.
func (g *Gate) route(r *http.Request) (*handover.Peer, func()) {
	h, _ := g.table.Load().mux.Handler(r)
	rt, ok := h.(*route)
	if !ok || rt.cell == nil || !rt.cell.enter() {
		return nil, nil
	}
	g.requests.Add(1)
	return rt.cell.peer, rt.cell.exit
}

// ServeHTTP finds the route of a request and hands its connection on.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.requests.Add(1)
	t := g.table.Load()
	h, _ := t.mux.Handler(r)
	var deadline time.Time
	for {
		rt, ok := h.(*route)
		if !ok {
			// ServeMux's own answer: not found, not allowed, redirected.
			handover.Claim(r)
			h.ServeHTTP(w, r)
			return
		}
		if rt.handOver(w, r) {
			return
		}
		if rt.down {
			break
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(g.hold)
		}
		if t = g.next(r, t, deadline); t == nil {
			break
		}
		h, _ = t.mux.Handler(r)
	}
	handover.Claim(r)
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(g.hold/time.Second))))
	http.Error(w, "the handler is not running", http.StatusServiceUnavailable)
}

// next holds a request whose cell is gone until a newer table than t is in
// force, and returns that, or nil once the deadline has passed.
func (g *Gate) next(r *http.Request, t *table, deadline time.Time) *table {
	g.held.Add(1)
	defer g.held.Add(-1)
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-t.replaced:
		return g.table.Load()
	case <-timer.C:
	case <-r.Context().Done():
	}
	return nil
}

// route is one pattern's owner. It is an http.Handler only to be one that
// ServeMux returns.
type route struct {
	gate *Gate
	cell *cell // nil while the owner is not running
	down bool  // and it is not being started either
}

func (rt *route) ServeHTTP(http.ResponseWriter, *http.Request) {
	panic("a route does not answer")
}

// handOver gives the connection to the route's cell. It reports false where
// the cell takes none.
func (rt *route) handOver(w http.ResponseWriter, r *http.Request) bool {
	if rt.cell == nil || !rt.cell.enter() {
		return false
	}
	defer rt.cell.exit()
	rt.gate.server.HandOver(w, r, rt.cell.peer)
	return true
}

// cell is the gate's side of one cell.
type cell struct {
	peer *handover.Peer

	mu      sync.Mutex    // guards the rest
	closed  bool          // it takes no more connections
	sending int           // hand-overs on their way
	idle    chan struct{} // closed once closed and nothing is on its way
}

// enter begins a hand-over, unless the cell takes none.
func (c *cell) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.peer.Dead() {
		return false
	}
	c.sending++
	return true
}

func (c *cell) exit() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sending--; c.closed && c.sending == 0 {
		close(c.idle)
	}
}

func (c *cell) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		if c.sending == 0 {
			close(c.idle)
		}
	}
}

// leave tells the cell, once nothing is on its way to it, that no more
// connections come. It goes on giving connections back.
func (c *cell) leave() {
	c.close()
	go func() {
		<-c.idle
		c.peer.CloseWrite()
	}()
}
