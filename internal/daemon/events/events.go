// Package events remembers the last events that the log had, and counts all: it is a hook
// of the log, so that what is logged, counted and shown to operators is one thing.
//
// Any goroutine may call its methods.
package events

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/sirupsen/logrus"
)

// Kept is how many events are remembered.
const Kept = 1000

// Of is what is counted apart: an event, and the handler that it is about, "" for none.
type Of struct {
	Event   event.Event
	Handler string
}

// mostCounts bounds what is counted apart: beyond it an event is Other's.
const mostCounts = 10_000

// Other stands for the handlers beyond that.
const Other = "_OTHER"

// Book is the events of one daemon.
type Book struct {
	mu      sync.Mutex
	last    []api.Event // the oldest first, at most Kept
	counts  map[Of]uint64
	changed chan struct{} // closed when there is another one
	live    func(took time.Duration)
}

// New returns a book without an event. live, unless it is nil, is told how long it took from
// a file's last change until it was live.
func New(live func(took time.Duration)) *Book {
	return &Book{counts: make(map[Of]uint64), changed: make(chan struct{}), live: live}
}

// Levels implements logrus.Hook.
func (b *Book) Levels() []logrus.Level { return logrus.AllLevels }

// After is the field with the time from a file's last change until it was live.
const After = "after"

// Fire implements logrus.Hook.
func (b *Book) Fire(e *logrus.Entry) error {
	what, ok := e.Data[event.Field].(event.Event)
	if !ok {
		return nil
	}
	if took, ok := e.Data[After].(time.Duration); ok && b.live != nil {
		b.live(took)
	}
	a := api.Event{Time: e.Time, Event: string(what), Level: e.Level.String(), Text: e.Message, Fields: make(map[string]string)}
	for k, v := range e.Data {
		switch k {
		case event.Field:
		case "handler":
			a.Handler = strings.ToValidUTF8(fmt.Sprint(v), "\uFFFD")
		default:
			a.Fields[k] = fmt.Sprint(v)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	of := Of{what, a.Handler}
	if _, known := b.counts[of]; !known && len(b.counts) >= mostCounts {
		of.Handler = Other
	}
	b.counts[of]++
	a.Seq = 1
	if n := len(b.last); n > 0 {
		a.Seq = b.last[n-1].Seq + 1
	}
	if len(b.last) == Kept {
		b.last = slices.Delete(b.last, 0, 1)
	}
	b.last = append(b.last, a)
	close(b.changed)
	b.changed = make(chan struct{})
	return nil
}

// Since returns the events that followed the one of that number, as far as they are
// remembered, and a channel that is closed when there are more. They are the caller's.
func (b *Book) Since(seq uint64) ([]api.Event, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, _ := slices.BinarySearchFunc(b.last, seq+1, func(e api.Event, seq uint64) int {
		if e.Seq < seq {
			return -1
		}
		return int(e.Seq - seq)
	})
	return slices.Clone(b.last[i:]), b.changed
}

// Counts returns how many events of each kind there were. They are the caller's.
func (b *Book) Counts() map[Of]uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.counts)
}
