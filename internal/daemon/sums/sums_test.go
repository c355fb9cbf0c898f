package sums

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"golang.org/x/sys/unix"
)

func named(names ...string) (plugins []link.Plugin) {
	for _, name := range names {
		plugins = append(plugins, link.Plugin{Name: name})
	}
	return plugins
}

// serve is a process that serves so many requests, and is in the middle of so many more.
func serve(t *testing.T, b *Book, cell uint64, handlers []link.Plugin, of, requests, more int) {
	t.Helper()
	h := counter.MapHandlers(b.Open(cell, handlers), len(handlers))[of]
	for range requests {
		h.Begin("GET", time.Now())
		h.End("GET", time.Now(), 200, time.Millisecond, 1, 2)
	}
	for range more {
		h.Begin("GET", time.Now())
	}
}

func check(t *testing.T, b *Book, name string, ended, inFlight, lost uint64) {
	t.Helper()
	s := b.Handlers()[name]
	if s == nil {
		t.Errorf("%s: no sum", name)
		return
	}
	if s.Ended() != ended || s.InFlight != inFlight || s.Lost != lost || s.Out != 2*ended {
		t.Errorf("%s: %d ended, %d in flight, %d lost, %d bytes; want %d, %d, %d", name, s.Ended(), s.InFlight, s.Lost, s.Out, ended, inFlight, lost)
	}
}

// A handler's sum goes on over its processes, whatever they share and however they end; what
// was under way in one that ends is lost, and said to be.
func TestSums(t *testing.T) {
	b := New()
	serve(t, b, 1, named("a"), 0, 3, 1)
	check(t, b, "a", 3, 1, 0)
	if b.handlers["a"].gone != nil {
		t.Error("a handler has memory for what is gone, and nothing is")
	}
	serve(t, b, 2, named("b", "a"), 1, 10, 0)
	check(t, b, "a", 13, 1, 0)
	check(t, b, "b", 0, 0, 0)
	b.Close(1)
	b.Close(1) // is no other's
	check(t, b, "a", 13, 0, 1)
	b.Close(2)
	check(t, b, "a", 13, 0, 1)
	check(t, b, "b", 0, 0, 0)
}

// So does what is counted by the second, of processes that are gone, too: what was under way in one does not stay open.
func TestBySecond(t *testing.T) {
	b := New()
	at := time.Unix(1_000_000, 0)
	for cell, method := range []string{"GET", "POST"} {
		h := counter.MapHandlers(b.Open(uint64(cell), named("a")), 1)[0]
		for range 3 {
			h.Begin(method, at)
		}
		h.End(method, at, 200, time.Second, 0, 0)
		h.End(method, at.Add(-counter.Seconds*time.Second), 200, counter.Oldest, 0, 0) // of a second that was counted here before
	}
	b.Close(0)
	all, none := b.BySecond("a"), b.BySecond("b")
	for mirrored, want := range map[bool]counter.Second{false: {Begun: 6, Ended: 4}, true: {Begun: 3, Ended: 3}} {
		if got := all.At(at.Unix()+counter.Seconds, mirrored); got != want {
			t.Errorf("those that may be mirrored alone, %t: %+v, want %+v", mirrored, got, want)
		}
	}
	if none != (counter.BySecond{}) || all.At(at.Unix()+1, false) != (counter.Second{}) {
		t.Error("another has some")
	}
	before, after := counter.Second{Begun: 1<<32 - 2, Ended: 1<<32 - 3}, counter.Second{Begun: 3, Ended: 1}
	if got := after.Since(before); got != (counter.Second{Begun: 5, Ended: 4}) || got.Open() != 1 {
		t.Errorf("what has begun at 0 again is %+v", got)
	}
}

// So do the gate's.
func TestGate(t *testing.T) {
	b := New()
	for range 2 {
		g := counter.MapGate(b.OpenGate())
		g.Accepted.Add(2)
		g.Answer(404)
		if got := b.Gate(); got.Accepted%2 != 0 || got.Accepted == 0 {
			t.Errorf("%+v", got)
		}
		b.CloseGate()
	}
	if got := b.Gate(); got.Accepted != 4 || got.Answers[3] != 2 {
		t.Errorf("%+v", got)
	}
}

// A process can do nothing to the memory that makes reading it fail: it can neither shorten
// it nor have it grow.
func TestSealed(t *testing.T) {
	b := New()
	f := b.Open(1, named("a"))[0]
	defer f.Close()
	if f.Truncate(0) == nil || f.Truncate(1<<20) == nil {
		t.Error("its length can be changed")
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_FUTURE_WRITE); err == nil {
		t.Error("it can be sealed further")
	}
	if _, err := f.WriteAt(make([]byte, 100), 0); err != nil {
		t.Error(err)
	}
	check(t, b, "a", 0, 0, 0)
}

// Names are not kept for good.
func TestForget(t *testing.T) {
	b := New()
	for i := range uint64(mostGone + 10) {
		for _, f := range b.Open(i+1, named(fmt.Sprint(i))) {
			f.Close()
		}
		b.Close(i + 1)
	}
	if all := b.Handlers(); len(all) != mostGone || all["9"] != nil || all["10"] == nil {
		t.Errorf("%d are left", len(all))
	}
}

// Whoever keeps no book has none.
func TestNil(t *testing.T) {
	var b *Book
	var none []*os.File
	if none = b.Open(1, named("a")); none != nil {
		t.Error(none)
	}
	b.Close(1)
	if len(b.Handlers()) != 0 || b.Gate() != (counter.GateCounts{}) {
		t.Error("it has sums")
	}
}

func TestErrors(t *testing.T) {
	s := &Sum{Lost: 2}
	s.Requests[0][2][0], s.Requests[0][5][1], s.Requests[3][5][0] = 100, 3, 4 // 2xx, 5xx
	if n := s.Errors(); n != 9 {
		t.Errorf("%d errors, want 9", n)
	}
}
