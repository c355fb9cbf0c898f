package cell

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/wire"
	"github.com/andrestc/go-plugserver/internal/serve/handover"
)

// newCell returns a cell without a plugin, and the supervisor's end of its link.
func newCell(t *testing.T) (*Cell, *link.Conn) {
	t.Helper()
	ours, theirs, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	c := &Cell{id: 1, joined: make(chan struct{}), opened: make(chan struct{}), owners: make(map[string]*own)}
	if c.link, err = link.New(ours); err != nil {
		t.Fatal(err)
	}
	lc, err := link.New(theirs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.link.Close(); lc.Close() })
	return c, lc
}

// way is what a Join brings, and the other end of the socket.
func way(t *testing.T) (files []*os.File, other *os.File) {
	t.Helper()
	a, b, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	page, err := os.Create(filepath.Join(t.TempDir(), "page"))
	if err == nil {
		err = page.Truncate(handover.PageSize)
	}
	if err != nil {
		t.Fatal(err)
	}
	return []*os.File{a, page}, b
}

// A cell serves of a table what it has and is given; all else is elsewhere. A
// table that cannot be is refused whole.
func TestApply(t *testing.T) {
	c, _ := newCell(t)
	for _, pattern := range []string{"/mine", "/mine/", "/given-up"} {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
		c.owners[pattern] = &own{c, &loaded{name: "mine"}, pattern, h}
	}
	check := func() {
		t.Helper()
		for path, mine := range map[string]bool{
			"/mine": true, "/mine/more": true, "/mine/theirs": false, "/given-up": false, "/": false, "/nowhere": false,
		} {
			h, _ := (*c.mux.Load()).Handler(httptest.NewRequest("GET", path, nil))
			if _, ok := h.(*own); ok != mine || ok == (h == handover.Elsewhere) {
				t.Errorf("%s is served here: %v, want %v", path, ok, mine)
			}
		}
	}
	c.apply([]link.Route{{Pattern: "/mine", Cell: 1}, {Pattern: "/mine/", Cell: 1}, {Pattern: "/mine/theirs", Cell: 2}, {Pattern: "/given-up", Cell: 2}})
	check()
	c.apply([]link.Route{{Pattern: "/{a}/b", Cell: 2}, {Pattern: "/b/{a}", Cell: 2}})
	check()
}

// Of a pattern that two versions serve a cell has all, a part, or nothing.
func TestApplyCanary(t *testing.T) {
	c, _ := newCell(t)
	c.owners["/x"] = &own{c, &loaded{name: "mine"}, "/x", http.NotFoundHandler()}
	const all, part, nothing = "all", "a part", "nothing"
	for i, tt := range []struct {
		route link.Route
		want  string
	}{
		{link.Route{Cell: 1}, all},
		{link.Route{Cell: 1, Canary: link.Canary{Weight: 1}}, part},
		{link.Route{Cell: 1, Canary: link.Canary{Mirror: 1}}, part},
		{link.Route{Canary: link.Canary{Cell: 1, Weight: 1}}, part},
		{link.Route{Canary: link.Canary{Cell: 1}}, nothing},
		{link.Route{Canary: link.Canary{Cell: 3, Weight: 1}}, nothing},
		{link.Route{}, nothing},
	} {
		tt.route.Pattern = "/x"
		c.apply([]link.Route{tt.route})
		h, _ := (*c.mux.Load()).Handler(httptest.NewRequest("GET", "/x", nil))
		got := part
		if _, ok := h.(*own); ok {
			got = all
		} else if h == handover.Elsewhere {
			got = nothing
		}
		if got != tt.want {
			t.Errorf("%d: the cell has %s, want %s", i, got, tt.want)
		}
	}
}

// Who wants the gate waits for one, and takes a new one for the old; where the
// service ends, there is none.
func TestGate(t *testing.T) {
	c, lc := newCell(t)
	c.server = handover.NewServer(context.Background(), http.NotFoundHandler(), handover.Limits{}, nil)
	close(c.opened)
	got := make(chan *handover.Peer)
	go func() { got <- c.gate(context.Background()) }()
	files, other := way(t)
	c.join(files)
	first := <-got
	if first == nil || first != c.gate(context.Background()) {
		t.Fatal("no gate")
	}
	files, _ = way(t)
	c.join(files)
	other.Close()
	if second := c.gate(context.Background()); second == nil || second == first || !first.Dead() {
		t.Error("the new gate is not in the old one's place")
	}
	// No descriptors have come: the supervisor is told, and the gate stays.
	c.join(nil)
	for {
		m, err := lc.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if m.Kind == link.Unjoined {
			break
		}
	}
	if c.gate(context.Background()) == nil {
		t.Error("the gate is given up")
	}
	c.peer.Close()
	c.server.Recover(c.peer)
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if c.gate(ctx) != nil {
		t.Error("a dead gate")
	}
	c.parting.Store(true)
	if c.gate(context.Background()) != nil {
		t.Error("a gate for a service that ends")
	}
}

// The version of a plugin may be known only once that is loaded.
func TestNamed(t *testing.T) {
	c, _ := newCell(t)
	c.listen(link.Message{Plugins: []link.Plugin{{Name: "a"}, {Name: "b", Version: "1"}}})
	l := &loaded{name: "a", version: c.version["a"]}
	c.named([]link.Plugin{{Name: "a", Version: "2"}})
	if got := *l.version.Load() + *c.version["b"].Load(); got != "21" {
		t.Errorf("the versions are %s", got)
	}
}
