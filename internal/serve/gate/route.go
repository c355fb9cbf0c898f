package gate

import (
	"cmp"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/access"
	"github.com/andrestc/go-plugserver/internal/serve/handover"
)

// route says where a request goes. It waits for a handler that is being
// started.
func (g *Gate) route(r *http.Request) handover.Dest {
	g.counts.Requests.Add(1)
	if h := g.asked.handler(r); h != nil {
		return g.answers(h)
	}
	if port := g.https.Load(); port != 0 && g.toHTTPS(r) {
		return g.answers(redirect(port))
	}
	t := g.table.Load()
	var deadline time.Time
	for {
		rt, h := t.find(r)
		if rt == nil {
			return g.answers(h)
		}
		if d, ok := rt.dest(r); ok {
			return d
		}
		if rt.down {
			return g.answers(g.unavailable(rt))
		}
		if deadline.IsZero() {
			g.counts.Held.Add(1)
			deadline = time.Now().Add(g.holds(rt))
		}
		if t = g.next(t, deadline); t == nil {
			if d, ok := rt.canarys(); ok {
				return d
			}
			return g.answers(g.unavailable(rt))
		}
	}
}

// routeNow is route for a request that a cell can have at once; it reports false
// for any other.
func (g *Gate) routeNow(r *http.Request) (handover.Dest, bool) {
	if g.https.Load() != 0 && g.toHTTPS(r) || g.asked.handler(r) != nil {
		return handover.Dest{}, false
	}
	rt, _ := g.table.Load().find(r)
	if rt == nil {
		return handover.Dest{}, false
	}
	d, ok := rt.dest(r)
	if ok {
		g.counts.Requests.Add(1)
	}
	return d, ok
}

// answers is where a request goes that no cell answers.
func (g *Gate) answers(h http.Handler) handover.Dest {
	return handover.Dest{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := access.Entry{Began: handover.Began(r), Client: g.proxies.Client(r), Asked: access.AskedBy(r)}
		h.ServeHTTP(w, r)
		handover.Finished(&e, w, r, true)
		g.counts.Answer(e.Status)
		g.server.Access.Add(&e)
	})}
}

// holds is how long a request is held whose handler does not run.
func (g *Gate) holds(rt *route) time.Duration { return max(0, cmp.Or(rt.hold, g.hold)) }

func (g *Gate) unavailable(rt *route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(g.holds(rt)/time.Second))))
		http.Error(w, "the handler is not running", http.StatusServiceUnavailable)
	})
}

// next holds a request whose cell is gone until a newer table than t is in
// force, and returns that, or nil once the deadline has passed.
func (g *Gate) next(t *table, deadline time.Time) *table {
	g.held.Add(1)
	defer g.held.Add(-1)
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-t.replaced:
		return g.table.Load()
	case <-timer.C:
	}
	return nil
}

// route is one pattern's owner.
type route struct {
	cell *cell         // nil while the owner is not running
	down bool          // and it is not being started either
	hold time.Duration // link.Route's
	also also
}

// dest returns the owner's cell where that takes the request.
func (rt *route) dest(r *http.Request) (handover.Dest, bool) {
	if rt.also.rule != nil {
		return rt.divided(r)
	}
	return rt.own()
}

func (rt *route) own() (handover.Dest, bool) {
	if rt.cell == nil || !rt.cell.enter() {
		return handover.Dest{}, false
	}
	return rt.cell.dest, true
}

// cell is the gate's side of one cell.
type cell struct {
	peer *handover.Peer
	dest handover.Dest // of each request

	mu      sync.Mutex    // guards the rest
	closed  bool          // it takes no more connections
	sending int           // hand-overs on their way
	idle    chan struct{} // closed once closed and nothing is on its way
}

// cellOf returns the cell at the other end of p.
func cellOf(p *handover.Peer) *cell {
	c := &cell{peer: p, idle: make(chan struct{})}
	c.dest = handover.Dest{Peer: p, Given: c.exit, Enter: c.enter}
	return c
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
	c.peer.EndCopies()
	go func() {
		<-c.idle
		c.peer.CloseWrite()
	}()
}
