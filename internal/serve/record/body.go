package record

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/parts"
)

var errBodyClosed = errors.New("body closed by handler")

// body is a request's body as the handler reads it.
type body struct {
	a *Answer

	reads sync.Mutex // held during a Read; before mu

	mu      sync.Mutex // guards the rest; never held while sending
	changed sync.Cond
	trailer http.Header // the request's: the names that were announced
	came    http.Header // the trailers that came
	lazy    bool        // nothing was granted yet
	buf     []byte      // data; buf[r:] was not read
	r       int
	total   int64 // bytes of data that have come
	used    int   // bytes of the window that were not granted anew yet
	err     error // behind buf
	limit   *time.Timer
}

func newBody(a *Answer, lazy bool) *body {
	b := &body{a: a, lazy: lazy}
	b.changed.L = &b.mu
	return b
}

// took takes parts. What the window allows is bounded, whoever sends.
func (b *body) took(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.changed.Broadcast()
	for len(p) > 0 {
		kind, text, rest, err := parts.Next(p)
		switch {
		case b.err != nil:
			return
		case err != nil, len(b.buf)-b.r > 2*parts.Window:
			b.err = parts.ErrMalformed
			return
		}
		b.used += len(p) - len(rest) - len(text)
		p = rest
		switch kind {
		case parts.Data:
			b.total += int64(len(text))
			if b.r > 0 && len(b.buf)+len(text) > cap(b.buf) {
				b.buf, b.r = b.buf[:copy(b.buf, b.buf[b.r:])], 0
			}
			b.buf = append(b.buf, text...)
		case parts.Trailer:
			rd := parts.NewReader(text)
			rd.Number()
			b.came = make(http.Header)
			rd.Header(b.came)
		case parts.End:
			b.err = io.EOF
		case parts.Bad:
			b.err = parts.Reason(string(text))
		default:
			b.err = parts.ErrMalformed
		}
	}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.reads.Lock()
	defer b.reads.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lazy {
		b.lazy = false
		b.grant(parts.Window)
	}
	for b.r == len(b.buf) && b.err == nil {
		if len(p) == 0 {
			return 0, nil
		}
		b.changed.Wait()
	}
	if b.r == len(b.buf) {
		if b.err == io.EOF {
			b.announced()
		}
		return 0, b.err
	}
	n := copy(p, b.buf[b.r:])
	if b.r += n; b.r == len(b.buf) {
		b.buf, b.r = b.buf[:0], 0
	}
	b.used += n
	if b.used >= parts.GrantAfter && b.err == nil {
		n := b.used
		b.used = 0
		b.grant(n)
	}
	return n, nil
}

// grant lets n bytes more come. The lock is held, and given up meanwhile.
func (b *body) grant(n int) {
	b.mu.Unlock()
	b.a.port.Word(parts.WordGrant, n)
	b.mu.Lock()
}

// announced fills in the trailers that were announced.
func (b *body) announced() {
	for key, values := range b.came {
		if _, ok := b.trailer[key]; ok {
			b.trailer[key] = values
		}
	}
	b.came = nil
}

// Close implements io.Closer: what else comes is dropped.
func (b *body) Close() error {
	b.mu.Lock()
	open := b.err == nil
	b.buf, b.r, b.err = nil, 0, errBodyClosed
	b.changed.Broadcast()
	b.mu.Unlock()
	if open {
		b.a.port.Word(parts.WordClose, 0)
	}
	return nil
}

// fail has reads fail behind what has come.
func (b *body) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
	b.changed.Broadcast()
}

// end drops what was not read: the handler has returned.
func (b *body) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limit != nil {
		b.limit.Stop()
	}
	b.buf, b.r, b.err = nil, 0, errBodyClosed
	b.changed.Broadcast()
}

func (b *body) setDeadline(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limit != nil && !b.limit.Stop() {
		return // it has passed
	}
	switch {
	case t.IsZero():
		b.limit = nil
	case t.Before(time.Now()):
		if b.err == nil {
			b.err = errLate
		}
		b.changed.Broadcast()
	default:
		b.limit = time.AfterFunc(time.Until(t), func() { b.fail(errLate) })
	}
}
