package handover

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/http1"
)

// A request that is complete, and that is likely to be its handler's only one on
// this connection for a while, is forwarded: its bytes go to the peer, the answer's
// bytes come back, and the connection stays. Whatever an answer needs beyond
// that, the peer gets by fetching the connection: so what is forwarded is
// bounded (window), and all the rest goes between the client and the handler's
// process alone.

// window is how many bytes of an answer come back before the peer fetches the
// connection.
const window = 64 << 10

// forwarded is a request that a peer answers, on this side.
type forwarded struct {
	conn  *Conn
	peer  *Peer
	id    uint64
	seq   uint64
	given func()
	// All above are the next request's once goOn has forwarded that. It does so when
	// f is in no peer's list.

	// The rest is guarded by conn.mu.
	state  forwardState
	answer *http1.Answer // nil where nothing depends on it
	loan   *lent         // once it was sent
	// alone says that no goroutine waits for what comes, because the
	// connection ends with the answer.
	alone  bool
	came   int        // bytes of the answer
	out    []byte     // of the answer, what the client has not taken yet
	keep   bool       // the connection may carry another request
	wake   *sync.Cond // of the goroutine, where it does not read; nil if it never has
	paused bool       // it waits there
	busy   bool       // it writes out
}

type forwardState byte

const (
	waiting  forwardState = iota
	answered              // the answer is complete, but for out
	fetching              // the peer wants the connection
	moving                // the peer wants the connection and the request
	again                 // the request was not taken, or was another's
	broken                // the peer has died with the request
)

// route sends the request at the front where it belongs.
func (c *Conn) route(whole *wholeConn, r *http.Request) (done bool, err error) {
	c.tell(r)
	for copied := false; ; {
		d := c.server.Route(r)
		if d.Peer == nil {
			c.begin()
			whole.take(d.Handler)
			return false, nil
		}
		c.follow(d)
		plain := c.scan.Plain && c.scan.Len() <= maxForward
		if c.server.Lends && !plain {
			if done, err := c.lend(d, c.server.answerTo(r)); done || err != nil {
				return done, err
			}
			continue
		}
		if plain && (r.Close || d.Stays || c.streak < c.patience() || d.Peer.isFull()) {
			if d.Copy != nil && !copied {
				copied = true
				c.copyTo(d.Copy, r)
			}
			alone := r.Close && !whole.fed && c.r+c.scan.Len() == c.w
			done, err := c.forward(d, r, alone)
			if done || err != nil {
				return done, err
			}
			if r, err = c.front(); err != nil { // since goOn it may be another one
				return false, err
			}
			c.tell(r)
			continue
		}
		err := d.Peer.give(c)
		d.Given()
		if err == nil {
			return true, errMoved{}
		}
		if !d.Peer.Dead() {
			return true, err // the client's own socket
		}
	}
}

// front makes the request at the front, whose head is whole.
func (c *Conn) front() (*http.Request, error) {
	r, err := c.scan.Routed(c.asking(), string(c.pending()[:c.scan.Len()]))
	if err != nil {
		return nil, errBroken
	}
	return r, nil
}

// tell has r say to Route whose it is.
func (c *Conn) tell(r *http.Request) { r.RemoteAddr, r.TLS = c.remoteText, c.tlsState() }

// follow counts the requests in a row that go to d.
func (c *Conn) follow(d Dest) {
	if c.last.Peer == d.Peer {
		c.streak++
	} else {
		c.last, c.streak = d, 0
	}
	c.last.Stays = d.Stays
}

// maxForward bounds a request that is forwarded, in bytes.
const maxForward = 16 << 10

// patience is after how many requests in a row for one peer the connection goes
// there: at once at first, and the later the more often it has come back.
func (c *Conn) patience() int {
	if c.server.Lends {
		return math.MaxInt
	}
	if c.history.moves == 0 || c.server.crowded() {
		return 0
	}
	return 2 << min(c.history.moves, 7)
}

// restAfter is how long a connection without requests stays with the gate. Then
// it rests where its last request went: there it outlives the gate, and costs
// that nothing.
const restAfter = 20 * time.Millisecond

var errRest = errors.New("no request for a while")

// goToRest gives the connection to the peer that had its last request. It
// reports false where that takes none now.
func (c *Conn) goToRest() bool {
	c.mu.Lock()
	c.rest = time.Time{}
	c.mu.Unlock()
	d := c.last
	if d.Peer == nil || c.server.Lends || d.Peer.isFull() || d.Enter == nil || !d.Enter() {
		return false
	}
	err := d.Peer.give(c)
	d.Given()
	return err == nil
}

// errLeftAlone says that the goroutine is not needed any more.
var errLeftAlone = errors.New("the answer sees to the connection")

// forward has d's peer answer the request at the front. It reports false where
// the request has to be routed again. Where it is the connection's last, alone
// says, the answer sees to the rest, without this goroutine.
func (c *Conn) forward(d Dest, r *http.Request, alone bool) (done bool, err error) {
	f, m := c.forwarded(d, r, alone)
	if err := d.Peer.forward(f, &m, c.pending()[:c.scan.Len()]); err != nil {
		d.Given()
		return false, nil // the peer is dead
	}
	if alone {
		return true, errLeftAlone
	}
	return c.awaitAnswer(f)
}

