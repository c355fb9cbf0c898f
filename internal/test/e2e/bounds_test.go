package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// excessSource says or wants too much of something. The mode is patched.
const excessSource = `package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
)

var (
	mode    = "MODE:........................................"
	segment = "SEGMENT:............"
)

func is(m string) bool { return strings.TrimRight(mode, ".") == "MODE:"+m }

var large = strings.Repeat("x", 20<<20)

func Start(context.Context) error {
	switch {
	case is("a long error"):
		return errors.New(large)
	case is("a long panic"):
		panic(large)
	case is("a long record"):
		many := []any{"long", large, large, 1}
		for i := range 5000 {
			many = append(many, fmt.Sprint("k", i), i)
		}
		slog.Info("a record "+large, many...)
	}
	return nil
}

func Handlers() map[string]http.Handler {
	own := strings.TrimRight(strings.TrimPrefix(segment, "SEGMENT:"), ".")
	h := map[string]http.Handler{"/" + own: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "served") })}
	add := func(p string) { h[p] = http.NotFoundHandler() }
	switch {
	case is("many"):
		for i := range 3000 {
			add(fmt.Sprintf("/{x}/%s%d", own, i))
		}
	case is("a long pattern"):
		add("/" + large)
	case is("a pattern of bytes"):
		add("/caf\xe9")
	case is("long ones"): // of all that there is room for
		for i := range 600 {
			add(fmt.Sprintf("/%s/%d/%s", own, i, strings.Repeat("<", 4000)))
		}
	case is("longer ones"):
		for i := range 900 {
			add(fmt.Sprintf("/%s/%d/%s", own, i, strings.Repeat("<", 4000)))
		}
	}
	return h
}
`

func excess(tb testing.TB, mode, segment string) testbed.Plugin {
	tb.Helper()
	return testbed.Go(excessSource).Build(tb).Patched(tb, "MODE:........................................", "MODE:"+mode, "SEGMENT:............", "SEGMENT:"+segment)
}

// watchAnswers asks the supervisor again and again, and returns the longest that it
// took; end ends it.
func watchAnswers(d *testbed.Daemon) (end func() time.Duration) {
	stop, longest := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		var most time.Duration
		for {
			select {
			case <-stop:
				longest <- most
				return
			default:
			}
			began := time.Now()
			d.Ctl("status")
			most = max(most, time.Since(began))
		}
	}()
	return func() time.Duration { close(stop); return <-longest }
}

// answerTime is how long the supervisor may take to answer while others are at
// work on this machine.
func answerTime() time.Duration {
	if testbed.Race {
		return 10 * time.Second
	}
	return 2 * time.Second
}

// What a handler says or wants too much of is refused by name, or cut short; no
// other handler's client notices, and the supervisor answers meanwhile.
func TestExcess(t *testing.T) {
	limit := "10s" // the default
	if testbed.Race {
		limit = "1m" // megabytes of patterns
	}
	d := testbed.Start(t, testbed.Flags("--start-timeout", limit))
	d.Put("calm", plain(t, "/calm", "calm"))
	before := d.Status().Daemon.GatePID
	load := testbed.Plan{Addr: d.Addr, Clients: 2, Paths: []string{"/calm"}}.Run(t)
	end := watchAnswers(d)
	for i, tt := range []struct{ mode, reason, mend string }{
		{"many", "has 3001 patterns, a handler may have 1000", "--max-patterns"},
		{"a long pattern", "has a pattern of 20971521 bytes, it may have 4096: /xxxxxx", "--max-pattern-bytes"},
		{"a pattern of bytes", `pattern "/caf\xe9" is not UTF-8`, "percent-encoding"},
		{"a long error", "Start returned an error: xxxxxx", "copy the file again"},
		{"a long panic", "Start panicked: xxxxxx", "in the log"},
		{"longer ones", "the patterns take ", "shorten them"},
	} {
		name := fmt.Sprintf("e%d", i)
		mark := d.Log.Len()
		d.Drop(name, excess(t, tt.mode, name))
		e := d.WaitRefused(mark, name)
		if !strings.HasPrefix(e.Get("reason"), tt.reason) || !strings.Contains(e.Get("mend"), tt.mend) {
			t.Errorf("%s: %.500s", tt.mode, e.Raw)
		}
		if len(e.Raw) > 10000 {
			t.Errorf("%s: a refusal of %d bytes", tt.mode, len(e.Raw))
		}
		d.Remove(name)
	}
	mark := d.Log.Len()
	d.Put("teller", excess(t, "a long record", "teller"))
	e := d.WaitLogFrom(mark, "the record", func(e testbed.Entry) bool {
		return e.Get("handler") == "teller" && strings.HasPrefix(e.Msg(), "a record x")
	})
	if len(e.Raw) > 200<<10 || len(e.Fields) > 120 || e.Get("dropped_fields") != "4903" {
		t.Errorf("a record of %d bytes and %d fields", len(e.Raw), len(e.Fields))
	}

	if took := end(); took > answerTime() {
		t.Errorf("the supervisor took %v to answer", took)
	}

	// Each alone may be served, all of them together are too many for one table.
	d.Put("big", excess(t, "long ones", "big"))
	mark = d.Log.Len()
	d.Drop("bigger", excess(t, "long ones", "bigger"))
	if e := d.WaitRefused(mark, "bigger"); !strings.HasPrefix(e.Get("reason"), "the route table is full") {
		t.Errorf("%.500s", e.Raw)
	}
	d.Want("/big", 200, "served")
	mark = d.Log.Len()
	d.Take("big")
	d.WaitLive(mark, "bigger", excess(t, "long ones", "bigger"))
	d.Want("/bigger", 200, "served")

	if now := d.Status().Daemon.GatePID; now != before {
		t.Errorf("the gate was restarted")
	}
	load.Unharmed(t)
}

// Handlers with thousands of wildcards are compared beside what else there is
// to do.
func TestManyWildcards(t *testing.T) {
	d := testbed.Start(t, testbed.Flags("--max-patterns", "5000"))
	d.Put("calm", plain(t, "/calm", "calm"))
	load := testbed.Plan{Addr: d.Addr, Clients: 2, Paths: []string{"/calm"}}.Run(t)
	end := watchAnswers(d)
	for _, name := range []string{"a", "b", "c"} {
		d.Put(name, excess(t, "many", name))
		d.Want("/"+name, 200, "served")
	}
	d.Put("b", excess(t, "many", "d"))
	d.Want("/d", 200, "served")
	if took := end(); took > answerTime() {
		t.Errorf("the supervisor took %v to answer", took)
	}
	load.Unharmed(t)
}
