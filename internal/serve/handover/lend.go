package handover

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/direct"
	"github.com/andrestc/go-plugserver/internal/between/wire"
	"github.com/andrestc/go-plugserver/internal/serve/http1"
)

// Whoever was sent a socket can keep it, whatever else it gives back. So where handlers do not
// trust each other (Server.Lends), no client's connection leaves the process that accepts. What a request needs
// beyond its bytes, and its answer beyond a few, it gets by a loan: one end of a socket pair,
// for this request alone, between which and the client bytes are passed on. They are counted: the
// peer sees no byte of another request, and no byte of its own passes for another's answer. Which
// of the client's bytes are whose is decided here alone; that the peer may not have the connection
// carry another request is the peer's to say (answer.keep).

// errLends says that a client's connection was about to leave all the same.
var errLends = errors.New("connections of clients do not leave this process")

// lent is a loan, on the side of who lends.
type lent struct {
	*forwarded
	ours   *os.File
	theirs int     // the descriptor that is given; Peer.mu guards it
	fetch  bool    // the peer has fetched it
	told   message // with it

	// Owned by the connection's goroutine.
	in    *direct.Way
	body  http1.Body
	first int  // bytes of the request that were told, and are at the front of the buffer still
	mute  bool // nothing more can be read of the client, or nobody takes it
	seen  int  // bytes that were in the buffer when the look for the client's end began; 0 before

	// The rest is guarded by conn.mu.
	begun    bool // the peer serves the request
	canceled bool
	all      bool // whatever the client sends is the peer's: no other request can follow
	failed   bool // the client does not take the answer, or it is none
	over     bool // nothing more comes of the answer
}

// lend has d's peer answer the request at the front by a loan. It reports false where the
// request has to be routed again.
func (c *Conn) lend(d Dest, a *http1.Answer) (done bool, err error) {
	c.mu.Lock()
	c.phase, c.deadline = busy, time.Time{}
	c.mu.Unlock()
	f := &forwarded{conn: c, peer: d.Peer, given: d.Given, answer: a}
	l := &lent{forwarded: f, body: http1.NewBody(c.scan.Body)}
	n := c.scan.Len()
	l.first = n + l.body.Next(c.pending()[n:])
	l.told = c.message()
	l.told.bytes, l.told.waits = c.pending()[:l.first], !l.body.Ended() || a == nil
	if err := l.give(); err != nil {
		d.Given()
		if d.Peer.Dead() {
			return false, nil
		}
		return true, err
	}
	return l.relay()
}

// lendFor lends what f's peer has fetched.
func (c *Conn) lendFor(f *forwarded) (done bool, err error) {
	l := &lent{forwarded: f, first: c.scan.Len(), fetch: true, begun: true}
	l.told = c.message()
	l.told.bytes, l.told.idle, l.told.stream = nil, true, f.id
	if err := l.give(); err != nil {
		f.peer.lostFor(f.id)
		f.forget()
		return true, err
	}
	return l.relay()
}

// give sends the loan. After an error it is none.
func (l *lent) give() error {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	l.ours, l.theirs = os.NewFile(uintptr(fds[0]), "loan"), fds[1]
	l.in = direct.New(l.ours, true)
	c := l.conn
	c.mu.Lock()
	l.all = l.answer == nil
	l.loan, l.state = l, waiting
	c.mu.Unlock()
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := l.peer.sendLoan(l)
		if err == nil {
			return nil
		}
		if !wire.Passing(err) && err != errManyOnTheirWay || l.peer.Dead() {
			syscall.Close(l.theirs)
			l.ours.Close()
			return err
		}
		time.Sleep(pause)
	}
}

