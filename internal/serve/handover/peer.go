package handover

import (
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/wire"
	"github.com/andrestc/go-plugserver/internal/serve/tls13"
)

// Peer is another process that takes connections and requests, and gives them.
//
// A connection that was sent stays open here until the peer has taken it: what
// a peer leaves in its socket when it dies is not lost. What it has taken, it
// may have begun to serve, and that is never sent twice.
type Peer struct {
	wire   *wire.Conn
	send   func(kind byte, fds []int, parts ...[]byte) error // wire's
	dead   atomic.Bool                                       // set for good when the peer can be given nothing more
	copies copies
	// counts are shared with the peer's process.
	counts *counts

	// order is held while sending and until that is noted, so that sent counts in
	// the stream's order. It comes before mu.
	order sync.Mutex
	sent  uint64 // connections and requests
	conns uint64 // of which connections

	mu        sync.Mutex // guards the rest; never held while sending
	given     bool       // the peer is given up, and with it what it has taken
	kept      []kept     // in the order sent
	sweep     *time.Timer
	number    uint64                // of the last request that was forwarded to the peer
	forwarded map[uint64]*forwarded // to the peer
	serving   map[uint64]*stream    // for the peer
	// exchanged are answered by the peer, exchanging here.
	exchanged  map[uint64]exchanged
	exchanging map[uint64]*exchanging

	asked     map[uint64]chan struct{} // by alone; closed when the peer confirms
	local     net.Addr                 // the last that was told
	localText string
	state     *tls.ConnectionState // as local
	stateText string
	came      uint64    // connections, of the peer
	full      time.Time // until then the peer is given no connection that can stay
	idleness  idleness
}

// idleness is how long a peer has taken nothing, though there is something.
type idleness struct {
	taken uint64    // when last looked at
	at    time.Time // then
	looks int       // that found the same
}

// lookEvery is the least time between two looks that count.
const lookEvery = time.Second

// Idle reports how many looks in a row, this one included, have found that p takes
// nothing of what waits for it. An honest peer does, whatever its handlers do.
// It counts looks, not time: where this process was stopped, nobody is blamed.
func (p *Peer) Idle() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.given {
		return 0
	}
	if time.Since(p.idleness.at) < lookEvery {
		return p.idleness.looks
	}
	p.release()
	taken := p.counts.theirs.taken.Load()
	waits := len(p.kept) > 0
	for _, f := range p.forwarded {
		waits = waits || f.seq > taken
	}
	for _, x := range p.exchanged {
		waits = waits || x.seq > taken
	}
	looks := 0
	if waits {
		looks = 1
		if taken == p.idleness.taken {
			looks += p.idleness.looks
		}
	}
	p.idleness = idleness{taken, time.Now(), looks}
	return looks
}

// kept is a connection that was sent and may not have been taken.
type kept struct {
	seq    uint64 // among connections and requests
	nth    uint64 // among connections
	conn   *Conn
	idle   bool
	stream uint64 // the request that it was fetched for, or 0
	given  func() // called once it was taken, or the peer is dead; may be nil
	loan   *lent  // nil but where that was sent, in the place of conn
}

// sweepAfter is how long a connection stays open here after it was taken, at
// the most. Its new owner's shutdown(2) ends it for the client all the same.
const sweepAfter = 5 * time.Millisecond

// NewPeer returns the peer at the other end of sock and closes sock and page.
// The page is a Page that both sides map. Of the two sides, only says, one has no
// other peer: there a thread waits for it.
func NewPeer(sock, page *os.File, only bool) (*Peer, error) {
	counts, err := mapCounts(page, only)
	page.Close()
	if err != nil {
		sock.Close()
		return nil, err
	}
	open := wire.FromFile
	if only {
		open = wire.Waiting
	}
	wc, err := open(sock)
	if err != nil {
		counts.unmap()
		return nil, err
	}
	p := &Peer{
		wire: wc, send: wc.Send, counts: counts,
		forwarded: make(map[uint64]*forwarded),
		serving:   make(map[uint64]*stream),
		asked:     make(map[uint64]chan struct{}),

		exchanged:  make(map[uint64]exchanged),
		exchanging: make(map[uint64]*exchanging),
	}
	p.copies.wanted, p.copies.stop = context.WithCancel(context.Background())
	return p, nil
}

// CloseWrite tells the peer that no more connections come.
func (p *Peer) CloseWrite() error { return p.wire.CloseWrite() }

// CloseRead ends Receive once all that came is received: p's process is dead, though
// its end of the socket may be open elsewhere.
func (p *Peer) CloseRead() { p.wire.CloseRead() }

// Close ends the peer's socket.
func (p *Peer) Close() error { return p.wire.Close() }

// Quiet is called now and then: while nothing comes from p, nobody who waits for it costs memory.
func (p *Peer) Quiet() { p.wire.Quiet() }

// AwaitEnd returns once p's process has ended, after an error of Receive. What it
// still gives is dropped: p has it again by its counts.
func (p *Peer) AwaitEnd() { p.wire.Discard() }

