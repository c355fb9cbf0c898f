package counter

import (
	"slices"
	"sync/atomic"
)

// Answers are the status codes that the gate answers with itself, which are counted
// apart; the last, 0, stands for every other.
var Answers = [...]int{301, 307, 308, 404, 405, 503, 0}

// Gate is what the gate counts. It has to be zero at first.
type Gate struct {
	Accepted atomic.Uint64 // connections
	Moved    atomic.Uint64 // connections that went to a cell
	Requests atomic.Uint64 // that were routed
	Held     atomic.Uint64 // of those, that had to wait for a cell

	answers [len(Answers)]atomic.Uint64
}

// Answer counts an answer of the gate's own.
func (g *Gate) Answer(status int) {
	i := slices.Index(Answers[:len(Answers)-1], status)
	if i < 0 {
		i = len(Answers) - 1
	}
	g.answers[i].Add(1)
}

// GateCounts is what gates have counted by some time.
type GateCounts struct {
	Accepted, Moved, Requests, Held uint64
	Answers                         [len(Answers)]uint64
}

// Read returns what is counted by now.
func (g *Gate) Read() (c GateCounts) {
	c.Accepted, c.Moved, c.Requests, c.Held = g.Accepted.Load(), g.Moved.Load(), g.Requests.Load(), g.Held.Load()
	for i := range g.answers {
		c.Answers[i] = g.answers[i].Load()
	}
	return c
}

// Add adds what o has counted.
func (c *GateCounts) Add(o GateCounts) {
	c.Accepted += o.Accepted
	c.Moved += o.Moved
	c.Requests += o.Requests
	c.Held += o.Held
	for i := range c.Answers {
		c.Answers[i] += o.Answers[i]
	}
}
