package gate

import (
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
)

// askedOn is a request of the client's n-th connection.
func askedOn(n int) *http.Request {
	r := get("/x")
	r.RemoteAddr = fmt.Sprintf("192.0.2.1:%d", n+1)
	return r
}

// shared publishes a table in which the cell 1 has the pattern, and the canary some of it.
func (g *Gate) shared(c link.Canary) {
	g.applyAll([]link.Route{{Pattern: "/x", Cell: 1, Canary: c}})
}

// to sends a request, and says to which cell it went.
func to(t *testing.T, g *Gate, r *http.Request, one, two *cell) (cell int, stays bool) {
	t.Helper()
	d, now := g.routeNow(r)
	if !now {
		d = g.route(r)
	}
	switch d.Peer {
	case one.peer:
		cell = 1
	case two.peer:
		cell = 2
	default:
		t.Fatal("it goes to no cell")
	}
	d.Given()
	return cell, d.Stays
}

// A client's own connection is one version's for a while, and those that cannot be told apart go by request; both in the
// parts that they are to be.
func TestCanaryHasItsPart(t *testing.T) {
	g := newGate(t, 1, 2)
	one, two := g.cells[1], g.cells[2]
	g.shared(link.Canary{Cell: 2, Weight: 1000})
	const n = 10_000
	conns, streams := 0, 0
	for i := range n {
		is, stays := to(t, g, askedOn(i), one, two)
		if stays {
			t.Fatalf("connection %d stays with the gate", i)
		}
		if is == 2 {
			conns++
		}
		r := askedOn(1)
		r.ProtoMajor = 2
		if is, stays = to(t, g, r, one, two); !stays {
			t.Fatal("a stream's request says nothing of the next")
		}
		if is == 2 {
			streams++
		}
	}
	most := 5 * math.Sqrt(n*0.1*0.9)
	for what, got := range map[string]int{"connections": conns, "streams": streams} {
		if math.Abs(float64(got)-0.1*n) > most {
			t.Errorf("%d of %d %s are the canary's, want %d ± %.0f", got, n, what, n/10, most)
		}
	}
}

// Where one of the two cells is gone: the canary's part is the incumbent's at once, and the incumbent's
// waits, until nobody starts that any more.
func TestCanaryIsAlone(t *testing.T) {
	g := newGate(t, 1, 2)
	one, two := g.cells[1], g.cells[2]
	all := link.Canary{Cell: 2, Weight: link.Whole}
	none := link.Canary{Cell: 2, Mirror: 1} // nothing but a copy
	g.shared(all)
	if is, _ := to(t, g, askedOn(1), one, two); is != 2 {
		t.Fatal("all is the canary's, but not this")
	}
	copied := all
	copied.Mirror = link.Whole // what is the canary's anyway nobody has to see
	g.shared(copied)
	if is, stays := to(t, g, askedOn(1), one, two); is != 2 || stays {
		t.Errorf("where the incumbent's is copied, the canary's goes to %d, and stays: %v", is, stays)
	}
	g.shared(all)
	two.close()
	if is, stays := to(t, g, askedOn(1), one, two); is != 1 || !stays {
		t.Errorf("with a dead canary it goes to %d, and stays: %v", is, stays)
	}

	g.cells[2] = newCell(t)
	two = g.cells[2]
	g.shared(none)
	if is, stays := to(t, g, askedOn(1), one, two); is != 1 || !stays {
		t.Errorf("where all is copied it goes to %d, and stays: %v", is, stays)
	}
	one.close()
	if _, now := g.routeNow(askedOn(1)); now {
		t.Error("the incumbent's request does not wait for it")
	}
	got := make(chan int)
	wait := func() {
		held := g.counts.Held.Load()
		go func() {
			is, _ := to(t, g, askedOn(1), one, two)
			got <- is
		}()
		for g.counts.Held.Load() == held {
			time.Sleep(time.Millisecond)
		}
	}
	wait()
	g.applyAll([]link.Route{{Pattern: "/x", Down: true, Canary: none}})
	if is := <-got; is != 2 {
		t.Errorf("with an incumbent that is given up it goes to %d", is)
	}
	g.hold = time.Millisecond
	g.applyAll([]link.Route{{Pattern: "/x", Canary: none}})
	wait()
	if is := <-got; is != 2 {
		t.Errorf("with an incumbent that does not come it goes to %d", is)
	}
}

// A canary that is withdrawn gets nothing more, and is told so; one that is promoted goes on.
func TestCanaryEnds(t *testing.T) {
	for name, last := range map[string]link.Route{
		"withdrawn":     {Pattern: "/x", Cell: 1},
		"being started": {Pattern: "/x", Cell: 1, Canary: link.Canary{Weight: 1}},
		"promoted":      {Pattern: "/x", Cell: 2},
	} {
		g := newGate(t, 1, 2)
		cells := map[uint64]*cell{1: g.cells[1], 2: g.cells[2]}
		g.shared(link.Canary{Cell: 2, Weight: link.Whole})
		if err := g.apply(link.Message{Version: 1, Routes: []link.Route{last}}); err != nil {
			t.Fatal(err)
		}
		for id, c := range cells {
			d, leads := g.routeNow(askedOn(1))
			if !leads || d.Peer != cells[last.Cell].peer {
				t.Errorf("%s: the request goes elsewhere", name)
			}
			d.Given()
			if in := c.enter(); in != (id == last.Cell) {
				t.Errorf("%s: cell %d takes more: %v", name, id, in)
			} else if !in {
				<-c.idle
			}
		}
		if len(g.told.leads) != 2 { // one cell, and none for the canary
			t.Errorf("%s: routes lead to %v", name, g.told.leads)
		}
	}
}

func BenchmarkRoute(b *testing.B) {
	for name, c := range map[string]link.Canary{
		"no canary": {}, "canary": {Cell: 2, Weight: 500},
		"cookie": {Cell: 2, Weight: 500, Sticky: link.StickyCookie, Field: "session"},
	} {
		b.Run(name, func(b *testing.B) {
			g := newGate(b, 1, 2)
			g.shared(c)
			r := askedOn(1)
			r.Header.Set("Cookie", "session=0123456789abcdef")
			b.ReportAllocs()
			for range b.N {
				d, _ := g.routeNow(r)
				d.Given()
			}
		})
	}
}
