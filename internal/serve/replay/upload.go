package replay

import (
	"encoding/binary"
	"io"
	"net/http"
	"sync"

	"github.com/andrestc/go-plugserver/internal/serve/parts"
)

// upload passes a request's body on, as far as the window goes. What was sent is kept
// until the other side has begun with the request: so it can be sent elsewhere.
type upload struct {
	r    *http.Request
	lazy bool
	done chan struct{} // closed when the goroutine has ended; nil before it was begun

	order sync.Mutex // held while sending; before mu

	mu      sync.Mutex // guards the rest
	changed sync.Cond
	port    parts.Port // nil while the request is nobody's
	credit  int
	kept    []byte
	begun   bool
	stopped bool
}

func newUpload(r *http.Request, lazy bool) *upload {
	u := &upload{r: r, lazy: lazy, credit: parts.Window}
	if lazy {
		u.credit = 0
	}
	u.changed.L = &u.mu
	return u
}

// attach sends what was kept, and all that follows, by port.
func (u *upload) attach(port parts.Port) {
	u.order.Lock()
	defer u.order.Unlock()
	u.mu.Lock()
	u.port = port
	kept := u.kept
	if u.begun {
		u.kept = nil
	}
	begins := u.done == nil
	u.mu.Unlock()
	if len(kept) > 0 {
		port.Parts(kept)
	}
	if begins {
		u.done = make(chan struct{})
		go u.run()
	}
}

func (u *upload) detach() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.port = nil
}

// begin notes that the request was begun. That may be before what was kept has been sent.
func (u *upload) begin() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.begun = true; u.port != nil {
		u.kept = nil
	}
}

func (u *upload) grant(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.credit = min(u.credit+n, parts.Window)
	u.changed.Signal()
}

// stop ends the upload. It does not wait.
func (u *upload) stop() {
	u.mu.Lock()
	u.stopped = true
	u.changed.Signal()
	u.mu.Unlock()
	u.r.Body.Close() // ends a Read
}

func (u *upload) wait() {
	if u.done != nil {
		<-u.done
	}
}

// await waits for room in the window, and returns how much there is; 0 says that the
// upload is to end.
func (u *upload) await() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.credit <= 0 && !u.stopped {
		u.changed.Wait()
	}
	if u.stopped {
		return 0
	}
	return u.credit
}

// send sends parts in their order, or keeps them until there is somebody to send to.
func (u *upload) send(b []byte) {
	u.order.Lock()
	defer u.order.Unlock()
	u.mu.Lock()
	port := u.port
	u.credit -= len(b)
	if !u.begun || port == nil {
		u.kept = append(u.kept, b...)
	}
	u.mu.Unlock()
	if port != nil {
		port.Parts(b) // where it is gone, whoever awaits the answer learns of it
	}
}

// chunk is how much of a body is read at once, beside its part's header.
const chunk = 16<<10 - parts.HeaderSize

var chunks = sync.Pool{New: func() any { return new([chunk + parts.HeaderSize]byte) }}

// run reads the body to its end.
func (u *upload) run() {
	defer close(u.done)
	for {
		room := u.await()
		if room == 0 {
			return
		}
		p := chunks.Get().(*[chunk + parts.HeaderSize]byte)
		text := p[parts.HeaderSize:]
		n, err := u.r.Body.Read(text[:min(room, len(text))])
		var b []byte
		if n > 0 {
			// The part's header stands right before its text.
			from := parts.HeaderSize - 1 - parts.UvarintLen(uint64(n))
			p[from] = parts.Data
			binary.PutUvarint(p[from+1:], uint64(n))
			b = p[from : parts.HeaderSize+n]
		}
		switch {
		case err == io.EOF:
			u.send(u.appendEnd(b))
		case err != nil:
			u.send(parts.Append(b, parts.Bad, []byte(parts.ReasonOf(err))))
		case n > 0:
			u.send(b)
		}
		chunks.Put(p)
		if err != nil {
			return
		}
	}
}

// appendEnd appends the trailers, which are there once the body has ended, and the end.
func (u *upload) appendEnd(b []byte) []byte {
	if len(u.r.Trailer) > 0 {
		b = parts.AppendFields(b, parts.Trailer, 0, u.r.Trailer)
	}
	return parts.Append(b, parts.End, nil)
}
