package counter

import (
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"
)

// file returns one in which n handlers are counted.
func file(t *testing.T, n int) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "counts"))
	if err == nil {
		err = f.Truncate(Size(n))
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Each request is in the bucket, the class and the method that it belongs to; what is
// unknown has places of its own.
func TestEnd(t *testing.T) {
	for _, tt := range []struct {
		method       string
		status       int
		took         time.Duration
		m, code, buc string
	}{
		{"GET", 200, 0, "GET", "2xx", "5ms"},
		{"GET", 304, 5 * time.Millisecond, "GET", "3xx", "5ms"},
		{"POST", 404, 5*time.Millisecond + 1, "POST", "4xx", "10ms"},
		{"TRACE", 599, 10 * time.Second, "TRACE", "5xx", "10s"},
		{"get", 101, time.Hour, "_OTHER", "1xx", "more"},
		{"../../etc", 999, -time.Second, "_OTHER", "none", "5ms"},
		{"PATCH", 0, time.Second, "PATCH", "none", "1s"},
		{"GET", Hijacked, time.Minute, "GET", "hijacked", "more"},
	} {
		var h Handler
		h.Begin("GET", time.Now())
		h.End(tt.method, time.Now(), tt.status, tt.took, 3, 7)
		c := h.Read()
		got := [3]string{}
		for m := range c.Requests {
			for s := range c.Requests[m] {
				for b, n := range c.Requests[m][s] {
					if n == 0 {
						continue
					}
					got = [3]string{Methods[m], Codes[s], "more"}
					if b < len(Bounds) {
						got[2] = Bounds[b].String()
					}
				}
			}
		}
		if want := [3]string{tt.m, tt.code, tt.buc}; got != want || c.Ended() != 1 || c.Under() != 0 || c.In != 3 || c.Out != 7 {
			t.Errorf("%s %d after %v: counted as %v, want %v; %d ended, %d under way, %d and %d bytes", tt.method, tt.status, tt.took, got, want, c.Ended(), c.Under(), c.In, c.Out)
		}
	}
}

// What one maps to count in another reads, after the first has unmapped it, too.
func TestMap(t *testing.T) {
	f := file(t, 2)
	reader, err := Map(f, 2, false)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Unmap()
	handlers := MapHandlers([]*os.File{f}, 2)
	var all sync.WaitGroup
	for range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 1000 {
				handlers[1].Begin("GET", time.Now())
				handlers[1].End("GET", time.Now(), 200, time.Millisecond, 0, 1)
			}
		}()
	}
	handlers[0].Begin("GET", time.Now())
	all.Wait()
	if begun, under := handlers[0].Begun(); begun != 1 || under != 1 {
		t.Errorf("the first: %d begun, %d under way", begun, under)
	}
	if c := reader.Handler(1).Read(); c.Begun != 4000 || c.Ended() != 4000 || c.Out != 4000 || c.Nanos[2] != uint64(4000*time.Millisecond) {
		t.Errorf("the reader sees %d begun, %d ended, %d bytes, %d ns", c.Begun, c.Ended(), c.Out, c.Nanos[2])
	}
	if f.Close() == nil {
		t.Error("the file is still open")
	}
}

// Whoever got no file, or one that is too short, counts all the same.
func TestNoMemory(t *testing.T) {
	for _, files := range [][]*os.File{nil, {file(t, 1)}} {
		handlers := MapHandlers(files, 2)
		handlers[1].Begin("GET", time.Now())
		if begun, _ := handlers[1].Begun(); begun != 1 || len(handlers) != 2 {
			t.Errorf("%d begun", begun)
		}
	}
	g := MapGate(nil)
	g.Answer(404)
	g.Answer(418)
	if c := g.Read(); c.Answers != [len(Answers)]uint64{3: 1, 6: 1} {
		t.Errorf("%+v", c)
	}
}

// Whatever stands in the memory, a sum of it is one, and never less than before.
func TestForeign(t *testing.T) {
	var h Handler
	h.begun.Store(1<<64 - 1)
	h.requests[0][2][0].Store(1<<64 - 1)
	before := h.Read()
	sum := new(Counts)
	for range 100 {
		sum.Add(before)
	}
	if sum.Begun != 100*most || sum.Ended() != 100*most {
		t.Errorf("%d begun, %d ended", sum.Begun, sum.Ended())
	}
	h.begun.Store(3)
	h.requests[0][2][0].Store(2)
	after := h.Read()
	after.Keep(before)
	if !reflect.DeepEqual(after, before) {
		t.Error("the counts went back")
	}
}

func BenchmarkRequest(b *testing.B) {
	var h Handler
	began := time.Now()
	b.ReportAllocs()
	for range b.N {
		h.Begin("GET", began)
		h.End("GET", began, 200, time.Since(began), 0, 12)
	}
}

// Who asks how many are under way every few seconds makes no garbage.
func TestBegun(t *testing.T) {
	var h Handler
	now := time.Now()
	for range 5 {
		h.Begin("GET", now)
	}
	h.End("GET", now, 200, time.Second, 1, 2)
	h.End("GET", now, 503, time.Millisecond, 1, 2)
	begun, under := h.Begun()
	if c := h.Read(); begun != 5 || under != 3 || uint64(begun) != c.Begun || uint64(under) != c.Under() {
		t.Errorf("%d have begun, %d are under way; read: %d and %d", begun, under, c.Begun, c.Under())
	}
	h.requests[0][0][0].Store(1 << 60) // what a foreign process says
	if _, under := h.Begun(); under != 0 {
		t.Errorf("%d are under way of fewer", under)
	}
	if n := testing.AllocsPerRun(10, func() { h.Begun() }); n != 0 {
		t.Errorf("%v pieces of memory", n)
	}
}