// forwarded makes what forwards the request at the front.
func (c *Conn) forwarded(d Dest, r *http.Request, alone bool) (*forwarded, message) {
	c.mu.Lock()
	c.phase, c.deadline = busy, time.Time{}
	c.mu.Unlock()
	return &forwarded{conn: c, peer: d.Peer, given: d.Given, alone: alone, answer: c.server.answerTo(r)}, c.requestMessage()
}

// requestMessage is what goes with each request of c that is forwarded.
func (c *Conn) requestMessage() message {
	return message{history: c.history, remote: c.remoteText, local: c.localText(), tls: c.tls}
}

// forwardAtOnce forwards the only request of a connection without waiting for
// anything, or reports false. The caller delivers what is owed then.
func (c *Conn) forwardAtOnce(o *owed) bool {
	r, err := http1.Request(context.Background(), string(c.pending()), true)
	if err != nil || !r.Close {
		return false
	}
	c.tell(r)
	d, ok := c.server.RouteNow(r)
	if !ok {
		return false
	}
	if d.Copy != nil {
		c.copyTo(d.Copy, r)
	}
	f, m := c.forwarded(d, r, true)
	deliver, ok := d.Peer.tryForward(f, &m, c.pending())
	switch {
	case deliver:
		o.add(d.Peer)
	case !ok:
		go func() {
			if done, _ := c.forward(d, r, true); !done {
				c.server.serve(c)
			}
		}()
	}
	return true
}

// forward sends f, and remembers it until it has ended. An error says that the
// peer is dead, and f was not sent.
func (p *Peer) forward(f *forwarded, m *message, request []byte) error {
	p.order.Lock()
	deliver, err := p.append(f, m, request, true)
	p.order.Unlock()
	if deliver && p.wire.Deliver() != nil {
		// Whether or not it went out, Recover sees to it.
		p.dead.Store(true)
	}
	return err
}

// tryForward is forward, but reports ok false where that would have to wait, and
// leaves the writing to the caller where it says so.
func (p *Peer) tryForward(f *forwarded, m *message, request []byte) (deliver, ok bool) {
	if !p.order.TryLock() {
		return false, false
	}
	defer p.order.Unlock()
	if p.wire.Full() {
		return false, false
	}
	deliver, err := p.append(f, m, request, false)
	return deliver, err == nil
}

// append puts f behind all that was sent; with wait it waits for room there. The
// lock of order is held, but not for the writing: many requests leave together.
func (p *Peer) append(f *forwarded, m *message, request []byte, wait bool) (deliver bool, err error) {
	p.mu.Lock()
	if p.given || p.dead.Load() {
		p.mu.Unlock()
		return false, net.ErrClosed
	}
	p.number++
	p.sent++
	f.id, f.seq = p.number, p.sent
	m.stream = f.id
	p.forwarded[f.id] = f
	p.mu.Unlock()
	var b [128]byte
	if wait {
		deliver, err = p.wire.Append(kindRequest, m.head(b[:0]), request)
	} else {
		deliver, err = p.wire.AppendNow(kindRequest, m.head(b[:0]), request)
	}
	if err != nil {
		p.dead.Store(true) // as above
	}
	return deliver, nil
}

// awaitAnswer waits until the answer is with the client. Meanwhile it reads, so
// that the next request finds the goroutine where it always waits.
func (c *Conn) awaitAnswer(f *forwarded) (done bool, err error) {
	ended := false
	for {
		c.mu.Lock()
		for f.state == waiting && len(f.out) == 0 && (ended || c.w-c.r > c.scan.Len()) {
			if f.wake == nil {
				f.wake = sync.NewCond(&c.mu)
			}
			f.paused = true
			f.wake.Wait()
			f.paused = false
		}
		if out := f.out; len(out) > 0 {
			f.out, f.busy = nil, true
			c.mu.Unlock()
			_, err := c.raw.Write(out)
			c.mu.Lock()
			f.busy = false
			if err != nil {
				f.out, f.keep = nil, false
			}
			c.mu.Unlock()
			continue
		}
		state := f.state
		c.mu.Unlock()
		if state != waiting {
			return c.ended(f, state)
		}
		switch err := c.fill(); {
		case err == nil, errors.Is(err, errInterrupted), errors.Is(err, errRest), isTimeout(err):
		default:
			ended = true
		}
	}
}

