// Package counter is what cells and the gate count of requests, in memory that they
// share with the supervisor: nothing is sent, what nobody reads costs nothing, and the
// counts outlive the process that made them. Counting takes atomic adds alone.
package counter

import (
	"sync/atomic"
	"time"
)

// Bounds are the upper bounds of a duration's buckets, inclusive: those of
// OpenTelemetry's http.server.request.duration. What is longer has a bucket of its own.
var Bounds = [...]time.Duration{
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 75 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, 750 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 7500 * time.Millisecond, 10 * time.Second,
}

// AtMost words a time of which its bucket's bound is all that is known.
func AtMost(bound time.Duration) string {
	if last := len(Bounds) - 1; bound >= Bounds[last] {
		return "> " + Bounds[last-1].String() // in one of the last two
	}
	return "≤ " + bound.String()
}

// Buckets is how many buckets a duration may be in.
const Buckets = len(Bounds) + 1

// Methods are the methods that are counted apart (RFC 9110, RFC 5789); the last
// stands for every other, as in OpenTelemetry.
var Methods = [...]string{"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "_OTHER"}

// Mirrored reports whether a canary may get copies of requests of that method: those change nothing. A canary that gets
// copies is compared by them alone.
func Mirrored(method string) bool { return method == "GET" || method == "HEAD" || method == "OPTIONS" }

// Codes are the classes of status codes. Hijacked is what a handler answers
// on the connection itself, such as a WebSocket; none has no status, or one beyond 599.
var Codes = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx", "hijacked"}

// Hijacked is the status of what a handler answers on the connection itself.
const Hijacked = 600

// Handler is what a cell counts for one handler. It has to be zero at first.
type Handler struct {
	begun    atomic.Uint64
	in, out  atomic.Uint64 // bytes
	nanos    [len(Codes)]atomic.Uint64
	requests [len(Methods)][len(Codes)][Buckets]atomic.Uint64
	seconds  seconds
}

// Begin counts a request of that method that begins. End has to follow.
func (h *Handler) Begin(method string, at time.Time) {
	if !uncounted {
		h.begun.Add(1)
		h.seconds.of(method, at).begun.Add(1)
	}
}

// End counts a request that has ended after so long: its method, when it had begun, the status of its
// answer, 0 for none, and the bytes of both bodies.
func (h *Handler) End(method string, at time.Time, status int, took time.Duration, in, out int64) {
	if uncounted {
		return
	}
	if took < Oldest {
		h.seconds.of(method, at).ended.Add(1)
	}
	code := class(status)
	h.requests[indexOf(method)][code][bucket(took)].Add(1)
	h.nanos[code].Add(uint64(max(took, 0)))
	if in > 0 {
		h.in.Add(uint64(in))
	}
	if out > 0 {
		h.out.Add(uint64(out))
	}
}

func indexOf(method string) int {
	for i, m := range Methods[:len(Methods)-1] {
		if m == method {
			return i
		}
	}
	return len(Methods) - 1
}

func class(status int) int {
	if status < 100 || status > Hijacked {
		return 0
	}
	return status / 100
}

func bucket(took time.Duration) int {
	for i, most := range Bounds {
		if took <= most {
			return i
		}
	}
	return len(Bounds)
}

// Begun is how many requests have begun, and Under how many of them have not ended.
func (h *Handler) Begun() (begun, under int64) {
	var ended uint64 // without the memory that Read takes: a cell is asked every few seconds
	for m := range h.requests {
		for s := range h.requests[m] {
			for b := range h.requests[m][s] {
				ended += min(h.requests[m][s][b].Load(), most)
			}
		}
	}
	n := min(h.begun.Load(), most) // last, as in Read
	return int64(n), int64(max(n, ended) - ended)
}

// Counts is what was counted for one handler by some time.
type Counts struct {
	Begun    uint64
	In, Out  uint64 // bytes of requests' and of answers' bodies
	Nanos    [len(Codes)]uint64
	Requests [len(Methods)][len(Codes)][Buckets]uint64 // that have ended
}

// most is more than any process counts. What shares the memory is foreign: a sum of
// what it says has to be one.
const most = 1 << 52

// Read returns what is counted by now. A request that ends meanwhile may be
// counted as under way.
func (h *Handler) Read() *Counts {
	c := new(Counts)
	read := func(from *atomic.Uint64) uint64 { return min(from.Load(), most) }
	for m := range h.requests {
		for s := range h.requests[m] {
			for b := range h.requests[m][s] {
				c.Requests[m][s][b] = read(&h.requests[m][s][b])
			}
		}
	}
	for s := range h.nanos {
		c.Nanos[s] = read(&h.nanos[s])
	}
	c.In, c.Out = read(&h.in), read(&h.out)
	c.Begun = read(&h.begun) // last: none has ended that has not begun
	return c
}

// Ended is how many requests have ended.
func (c *Counts) Ended() (n uint64) {
	for m := range c.Requests {
		for s := range c.Requests[m] {
			for _, k := range c.Requests[m][s] {
				n += k
			}
		}
	}
	return n
}

// Under is how many requests have begun and not ended.
func (c *Counts) Under() uint64 {
	if ended := c.Ended(); ended < c.Begun {
		return c.Begun - ended
	}
	return 0
}

// Add adds what o has counted.
func (c *Counts) Add(o *Counts) { c.with(o, func(a, b uint64) uint64 { return a + b }) }

// Keep makes c no less than o, which is what the same memory said before: a count that
// somebody has turned back stays.
func (c *Counts) Keep(o *Counts) { c.with(o, func(a, b uint64) uint64 { return max(a, b) }) }

func (c *Counts) with(o *Counts, do func(a, b uint64) uint64) {
	for m := range c.Requests {
		for s := range c.Requests[m] {
			for b := range c.Requests[m][s] {
				c.Requests[m][s][b] = do(c.Requests[m][s][b], o.Requests[m][s][b])
			}
		}
	}
	for s := range c.Nanos {
		c.Nanos[s] = do(c.Nanos[s], o.Nanos[s])
	}
	c.In, c.Out, c.Begun = do(c.In, o.In), do(c.Out, o.Out), do(c.Begun, o.Begun)
}