// Dead reports whether the peer takes nothing more.
func (p *Peer) Dead() bool { return p.dead.Load() }

// give gives c, with what was read of it, to the peer, and takes c over. After
// an error c is still the caller's.
func (p *Peer) give(c *Conn) error { return p.giveFor(c, 0, nil) }

// giveFor gives c as the connection of a request that the peer serves. Where it
// returns no error, given is called once c has arrived, or the peer is dead.
func (p *Peer) giveFor(c *Conn, stream uint64, given func()) error {
	if c.server.Lends {
		return errLends
	}
	m := c.message()
	m.stream = stream
	sc, err := c.syscallConn()
	if err != nil {
		return err
	}
	if c.sealed != nil {
		keys, err := c.sealed.State()
		if err != nil {
			return err
		}
		m.keys = keys.Append(nil)
	}
	pause := time.Millisecond
	for {
		err := p.sendFD(sc, c, &m, given)
		if err == nil {
			c.server.Counts.Moved.Add(1)
			return nil
		}
		if !wire.Passing(err) && err != errManyOnTheirWay {
			return err
		}
		// Too many descriptors are on their way: some arrive by and by.
		time.Sleep(pause)
		pause = min(2*pause, 50*time.Millisecond)
		if p.Dead() {
			return err
		}
	}
}

var errManyOnTheirWay = errors.New("too many connections are on their way")

// crowded reports whether the peer has no bit for one more connection.
func (p *Peer) crowded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.kept) >= recent {
		p.release()
	}
	return len(p.kept) >= recent
}

func (p *Peer) sendFD(sc syscall.RawConn, c *Conn, m *message, given func()) error {
	p.order.Lock()
	defer p.order.Unlock()
	if p.crowded() {
		return errManyOnTheirWay
	}
	// From its arrival on it is the peer's.
	before := c.become(left)
	var markErr, sendErr error
	err := sc.Control(func(fd uintptr) {
		if markErr = c.server.mark(int(fd), m); markErr != nil {
			return
		}
		sendErr = p.send(kindConn, []int{int(fd)}, m.head(nil), m.bytes)
	})
	if err == nil {
		err = markErr
	}
	if err == nil && sendErr != nil {
		err = sendErr
		if !wire.Passing(err) {
			p.dead.Store(true)
		}
	}
	if err != nil {
		c.become(before)
		return err
	}
	p.sent++
	p.conns++
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.given {
		c.become(before)
		return net.ErrClosed // its process is dead: it took nothing
	}
	p.kept = append(p.kept, kept{seq: p.sent, nth: p.conns, conn: c, idle: m.idle, stream: m.stream, given: given})
	p.release()
	return nil
}

// took counts a request that the peer has sent.
func (p *Peer) took() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.given {
		p.counts.ours.taken.Add(1)
	}
}

// tookConn counts a connection that the peer has sent. Where there is no
// descriptor for it here, it was missed, and the peer has it still.
func (p *Peer) tookConn(missed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.came++
	if !p.given {
		p.counts.ours.note(p.came, missed)
		p.counts.ours.taken.Add(1)
	}
}

// fullFor is how long a peer that has missed a connection is left alone.
const fullFor = 200 * time.Millisecond

// isFull reports whether the peer has lately had no descriptor for a connection.
func (p *Peer) isFull() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.full.IsZero() && time.Now().Before(p.full)
}

// release closes what the peer has taken, and takes back what it has missed. The
// lock is held.
func (p *Peer) release() {
	if p.given {
		return
	}
	taken := p.counts.theirs.taken.Load()
	n := 0
	for n < len(p.kept) && p.kept[n].seq <= taken {
		k := p.kept[n]
		missed := p.counts.theirs.hasMissed(k.nth)
		if missed {
			p.full = time.Now().Add(fullFor)
		}
		switch {
		case missed && k.loan != nil:
			if !k.loan.fetch {
				k.loan.seq = math.MaxUint64 // it was not taken
			}
			go k.loan.missed()
		case missed:
			go k.conn.server.missed(p, k)
		case k.loan != nil:
			k.loan.taken()
		default:
			k.conn.drop()
			k.arrived()
		}
		p.kept[n] = kept{}
		n++
	}
	p.kept = append(p.kept[:0], p.kept[n:]...)
	if len(p.kept) == 0 {
		return
	}
	if p.sweep == nil {
		p.sweep = time.AfterFunc(sweepAfter, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.release()
		})
	} else {
		p.sweep.Reset(sweepAfter)
	}
}

// arrived says that the connection is where it belongs, or never will be.
func (k *kept) arrived() {
	if k.given != nil {
		k.given()
	}
}