// ended does what is to be done once f is not waiting any more.
func (c *Conn) ended(f *forwarded, state forwardState) (done bool, err error) {
	switch state {
	case answered:
		if !f.keep {
			return true, net.ErrClosed
		}
		c.consume(c.scan.Len())
		c.done()
		return true, nil
	case again:
		return false, nil
	case fetching:
		if c.server.Lends {
			return c.lendFor(f)
		}
		c.consume(c.scan.Len())
		c.done()
		// Until it has arrived, the peer's process may not be told that
		// nothing more comes.
		if err = f.peer.giveFor(c, f.id, f.given); err == nil {
			return true, errMoved{}
		}
		f.peer.lostFor(f.id)
	case moving:
		if c.server.Lends {
			return c.lend(Dest{Peer: f.peer, Given: f.given}, f.answer)
		}
		if err = f.peer.give(c); err != nil && f.peer.Dead() {
			f.given()
			return false, nil // nothing of it was begun
		}
	case broken:
		return true, net.ErrClosed
	}
	f.given()
	if err != nil {
		return true, err
	}
	return true, errMoved{}
}

// solo goes on with a connection whose goroutine has left it to the answer.
func (c *Conn) solo(f *forwarded) {
	_, err := c.awaitAnswer(f)
	switch {
	case err == nil: // also where net/http keeps what asked to be closed
		c.server.serve(c)
	case !c.hasLeft():
		c.close()
	}
}

// notify tells the goroutine of f's connection that something has changed. The
// lock of the connection is held.
func (f *forwarded) notify() {
	c := f.conn
	switch {
	case f.alone:
		f.alone = false
		go c.solo(f)
	case f.paused:
		f.wake.Signal()
	default:
		c.attention = true
		if c.reading {
			c.apply(longAgo)
		}
	}
}

// took passes a part of the answer on to the client, as far as that takes it
// without a wait; the rest is the connection's goroutine's. r has received it. An
// error says that the peer does not fetch a connection where it has to.
func (f *forwarded) took(a answer, r *receiver) error {
	c := f.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.state != waiting {
		return nil
	}
	if f.loan != nil {
		return f.loan.said(a)
	}
	b := f.follow(&a)
	if f.came += len(b); f.came > window || f.came > 0 && (a.move || a.elsewhere) {
		f.unhold()
		f.state = broken
		f.notify()
		return errAnswer
	}
	if f.hold(a, r) {
		return nil
	}
	b = c.behindHeld(b)
	if len(b) > 0 && len(f.out) == 0 && !f.busy {
		n, err := c.raw.(quick).tryWrite(b)
		if err != nil {
			n, a.keep = len(b), false
		}
		b = b[n:]
	}
	f.out = append(f.out, b...)
	switch {
	case a.done:
		f.state, f.keep = answered, a.keep && !c.closing
	case a.elsewhere:
		f.state = again
	case a.move:
		f.state = moving
	}
	waits := len(f.out) > 0 || f.busy
	switch {
	case f.state == answered && !waits && !f.keep && f.alone && c.endNow():
		f.alone = false
		c.phase = left
		c.drop()
		c.recycle()
	case f.state == answered && !waits && f.keep && !f.alone && !f.paused:
		// The goroutine reads, and learns of it with the next request.
		c.phase, c.unasked = idle, false
		c.deadline = after(c.server.patience(false))
		if !c.server.parted.Load() && !c.server.Lends {
			c.rest = after(restAfter)
		}
		if limit := c.limit(); c.reading && c.sooner(limit) {
			c.apply(limit)
		}
	case f.state == answered && !waits && f.keep && f.paused && c.goOn(f, r):
	case f.state != waiting || waits:
		f.notify()
	}
	return nil
}

// change sets the state of f, which a word of the peer or its death has ended.
func (f *forwarded) change(state forwardState) {
	c := f.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.state == waiting {
		f.unhold()
		if f.state = state; state == again && f.came > 0 {
			f.state = broken // whatever its peer has said: a part is with the client
		}
		if f.loan != nil {
			f.loan.settle()
			return
		}
		f.notify()
	}
}

// follow has no byte of the answer a be taken for another's, and returns those that may pass. The
// lock of the connection is held.
func (f *forwarded) follow(a *answer) []byte {
	switch {
	case !f.conn.server.Lends:
	case f.answer == nil:
		a.keep = false
	default:
		if n := f.answer.Next(a.bytes); n < len(a.bytes) {
			a.bytes, a.done, a.keep = a.bytes[:n], true, false
		}
		a.keep = a.keep && f.answer.Whole()
	}
	return a.bytes
}

// heard passes on what the peer says about a request. An error is took's.
func (r *receiver) heard(kind byte, a answer) error {
	p := r.peer
	p.mu.Lock()
	f := p.forwarded[a.stream]
	final := a.done || a.move || a.elsewhere
	if kind == kindFetch {
		final = !r.server.Lends // of what is lent there are words still
	}
	if final {
		delete(p.forwarded, a.stream)
	}
	p.mu.Unlock()
	if f == nil {
		return nil
	}
	if kind == kindFetch {
		f.change(fetching)
		return nil
	}
	given := f.given // f may be the next request's after this
	err := f.took(a, r)
	if a.done || a.elsewhere || final && err != nil {
		given()
	}
	return err
}

// lostFor tells the peer that the connection of a request cannot be fetched.
func (p *Peer) lostFor(stream uint64) {
	a := answer{stream: stream}
	p.wire.Post(kindLost, a.head(nil))
}