// sendLoan sends l. It is remembered as what was forwarded is, and its descriptor as that of a
// connection.
func (p *Peer) sendLoan(l *lent) error {
	p.order.Lock()
	defer p.order.Unlock()
	if p.crowded() {
		return errManyOnTheirWay
	}
	p.mu.Lock()
	if p.given || p.dead.Load() {
		p.mu.Unlock()
		return net.ErrClosed
	}
	if !l.fetch { // else it was taken
		p.number++
		l.id, l.seq = p.number, p.sent+1
		p.forwarded[l.id] = l.forwarded
	}
	p.mu.Unlock()
	l.told.loan = l.id
	err := p.send(kindConn, []int{l.theirs}, l.told.head(nil), l.told.bytes)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		if !wire.Passing(err) {
			p.dead.Store(true)
		}
		if !l.fetch {
			delete(p.forwarded, l.id)
		}
		return err
	}
	p.sent++
	p.conns++
	p.kept = append(p.kept, kept{seq: p.sent, nth: p.conns, conn: l.conn, loan: l})
	p.release()
	return nil
}

// taken closes our copy of what the peer has, or never will have. The peer's lock is held.
func (l *lent) taken() {
	syscall.Close(l.theirs)
	l.theirs = -1
}

// missed sees to a loan that the peer had no descriptor for.
func (l *lent) missed() {
	time.Sleep(fullFor / 4)
	p := l.peer
	if l.fetch {
		if p.sendLoan(l) == nil {
			return
		}
		p.lostFor(l.id)
	}
	l.change(again) // where it was fetched, relay ends it
	p.mu.Lock()
	l.taken()
	p.mu.Unlock()
}

// forget ends what the peer's words are about. Whoever does it calls given.
func (f *forwarded) forget() {
	p := f.peer
	p.mu.Lock()
	_, is := p.forwarded[f.id]
	delete(p.forwarded, f.id)
	p.mu.Unlock()
	if is {
		f.given()
	}
}

// said takes a word of the peer's about the loan. The connection's lock is held.
func (l *lent) said(a answer) error {
	switch {
	case len(a.bytes) > 0, a.move:
		return errAnswer
	case a.done:
		l.state, l.keep, l.canceled = answered, a.keep, a.canceled
	case a.elsewhere:
		l.state = again
	default:
		l.begun = true
		l.notify()
		return nil
	}
	l.settle()
	return nil
}

// settle ends the loan: what the peer has written comes still, and nothing more. Whoever
// holds the other end cannot put that off. The connection's lock is held.
func (l *lent) settle() {
	if !l.over {
		shutdown(l.ours, syscall.SHUT_RDWR)
	}
}

// relay passes on what the two sides send, until the answer has ended.
func (l *lent) relay() (done bool, err error) {
	c := l.conn
	c.server.Beside(1)
	defer c.server.Beside(-1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.down()
	}()
	l.up()
	<-ended
	l.ours.Close()
	l.forget()
	c.mu.Lock()
	state := l.state
	l.state = broken // for whoever has the loan still
	c.attention = false
	keeps := state == answered && l.keep && l.answer != nil && l.answer.Whole() && l.body.Ended() && !l.failed && !c.closing
	c.mu.Unlock()
	switch {
	case keeps:
		c.consume(l.first)
		c.history.canceled = l.canceled
		c.done()
		return true, nil
	case state == again && !l.fetch && !l.begun && !(l.answer != nil && l.answer.Begun()):
		return false, nil
	}
	return true, net.ErrClosed
}

// up passes on the request's body, and then looks for the client's end, until the answer has
// ended. As net/http's server it looks no further than to the next request's first byte.
func (l *lent) up() {
	c := l.conn
	for {
		c.mu.Lock()
		for !l.over && (l.mute || l.awaited()) {
			if l.wake == nil {
				l.wake = sync.NewCond(&c.mu)
			}
			l.paused = true
			l.wake.Wait()
			l.paused = false
		}
		over, all := l.over, l.all
		c.mu.Unlock()
		var err error
		switch {
		case over:
			return
		case !l.body.Ended() || all:
			err = l.pass(all && l.body.Ended())
		default:
			err = c.fill()
		}
		if err == nil || errors.Is(err, errInterrupted) || isTimeout(err) {
			continue
		}
		l.mute = true
		switch {
		case errors.Is(err, errTaken), errors.Is(err, errTooLarge):
		case errors.Is(err, io.EOF):
			shutdown(l.ours, syscall.SHUT_WR) // an answer may come still
		default:
			shutdown(l.ours, syscall.SHUT_RDWR)
		}
	}
}

