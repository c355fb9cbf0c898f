// Package replay is the side of a request that has the client's stream: it does there what
// the handler has done (package record), and passes on what the client sends.
package replay

import (
	"net/http"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/parts"
)

// End says how it ended that a request was sent to another process.
type End byte

const (
	running  End = iota
	Answered     // the answer is with the client
	Again        // nothing of it was begun: it may be sent elsewhere
	Aborted      // the client has to see that the answer is cut short
)

// Request is the side that has the client.
type Request struct {
	w       http.ResponseWriter
	r       *http.Request
	closing func() bool
	limit   time.Duration // for the client to take what it is sent; 0 is none
	slow    *time.Timer   // runs while the client has not; made once
	up      *upload       // nil where no body comes
	head    []byte        // encoded

	// Owned by the goroutine of Await.
	port parts.Port
	werr error // of a write to the client
	used int   // bytes that were not granted anew yet

	wake chan struct{} // capacity 1; gets a value when what follows has changed

	mu    sync.Mutex // guards the rest; never held while sending
	in    []byte     // parts
	spare []byte
	lost  End  // set once the other side is gone
	owed  int  // bytes that have come and were not granted anew
	late  bool // the handler's time to write is up
	over  bool
}

// New returns a Request for r, which net/http's HTTP/2 server serves, with w. Where
// closing reports true as the answer begins, that ends the connection. A client that has
// not taken what was written to it, parts.Window bytes at the most, within limit loses its
// stream; 0 is without end. The caller calls Close in the end.
func New(w http.ResponseWriter, r *http.Request, closing func() bool, limit time.Duration) *Request {
	x := &Request{w: w, r: r, closing: closing, limit: limit, wake: make(chan struct{}, 1)}
	if open, lazy := parts.BodyOf(r); open {
		x.up = newUpload(r, lazy)
	}
	return x
}

// HasBody reports whether a body comes, or the end of an empty one.
func (x *Request) HasBody() bool { return x.up != nil }

// Head returns the request's head, encoded. It stays the Request's.
func (x *Request) Head() []byte {
	if x.head == nil { // before the upload, which fills in the trailers
		x.head = parts.AppendRequest(make([]byte, 0, 512), x.r)
	}
	return x.head
}

// Await passes on what comes, and what the client sends, until the answer has ended. The
// head was sent.
func (x *Request) Await(port parts.Port) End {
	x.port = port
	if x.up != nil {
		x.up.attach(port)
	}
	gone := x.r.Context().Done()
	for {
		in, lost := x.take()
		if len(in) > 0 {
			end := x.apply(in)
			x.consumed(in)
			if end == running {
				continue
			}
			return x.ended(end)
		}
		if lost != running {
			return x.ended(lost)
		}
		select {
		case <-x.wake:
		case <-gone:
			// The handler is told, and may take its time: as in net/http it counts
			// until it has ended.
			port.Word(parts.WordCancel, 0)
			gone = nil
		}
	}
}

func (x *Request) ended(end End) End {
	if end == Again {
		x.mu.Lock()
		x.lost, x.owed, x.in = running, 0, x.in[:0]
		x.mu.Unlock()
		if x.up != nil {
			x.up.detach()
		}
	}
	return end
}

// take returns what has come.
func (x *Request) take() (in []byte, lost End) {
	x.mu.Lock()
	late := x.late
	x.mu.Unlock()
	if late {
		x.kill() // before the answer's end, whoever else is about to
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	in, x.in, x.spare = x.in, x.spare[:0], nil
	return in, x.lost
}

// consumed grants anew what in took of the window.
func (x *Request) consumed(in []byte) {
	x.used += len(in)
	grants := x.used >= parts.GrantAfter
	x.mu.Lock()
	if grants {
		x.owed -= x.used // from now on there is room for it
	}
	if cap(in) <= 2*parts.Window {
		x.spare = in[:0]
	}
	x.mu.Unlock()
	if grants {
		x.port.Word(parts.WordGrant, x.used)
		x.used = 0
	}
}

// apply does what the handler did.
func (x *Request) apply(in []byte) End {
	for len(in) > 0 {
		kind, text, rest, err := parts.Next(in)
		if err != nil {
			return Aborted
		}
		in = rest
		switch kind {
		case parts.Inform, parts.Head:
			if x.writeHeader(text, kind == parts.Head) != nil {
				return Aborted
			}
		case parts.Data:
			if x.werr == nil {
				x.within(func() { _, x.werr = x.w.Write(text) })
			}
		case parts.Flush:
			x.within(func() { http.NewResponseController(x.w).Flush() })
		case parts.Trailer:
			rd := parts.NewReader(text)
			rd.Number()
			if rd.Header(x.w.Header()); !rd.OK() {
				return Aborted
			}
		case parts.End:
			if x.limit > 0 { // net/http still has to write the rest, and the trailers
				http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(x.limit))
			}
			return Answered
		case parts.Elsewhere:
			return Again
		default:
			return Aborted
		}
	}
	return running
}

// within calls write, which waits for the client, and has the stream end where that takes
// too long.
func (x *Request) within(write func()) {
	switch {
	case x.limit <= 0:
		write()
		return
	case x.slow == nil:
		x.slow = time.AfterFunc(x.limit, x.kill)
	default:
		x.slow.Reset(x.limit)
	}
	write()
	x.slow.Stop()
}

// writeHeader begins an answer, or informs.
func (x *Request) writeHeader(text []byte, final bool) error {
	rd := parts.NewReader(text)
	status := int(rd.Number())
	h := x.w.Header()
	clear(h)
	rd.Header(h)
	if !rd.OK() || status < 100 || status > 999 {
		return parts.ErrMalformed
	}
	if final && x.closing() {
		h.Set("Connection", "close")
	}
	x.w.WriteHeader(status)
	return nil
}

// Parts takes parts from the other side. It does not wait. After an error that side is
// not to be trusted.
func (x *Request) Parts(b []byte) error {
	if len(b) == 0 {
		return parts.ErrMalformed
	}
	if x.up != nil && b[0] != parts.Elsewhere {
		x.up.begin()
	}
	x.mu.Lock()
	x.owed += len(b)
	flood := x.owed > parts.Most
	if !flood {
		x.in = append(x.in, b...)
	}
	x.mu.Unlock()
	if flood {
		return parts.ErrFlood
	}
	x.notify()
	return nil
}

// Word takes a word. It does not wait.
func (x *Request) Word(word byte, n int) {
	if x.up != nil {
		x.up.begin()
	}
	switch {
	case word == parts.WordKill:
		x.mu.Lock()
		x.late = true
		x.mu.Unlock()
		x.notify()
		go x.kill() // a write may wait
	case x.up == nil:
	case word == parts.WordGrant:
		x.up.grant(n)
	case word == parts.WordClose:
		x.up.stop()
	}
}

// Lost says that the other side has died; taken whether it has taken the request.
func (x *Request) Lost(taken bool) {
	x.mu.Lock()
	if x.lost = Again; taken {
		x.lost = Aborted
	}
	x.mu.Unlock()
	x.notify()
}

func (x *Request) notify() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// kill ends the client's stream, even while a write to it waits.
func (x *Request) kill() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.over {
		http.NewResponseController(x.w).SetWriteDeadline(time.Unix(1, 0))
	}
}

// Close ends the use of the client's stream.
func (x *Request) Close() {
	x.mu.Lock()
	x.over = true
	x.mu.Unlock()
	x.Stop()
}

// Stop ends the upload: what is left of it is the server's.
func (x *Request) Stop() {
	if x.up != nil {
		x.up.stop()
		x.up.wait()
	}
}