// lost gives a dead peer up and returns the connections and requests that it has
// not taken, which are the caller's again, the requests that it has, and those of
// connections that stayed, whose waiters are to be told.
func (p *Peer) lost() (conns []kept, again, ended []*forwarded, xs []exchanged) {
	// Who is sending notes first what went out: the peer may have taken it, and
	// died of it, meanwhile.
	p.order.Lock()
	defer p.order.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release()
	if p.given {
		return nil, nil, nil, nil
	}
	taken := p.counts.theirs.taken.Load()
	p.given = true
	p.counts.unmap()
	for id, f := range p.forwarded {
		if f.seq > taken {
			again = append(again, f)
		} else {
			ended = append(ended, f)
		}
		delete(p.forwarded, id)
	}
	for _, x := range p.exchanged { // each forgets itself
		x.taken = x.seq <= taken
		xs = append(xs, x)
	}
	conns, p.kept = p.kept, nil
	return conns, again, ended, xs
}

// message describes c as it is between two requests, or with a whole one at its
// front.
func (c *Conn) message() message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return message{
		history: c.history,
		idle:    c.r == c.w,
		wait:    c.remaining(),
		remote:  textOf(c.remote),
		local:   textOf(c.local),
		tls:     c.tls,
		bytes:   c.pending(),
	}
}

// conn makes a connection of what p has sent.
func (s *Server) conn(p *Peer, f wire.Frame, m message, cookie uint64) (*Conn, error) {
	remote, local := addrOf(m.remote), addrOf(m.local)
	state, err := p.stateOf(m.tls)
	if err != nil {
		closeAll(f.FDs)
		return nil, err
	}
	nc, err := s.open(f.FDs[0], remote, local, state, m.keys)
	if err != nil {
		return nil, err
	}
	if u, ok := nc.(*net.UnixConn); ok && m.loan != 0 {
		nc = &told{u, remote, local}
	}
	c := s.newConn(nc, remote, local)
	if m.loan != 0 {
		c.loan = &loan{peer: p, id: m.loan, waits: m.waits}
	}
	c.history, c.cookie = m.history, cookie
	c.tls, c.state = m.tls, state
	c.deadline = time.Time{}
	if m.wait > 0 {
		c.deadline = time.Now().Add(m.wait)
	}
	if !m.idle {
		c.phase = head
	}
	if len(m.bytes) > 0 {
		size := max(bufferSize, len(m.bytes))
		if !c.grow(size - bufferSize) {
			c.drop()
			return nil, errTooLarge
		}
		c.buf = make([]byte, size)
		c.w = copy(c.buf, m.bytes)
	}
	s.own(c)
	return c, nil
}

// open makes a connection of a descriptor, which is its from then on.
func (s *Server) open(fd int, remote, local net.Addr, state *tls.ConnectionState, encoded []byte) (net.Conn, error) {
	nc, err := s.opened(fd, remote, local)
	if err != nil || state == nil {
		return nc, err
	}
	if encoded == nil {
		if u, ok := nc.(*net.UnixConn); ok {
			return &secured{told: told{u, remote, local}, state: state}, nil
		} else if s.Route != nil {
			return nc, nil // no handler gets it
		}
	}
	keys, err := tls13.Decode(encoded)
	if t, ok := nc.(tls13.Transport); ok && err == nil {
		var sealed *secured
		if sealed, err = newSealed(t, remote, local, state, keys); err == nil {
			return sealed, nil
		}
	}
	nc.Close()
	return nil, errors.Join(errMessage, err)
}

// opened is open, but for TLS.
func (s *Server) opened(fd int, remote, local net.Addr) (net.Conn, error) {
	if s.Route != nil {
		err := syscall.SetNonblock(fd, true)
		if err != nil {
			syscall.Close(fd)
			return nil, os.NewSyscallError("fcntl", err)
		}
		return &socket{fd: fd, remote: remote, local: local}, nil
	}
	// A handler may hijack it: it has to be package net's.
	file := os.NewFile(uintptr(fd), "connection")
	defer file.Close()
	return net.FileConn(file)
}

// localOf returns the address of a text; most often it is the same.
func (p *Peer) localOf(text string) net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.localText != text {
		p.localText, p.local = text, addrOf(text)
	}
	return p.local
}

// orphan ends what is served for a peer that gives nothing more.
func (p *Peer) orphan() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, st := range p.serving {
		st.orphan()
	}
	for _, e := range p.exchanging {
		e.cancel(true)
	}
}

// confirmWait bounds how long a handler waits for the peer's descriptor to go.
const confirmWait = 100 * time.Millisecond

// alone returns once the peer has no descriptor any more of what it has given. A
// handler's Close of a connection ends it only then.
func (p *Peer) alone() {
	confirmed := make(chan struct{})
	p.mu.Lock()
	p.number++
	id := p.number
	p.asked[id] = confirmed
	p.mu.Unlock()
	a := answer{stream: id}
	if p.wire.Post(kindTaken, a.head(nil)) == nil {
		late := time.NewTimer(confirmWait)
		defer late.Stop()
		select {
		case <-confirmed:
		case <-late.C: // it is stopped, or dead
		}
	}
	p.mu.Lock()
	delete(p.asked, id)
	p.mu.Unlock()
}

// letGo is the confirmation.
func (p *Peer) letGo(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.asked[id]; c != nil {
		delete(p.asked, id)
		close(c)
	}
}
