package handover

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/serve/replay"
)

const (
	// mostCopies bounds the copies of requests that a peer has at a time. There are no more, until it has
	// answered some.
	mostCopies = 32
	// copyFor is how long it may take for that, until its handler is told that the client has gone.
	copyFor = 30 * time.Second
)

// copies are those of a peer that are on their way, or being answered.
type copies struct {
	n      atomic.Int32
	wanted context.Context
	stop   context.CancelFunc
}

// EndCopies tells the peer that nobody waits for the copies that it has, as where a client has gone. It is to
// be given no more.
func (p *Peer) EndCopies() { p.copies.stop() }

// copyTo gives d's peer a copy of r, which has no body, and drops what is answered. It does not wait. A request that
// may change something is not copied, nor one that is to become something else than HTTP. m says whose it is.
func copyTo(d *Dest, r *http.Request, m message) {
	p := d.Peer
	if !counter.Mirrored(r.Method) || r.Header["Upgrade"] != nil || !r.ProtoAtLeast(1, 1) {
		return
	}
	if p.copies.n.Add(1) > mostCopies || !d.Enter() {
		p.copies.n.Add(-1)
		return
	}
	ctx, cancel := context.WithTimeout(p.copies.wanted, copyFor)
	x := replay.New(dropped{}, r.WithContext(ctx), func() bool { return false }, 0)
	large := len(x.Head()) > maxForward // r may be others' once this has returned
	go func() {
		if !large {
			p.exchange(kindCopy, x, m)
		}
		cancel()
		p.copies.n.Add(-1)
		d.Given()
	}()
}

func (c *Conn) copyTo(d *Dest, r *http.Request) {
	copyTo(d, r, message{remote: c.remoteText, local: c.localText(), tls: c.tls})
}

// dropped drops an answer.
type dropped struct{}

func (dropped) Header() http.Header         { return make(http.Header) }
func (dropped) Write(p []byte) (int, error) { return len(p), nil }
func (dropped) WriteHeader(int)             {}

// Copied reports whether r, which a Server has given to a handler, is a copy: nobody gets its answer.
func Copied(r *http.Request) bool {
	x, ok := r.Context().(*requestContext)
	return ok && x.copied
}
