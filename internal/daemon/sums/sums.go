// Package sums keeps what processes count, by handler: it gives each the memory to count
// in, reads that when somebody asks, and adds up what those had counted that are
// gone, killed ones included. So no sum ever goes back.
//
// Any goroutine may call its methods; a nil Book gives no memory and has no sums.
package sums

import (
	"cmp"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/daemon/sealed"
)

// Book is the sums of one daemon.
type Book struct {
	mu       sync.Mutex
	open     map[uint64]*page // by cell; see gate
	handlers map[string]*handler
	gate     counter.GateCounts
}

// handler is one's sum, and where more is counted for it.
type handler struct {
	gone *gone // nil where no process of it is: the counts are 10 KB
	open []place
}

// gone is what was counted in processes that are gone.
type gone struct {
	Sum
	bySecond counter.BySecond
	at       time.Time // when the last ended
}

// addSeconds adds what a process has counted that is gone. What was under way in it is Lost, and counts as ended here: else it
// would look like requests that hang, for good.
func (g *gone) addSeconds(h *counter.Handler) {
	var all counter.BySecond
	h.AddSeconds(&all)
	for i := range all {
		for s, n := range all[i] {
			g.bySecond[i][s].Begun += n.Begun
			g.bySecond[i][s].Ended += n.Begun
		}
	}
}

// place is the i-th handler of a page.
type place struct {
	page *page
	i    int
}

// Sum is what was counted for one handler since the daemon's start.
type Sum struct {
	counter.Counts        // of all its processes
	InFlight       uint64 // requests in those that run
	Lost           uint64 // requests that had begun in a process, and not ended when it did
}

// Errors are the requests that were answered with 5xx, and those that are lost.
func (s *Sum) Errors() (n uint64) {
	for m := range s.Requests {
		for _, k := range s.Requests[m][serverErrors] {
			n += k
		}
	}
	return n + s.Lost
}

// serverErrors is the class of 5xx.
const serverErrors = 5

// page is the memory of one process.
type page struct {
	memory   *counter.Memory
	handlers []string          // none for the gate
	last     []*counter.Counts // what was read; nil before
}

// New returns a book without a sum.
func New() *Book {
	return &Book{open: make(map[uint64]*page), handlers: make(map[string]*handler)}
}

// gate is the gate's number among the processes; no cell has it.
const gate = 0

// OpenGate is Open for the gate.
func (b *Book) OpenGate() []*os.File { return b.Open(gate, nil) }

// CloseGate is Close for the gate.
func (b *Book) CloseGate() { b.Close(gate) }

// Open returns the memory in which a cell is to count, for its plugins in their order. The
// file is the caller's. Where there is no memory or descriptor left for it there is none: the
// process counts for itself.
func (b *Book) Open(cell uint64, plugins []link.Plugin) []*os.File {
	if b == nil {
		return nil
	}
	var handlers []string
	for _, p := range plugins {
		handlers = append(handlers, p.Name)
	}
	n := max(1, len(handlers))
	f, err := sealed.New("counts", counter.Size(n))
	if err != nil {
		return nil
	}
	m, err := counter.Map(f, n, false)
	if err != nil {
		f.Close()
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &page{m, handlers, make([]*counter.Counts, len(handlers))}
	b.open[cell] = p
	for i, name := range handlers {
		h := b.handlers[name]
		if h == nil {
			h = new(handler)
			b.handlers[name] = h
		}
		h.open = append(h.open, place{p, i})
	}
	return []*os.File{f}
}

// Close adds up what a cell has counted whose process is gone.
func (b *Book) Close(cell uint64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.open[cell]
	if p == nil {
		return
	}
	delete(b.open, cell)
	if cell == gate {
		b.gate.Add(p.memory.Gate().Read())
	}
	for i, name := range p.handlers {
		h := b.handlers[name]
		if h.gone == nil {
			h.gone = new(gone)
		}
		c := p.read(i)
		h.gone.Add(c)
		h.gone.Lost += c.Under()
		h.gone.at = time.Now()
		h.gone.addSeconds(p.memory.Handler(i))
		h.open = slices.DeleteFunc(h.open, func(at place) bool { return at.page == p })
	}
	p.memory.Unmap()
	b.forget()
}

// mostGone bounds the names whose sums are kept, but for those of processes that run.
const mostGone = 4096

// forget drops the sums of the handlers that have been gone for the longest time, where
// there are too many.
func (b *Book) forget() {
	for len(b.handlers) > mostGone {
		oldest := ""
		for name, h := range b.handlers {
			if len(h.open) == 0 && (oldest == "" || cmp.Or(h.gone.at.Compare(b.handlers[oldest].gone.at), cmp.Compare(name, oldest)) < 0) {
				oldest = name
			}
		}
		if oldest == "" {
			return
		}
		delete(b.handlers, oldest)
	}
}

// read returns what the i-th handler has counted.
func (p *page) read(i int) *counter.Counts {
	c := p.memory.Handler(i).Read()
	if p.last[i] != nil {
		c.Keep(p.last[i])
	}
	p.last[i] = c
	return c
}

// Handlers returns the sums by handler, of all that have had a process. They are the
// caller's.
func (b *Book) Handlers() map[string]*Sum {
	all := make(map[string]*Sum)
	if b == nil {
		return all
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, h := range b.handlers {
		all[name] = h.sum()
	}
	return all
}

// Handler returns the sum of one handler, nil where it has had no process. It is the caller's.
func (b *Book) Handler(name string) *Sum {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.handlers[name]; h != nil {
		return h.sum()
	}
	return nil
}

// BySecond returns what was counted for a handler by the second in which requests have begun.
func (b *Book) BySecond(name string) (all counter.BySecond) {
	if b == nil {
		return all
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.handlers[name]; h != nil {
		if h.gone != nil {
			all = h.gone.bySecond
		}
		for _, at := range h.open {
			at.page.memory.Handler(at.i).AddSeconds(&all)
		}
	}
	return all
}

func (h *handler) sum() *Sum {
	s := new(Sum)
	if h.gone != nil {
		*s = h.gone.Sum
	}
	for _, at := range h.open {
		c := at.page.read(at.i)
		s.Add(c)
		s.InFlight += c.Under()
	}
	return s
}

// Gate returns what all gates have counted.
func (b *Book) Gate() counter.GateCounts {
	if b == nil {
		return counter.GateCounts{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	sum := b.gate
	if p := b.open[gate]; p != nil {
		sum.Add(p.memory.Gate().Read())
	}
	return sum
}
