// Package rates remembers how handlers did of late: what was counted for each in even
// steps of time.
//
// Any goroutine may call its methods.
package rates

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/daemon/sums"
)

const (
	// Step is how long each point is about.
	Step = 5 * time.Second
	// Kept is how many points are remembered.
	Kept = 60
)

// Point is what one handler did in one step.
type Point struct {
	Requests uint64        // that have ended
	Errors   uint64        // of them answered with 5xx, and those that a process's end has cut off
	Mean     time.Duration // that a request took; 0 without one, hijacked ones not counted
}

// Handler is what one did of late.
type Handler struct {
	Requests uint64  // since the daemon's start
	InFlight uint64  // at the last step's end
	Points   []Point // the oldest first; nil where there was no request
}

// total is what was counted for a handler by some time.
type total struct {
	requests, errors uint64
	timed, nanos     uint64 // of the requests those that Mean is of
}

// Book is what the handlers of one daemon did.
type Book struct {
	read func() map[string]*sums.Sum

	mu       sync.Mutex
	steps    int // that have been, at most Kept
	last     map[string]total
	handlers map[string]Handler
}

// New returns a book without a point. read is what was counted by now.
func New(read func() map[string]*sums.Sum) *Book { return &Book{read: read} }

// Run adds a point at each step's end until ctx is done.
func (b *Book) Run(ctx context.Context) {
	b.Look()
	tick := time.NewTicker(Step)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.Look()
		case <-ctx.Done():
			return
		}
	}
}

// Look ends a step. The first one begins the first step.
func (b *Book) Look() {
	now := b.read()
	b.mu.Lock()
	defer b.mu.Unlock()
	last, handlers := make(map[string]total, len(now)), make(map[string]Handler, len(now))
	for name, s := range now {
		t := sum(s)
		last[name] = t
		h := Handler{Requests: t.requests, InFlight: s.InFlight}
		if b.last != nil {
			h.Points = b.extend(b.handlers[name].Points, b.last[name], t)
		}
		handlers[name] = h
	}
	if b.last != nil {
		b.steps = min(b.steps+1, Kept)
	}
	b.last, b.handlers = last, handlers
}

// extend adds the step from one count to the next. Handlers without a request in all of the
// time have no points: they need no memory.
func (b *Book) extend(points []Point, from, to total) []Point {
	p := Point{Requests: to.requests - min(from.requests, to.requests), Errors: to.errors - min(from.errors, to.errors)}
	if timed := to.timed - min(from.timed, to.timed); timed > 0 {
		p.Mean = time.Duration((to.nanos - min(from.nanos, to.nanos)) / timed)
	}
	if points == nil {
		if p == (Point{}) {
			return nil
		}
		points = make([]Point, b.steps)
	}
	if len(points) >= Kept {
		points = points[len(points)-Kept+1:]
	}
	points = append(slices.Clone(points), p)
	if !slices.ContainsFunc(points, func(p Point) bool { return p != Point{} }) {
		return nil
	}
	return points
}

// What a handler answers on the connection itself takes as long as its client likes.
const hijacked = counter.Hijacked / 100

func sum(s *sums.Sum) (t total) {
	for m := range s.Requests {
		for code := range s.Requests[m] {
			for _, n := range s.Requests[m][code] {
				t.requests += n
				if code != hijacked {
					t.timed += n
				}
			}
		}
	}
	for code, n := range s.Nanos {
		if code != hijacked {
			t.nanos += n
		}
	}
	t.errors = s.Errors()
	return t
}

// Handlers returns what each did, by name. The points are not to be changed.
func (b *Book) Handlers() map[string]Handler {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.handlers
}
