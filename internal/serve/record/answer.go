// Package record is the side of a request that has the handler, where the client's stream
// is another process's (package replay): it is to the handler what net/http's HTTP/2 server
// is, and tells what the handler does.
package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/parts"
)

var (
	// errGone is what net/http says to a handler whose client has gone.
	errGone = errors.New("client disconnected")
	// errComplete is what it says of an answer to HEAD, which ends with its head.
	errComplete = errors.New("http2: request body closed due to handler exiting")
	// errFields says that a head is beyond MaxFields: the client gets a reset.
	errFields = errors.New("http2: header fields of more than 1 MiB")
)

// errTimeout is what net/http says of a stream whose time to write was up.
type errTimeout struct{}

func (errTimeout) Error() string { return "stream error: INTERNAL_ERROR; i/o timeout" }
func (errTimeout) Unwrap() error { return os.ErrDeadlineExceeded }

// Answer is the side that has the handler.
type Answer struct {
	port  parts.Port
	last  func(b []byte) error // sends what nothing follows
	aside func()               // or nil; see Beside
	head  parts.Request
	body  *body // nil where none comes
	w     *Writer

	mu      sync.Mutex // guards the rest; never held while sending
	changed sync.Cond
	credit  int
	err     error // of every write from now on
	over    bool  // the handler has returned
	limit   *time.Timer
}

// Decode returns the side of a request that has the handler, from the request's head.
func Decode(head string, port parts.Port) (*Answer, error) {
	h, err := parts.DecodeRequest(head)
	if err != nil {
		return nil, err
	}
	a := &Answer{port: port, last: port.Parts, head: h, credit: parts.Window}
	a.changed.L = &a.mu
	if h.Open {
		a.body = newBody(a, h.Lazy)
	}
	return a, nil
}

// Received is how many bytes of the body have come.
func (a *Answer) Received() int64 {
	if a.body == nil {
		return 0
	}
	a.body.mu.Lock()
	defer a.body.mu.Unlock()
	return a.body.total
}

// HasBody reports whether parts of a body come.
func (a *Answer) HasBody() bool { return a.body != nil }

// Beside says that the goroutine that is to run the handler is to be free after a moment:
// aside is called before the answer has to wait. What ends the answer is sent by last.
func (a *Answer) Beside(aside func(), last func(b []byte) error) { a.aside, a.last = aside, last }

// Request returns the request, and what answers it. The handler has both until Finish,
// Abort or Elsewhere.
func (a *Answer) Request(ctx context.Context) (*Writer, *http.Request, error) {
	r, err := a.head.Request(ctx)
	if err != nil {
		return nil, nil, err
	}
	r.Body = noBody{}
	if a.body != nil {
		a.body.trailer = r.Trailer
		r.Body = a.body
	}
	a.w = newWriter(a, r)
	return a.w, r, nil
}

// noBody is none. It is not http.NoBody, as with net/http's HTTP/2 server.
type noBody struct{}

func (noBody) Read([]byte) (int, error) { return 0, io.EOF }
func (noBody) Close() error             { return nil }

// Finish completes the answer: the handler has returned.
func (a *Answer) Finish() {
	end := a.w.finish()
	a.ended()
	if a.failed() == errFields || len(end) > parts.MaxFields+2*parts.ChunkSize {
		end = parts.Append(nil, parts.Abort, nil)
	}
	a.last(end)
}

// Abort ends the answer where it is.
func (a *Answer) Abort() {
	a.w.abandon()
	a.ended()
	a.last(parts.Append(nil, parts.Abort, nil))
}

// Elsewhere says that the request is another process's. The handler has done nothing.
func (a *Answer) Elsewhere() {
	a.w.abandon()
	a.ended()
	a.last(parts.Append(nil, parts.Elsewhere, nil))
}

func (a *Answer) ended() {
	a.mu.Lock()
	a.over = true
	if a.limit != nil {
		a.limit.Stop()
	}
	a.mu.Unlock()
	if a.body != nil {
		a.body.end()
	}
}

// Parts takes parts of the body. It does not wait.
func (a *Answer) Parts(b []byte) {
	if a.body != nil {
		a.body.took(b)
	}
}

// Word takes a word, but for parts.WordCancel, which is Cancel. It does not wait.
func (a *Answer) Word(word byte, n int) {
	if word != parts.WordGrant {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.credit += n
	a.changed.Broadcast()
}

// Cancel says that the client has gone, or with it the other side.
func (a *Answer) Cancel(orphaned bool) {
	a.fail(errGone)
	if orphaned && a.body != nil {
		a.body.fail(errGone)
	}
}

func (a *Answer) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = err
	}
	a.changed.Broadcast()
}

func (a *Answer) failed() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// room waits for room in the window, and returns how much there is.
func (a *Answer) room() (int, error) {
	a.mu.Lock()
	waits := a.credit <= 0 && a.err == nil
	a.mu.Unlock()
	if waits {
		a.leave()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.credit <= 0 && a.err == nil {
		a.changed.Wait()
	}
	return a.credit, a.err
}

// leave gives up the goroutine that others need. Only the handler's goroutine waits for
// anything; where it is another one that writes, that takes its place.
func (a *Answer) leave() {
	a.mu.Lock()
	aside := a.aside
	a.aside = nil
	a.mu.Unlock()
	if aside != nil {
		aside()
	}
}

// send sends parts that others follow.
func (a *Answer) send(b []byte) error {
	a.mu.Lock()
	a.credit -= len(b)
	a.mu.Unlock()
	if err := a.port.Parts(b); err != nil {
		a.fail(errGone)
		return errGone
	}
	return nil
}

// setWriteDeadline is net/http's: once the time is up, the stream is reset, whatever
// the handler does.
func (a *Answer) setWriteDeadline(t time.Time) {
	past := false
	defer func() {
		if past {
			a.late()
		}
	}()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limit != nil && !a.limit.Stop() || a.over {
		return // it has passed
	}
	switch {
	case t.IsZero():
		a.limit = nil
	case t.Before(time.Now()):
		past = true
	default:
		a.limit = time.AfterFunc(time.Until(t), a.late)
	}
}

func (a *Answer) late() {
	a.mu.Lock()
	over := a.over
	a.mu.Unlock()
	if over {
		return
	}
	a.fail(errTimeout{})
	if a.body != nil {
		a.body.fail(errTimeout{})
	}
	a.port.Word(parts.WordKill, 0)
}

// setReadDeadline is net/http's.
func (a *Answer) setReadDeadline(t time.Time) {
	if a.body != nil {
		a.body.setDeadline(t)
	}
}

// errLate is what a handler reads once the time is up.
var errLate = fmt.Errorf("%w", os.ErrDeadlineExceeded)

// Refuse ends the answer of a head that does not decode.
func Refuse(port parts.Port) { port.Parts(parts.Append(nil, parts.Abort, nil)) }