// awaited reports whether there is nothing to do for now. The connection's lock is held.
func (l *lent) awaited() bool {
	if l.all || !l.body.Ended() {
		return !l.begun
	}
	if l.seen == 0 { // net/http's server, too, has read those, and sees what comes from now on
		l.seen = max(1, l.conn.w-l.conn.r)
	}
	return l.conn.w-l.conn.r > l.seen
}

// errTaken says that the peer takes no more of a body, which net/http leaves unread then.
var errTaken = errors.New("nobody takes what the client sends")

var pieces = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// pass passes on once what the client sends: of the body, or all of it.
func (l *lent) pass(all bool) error {
	c := l.conn
	c.consume(l.first)
	l.first = 0
	mine := func(p []byte) int {
		if all {
			return len(p)
		}
		return l.body.Next(p)
	}
	if l.body.Looking() {
		return io.EOF // what net/http would see is another request's
	}
	if c.r < c.w {
		n := mine(c.pending())
		err := l.tell(c.pending()[:n])
		c.consume(n)
		return err
	}
	piece := pieces.Get().(*[32 << 10]byte)
	defer pieces.Put(piece)
	p := piece[:]
	if left, counted := l.body.Left(); counted {
		p = p[:min(int64(len(p)), left)]
	}
	n, err := c.readRaw(p)
	k := mine(p[:n])
	if k < n {
		c.putBack(p[k:n])
	}
	if told := l.tell(p[:k]); told != nil {
		return told
	}
	if n > 0 {
		return nil
	}
	return err
}

func (l *lent) tell(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if _, err := l.in.Write(p); err != nil {
		return errTaken
	}
	return nil
}

// down passes on the answer, until whoever has the loan gives it back, or has closed it.
func (l *lent) down() {
	c := l.conn
	ok := l.answers()
	c.mu.Lock()
	settled := l.state != waiting
	c.mu.Unlock()
	if ok && !settled {
		// The handler's process has ended its side: as there, the client may go on sending.
		c.closeWrite()
		l.awaitClosed()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	shutdown(l.ours, syscall.SHUT_RDWR)
	l.failed, l.over = !ok, true
	l.notify()
}

// answers reports false where the client does not take the answer, or it is none.
func (l *lent) answers() bool {
	piece := pieces.Get().(*[32 << 10]byte)
	defer pieces.Put(piece)
	for {
		n, err := l.ours.Read(piece[:])
		if err != nil {
			return true // also ECONNRESET: closed with bytes of the client unread
		}
		k := n
		if l.answer != nil {
			k = l.answer.Next(piece[:n])
		}
		if _, err := l.conn.raw.Write(piece[:k]); err != nil || k < n {
			return false
		}
		if l.answer != nil && l.answer.Tunnel() {
			l.open()
		}
	}
}

// open has all that the client sends be the peer's from now on.
func (l *lent) open() {
	c := l.conn
	c.mu.Lock()
	is := l.all
	l.all, l.begun = true, true
	c.mu.Unlock()
	if is {
		return
	}
	c.server.giveAway(c) // the end of the service does not wait for it
	c.mu.Lock()
	defer c.mu.Unlock()
	l.notify()
}

// awaitClosed returns once nobody has the other end any more, or the loan is settled.
func (l *lent) awaitClosed() {
	if rc, err := l.ours.SyscallConn(); err == nil {
		rc.Read(func(fd uintptr) bool { return polled(fd, 0)&pollHup != 0 })
	}
}

func shutdown(f *os.File, how int) {
	if rc, err := f.SyscallConn(); err == nil {
		rc.Control(func(fd uintptr) { syscall.Shutdown(int(fd), how) })
	}
}

// answerTo follows the answer to r, where that may have to end before the connection does; nil
// where the client lets no request follow.
func (s *Server) answerTo(r *http.Request) *http1.Answer {
	if !s.Lends || r.Close && !http1.KeepsAlive(r) {
		return nil
	}
	return http1.AnswerTo(r)
}
