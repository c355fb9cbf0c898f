package canaries

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/daemon/analysis"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/roster"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/daemon/sums"
	"github.com/sirupsen/logrus"
)

func done(book *sums.Book, cell uint64, name string, requests map[string]int, lost int) {
	h := counter.MapHandlers(book.Open(cell, []link.Plugin{{Name: name}}), 1)[0]
	for method, status := range requests {
		h.Begin(method, time.Now())
		h.End(method, time.Now(), status, time.Millisecond, 0, 0)
	}
	for range lost {
		h.Begin("GET", time.Now())
	}
	book.Close(cell)
}

// Beside a canary that gets copies, only requests count of which there are some, and never what was lost with a process.
func TestCounted(t *testing.T) {
	book := sums.New()
	done(book, 1, "a", map[string]int{"GET": 200, "HEAD": 500, "OPTIONS": 204, "POST": 503, "PUT": 200, "TRACE": 405, "PURGE": 200}, 2)
	for _, c := range []struct {
		copied bool
		want   analysis.Counts
		begun  uint32
	}{
		{false, analysis.Counts{Requests: 7, Errors: 2, Times: [counter.Buckets]uint64{5}}, 9},
		{true, analysis.Counts{Requests: 3, Errors: 1, Times: [counter.Buckets]uint64{2}}, 5},
	} {
		got := counted(book, "a", c.copied)
		begun, open := uint32(0), uint32(0)
		for _, s := range got.BySecond {
			begun, open = begun+s.Begun, open+s.Open()
		}
		got.BySecond = c.want.BySecond
		if got != c.want || begun != c.begun || open != 0 {
			t.Errorf("copies: %t: %+v, want %+v; by second %d have begun, want %d, and %d are open, want 0", c.copied, got, c.want, begun, c.begun, open)
		}
	}
}

// What was counted of all requests is not compared with what is counted of those that are copied: a canary is judged anew where it gets
// copies from now on.
func TestAnewWithCopies(t *testing.T) {
	terms := canary.Terms{Weight: 500}
	log, begun := logrus.New(), 0
	log.Out = io.Discard
	log.AddHook(hook(func(e *logrus.Entry) {
		if strings.HasPrefix(e.Message, "canary: version") {
			begun++
		}
	}))
	all := roster.New(store.History{}, roster.Rules{})
	c := New(Owner{
		Roster: all, Sums: sums.New(), Log: log, Settings: func(string) canary.Terms { return terms },
		Tell: func(*lifecycle.Handler, lifecycle.Event) {}, Alter: func() {}, After: func(time.Duration, func()) {},
	})
	now := time.Now()
	for name, sum := range map[string]string{"a": "0", "a.canary": "1"} {
		h := all.Handler(name, now)
		h.Live, h.Standing = &states.Seat{Version: store.Version{Sum: strings.Repeat(sum, 64)}}, states.Serving
		all.Note(h)
	}
	for i, step := range []struct {
		terms canary.Terms
		want  int
	}{{canary.Terms{Weight: 500}, 1}, {canary.Terms{Weight: 600}, 1}, {canary.Terms{Mirror: link.Whole}, 2}, {canary.Terms{Mirror: 1000, Weight: 500}, 2}, {canary.Terms{}, 3}} {
		terms = step.terms
		c.Turn(now)
		c.Turn(now)
		if begun != step.want {
			t.Errorf("step %d: it was begun %d times, want %d", i, begun, step.want)
		}
	}
	h := all.Handlers["a.canary"]
	h.Live, h.Standing = nil, states.None // it is withdrawn, and then removed
	all.Note(h)
	c.Turn(now)
	all.Forget(h)
	all.Note(h)
	if c.Turn(now); len(c.trials)+len(c.beside) > 0 {
		t.Errorf("of a canary that is gone there is %+v, %q", c.trials, c.beside)
	}
}

type hook func(*logrus.Entry)

func (hook) Levels() []logrus.Level       { return logrus.AllLevels }
func (h hook) Fire(e *logrus.Entry) error { h(e); return nil }
