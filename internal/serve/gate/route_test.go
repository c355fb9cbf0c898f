package gate

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/wire"
	"github.com/andrestc/go-plugserver/internal/serve/handover"
)

// newGate returns a gate without a supervisor, that has the cells.
func newGate(t testing.TB, cells ...uint64) *Gate {
	t.Helper()
	g := &Gate{cells: make(map[uint64]*cell), tabled: make(chan struct{}), counts: new(counter.Gate), hold: 10 * time.Second, server: new(handover.Server)}
	g.table.Store(&table{mux: http.NewServeMux(), replaced: make(chan struct{})})
	for _, id := range cells {
		g.cells[id] = newCell(t)
	}
	return g
}

// applyAll publishes a table that is told whole.
func (g *Gate) applyAll(routes []link.Route) {
	if err := g.apply(link.Message{Routes: routes}); err != nil {
		panic(err)
	}
}

func newCell(t testing.TB) *cell {
	t.Helper()
	a, b, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	path := filepath.Join(t.TempDir(), "page")
	if err := os.WriteFile(path, make([]byte, handover.PageSize), 0o600); err != nil {
		t.Fatal(err)
	}
	page, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := handover.NewPeer(a, page, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return cellOf(p)
}

func get(path string) *http.Request { return httptest.NewRequest("GET", path, nil) }

// answers is the status of what the gate itself answers.
func answers(t *testing.T, d handover.Dest, r *http.Request) int {
	t.Helper()
	if d.Peer != nil {
		t.Fatalf("%s goes to a cell", r.URL)
	}
	w := httptest.NewRecorder()
	d.Handler.ServeHTTP(w, r)
	io.Copy(io.Discard, w.Body)
	return w.Code
}

func TestRoute(t *testing.T) {
	g := newGate(t, 1, 2)
	one, two := g.cells[1].peer, g.cells[2].peer
	g.applyAll([]link.Route{
		{Pattern: "/one", Cell: 1}, {Pattern: "/one/", Cell: 1}, {Pattern: "POST /two", Cell: 2},
		{Pattern: "/down", Cell: 3, Down: true}, {Pattern: "/one/two", Cell: 2},
	})
	for _, tt := range []struct {
		method, path string
		peer         *handover.Peer
		status       int
	}{
		{"GET", "/one", one, 0},
		{"GET", "/one/more", one, 0},
		{"GET", "/one/two", two, 0},
		{"POST", "/two", two, 0},
		{"GET", "/two", nil, 405},
		{"GET", "/three", nil, 404},
		{"GET", "/one//two", nil, 307},
		{"GET", "/down", nil, 503},
	} {
		r := httptest.NewRequest(tt.method, tt.path, nil)
		d := g.route(r)
		if tt.peer != nil {
			if d.Peer != tt.peer {
				t.Errorf("%s %s: goes elsewhere", tt.method, tt.path)
			}
			continue
		}
		if got := answers(t, d, r); got != tt.status {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, got, tt.status)
		}
	}
}

// A request whose cell is not running waits for the table that has it again, and
// not for a table that has not.
func TestHold(t *testing.T) {
	g := newGate(t)
	starting := []link.Route{{Pattern: "/x", Cell: 0}}
	g.applyAll(starting)
	got := make(chan handover.Dest)
	go func() { got <- g.route(get("/x")) }()
	for g.held.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	g.applyAll(starting)
	c := newCell(t)
	g.cells[1] = c
	g.applyAll([]link.Route{{Pattern: "/x", Cell: 1}})
	if d := <-got; d.Peer != c.peer {
		t.Error("the request that waited went elsewhere")
	}
	if n := g.held.Load(); n != 0 {
		t.Errorf("%d requests are held", n)
	}
	// And no longer than it may, nor where its handler is given up.
	g.hold = time.Millisecond
	g.applyAll(starting)
	if got := answers(t, g.route(get("/x")), get("/x")); got != 503 {
		t.Errorf("%d, want 503", got)
	}
	g.hold = time.Hour
	go func() { got <- g.route(get("/x")) }()
	for g.held.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	g.applyAll([]link.Route{{Pattern: "/x", Down: true}})
	if got := answers(t, <-got, get("/x")); got != 503 {
		t.Errorf("given up: %d, want 503", got)
	}
}

// A cell that a table leaves out gets nothing more, and is told so once what was on
// its way has left.
func TestLeave(t *testing.T) {
	g := newGate(t, 1)
	c := g.cells[1]
	g.applyAll([]link.Route{{Pattern: "/x", Cell: 1}})
	d := g.route(get("/x"))
	g.applyAll([]link.Route{{Pattern: "/y", Cell: 2}})
	if d.Enter() {
		t.Error("the cell takes more")
	}
	if len(g.cells) != 0 {
		t.Error("the gate has the cell still")
	}
	select {
	case <-c.idle:
		t.Error("told while a request was on its way")
	default:
	}
	d.Given()
	<-c.idle
}

// A table that cannot be is refused whole: the one before serves on.
func TestTableRefused(t *testing.T) {
	_, theirs, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(t, 1)
	if g.link, err = link.New(theirs); err != nil {
		t.Fatal(err)
	}
	defer g.link.Close()
	c := g.cells[1]
	g.applyAll([]link.Route{{Pattern: "/x", Cell: 1}})
	g.applyAll([]link.Route{{Pattern: "/{a}/b", Cell: 2}, {Pattern: "/b/{a}", Cell: 2}})
	if d := g.route(get("/x")); d.Peer != c.peer {
		t.Error("the table before is not in force")
	}
}

// What the gate answers itself is counted, and who had to wait.
func TestCounts(t *testing.T) {
	g := newGate(t, 1)
	g.hold = time.Millisecond
	g.applyAll([]link.Route{{Pattern: "GET /here", Cell: 1}, {Pattern: "/away"}, {Pattern: "/down", Down: true}})
	for _, path := range []string{"/here", "/away", "/down", "/nowhere", "/nowhere"} {
		r := get(path)
		if d := g.route(r); d.Peer == nil {
			d.Handler.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	if _, ok := g.routeNow(get("/here")); !ok {
		t.Error("/here is not to be had at once")
	}
	got := g.counts.Read()
	var answered uint64
	for _, n := range got.Answers {
		answered += n
	}
	if got.Requests != 6 || got.Held != 1 || answered != 4 {
		t.Errorf("%+v, %d answered", got, answered)
	}
}
