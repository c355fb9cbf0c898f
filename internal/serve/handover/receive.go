package handover

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/wire"
	"github.com/andrestc/go-plugserver/internal/serve/http1"
)

// Receive takes what p gives. It does not wait: ended is called once p gives no more, or is dead (nil). After an
// error p may go on giving, and not know that nothing is taken.
func (s *Server) Receive(p *Peer, ended func(error)) {
	if s.Route != nil {
		p.wire.Limit(s.maxReplay() + maxHeadOfMessage)
	}
	r := &receiver{server: s, peer: p, ended: ended}
	if !p.wire.Later(r.run) {
		go r.run()
	}
}

// receiver reads what a peer sends. Short requests it serves itself, one after
// the other, and their answers leave together: no goroutine has to be woken for
// them, which would cost more than they do. Where one takes longer, another
// goroutine goes on reading.
type receiver struct {
	server *Server
	peer   *Peer
	ended  func(error) // is called once the peer gives no more

	// step is odd while the goroutine that reads serves a request. Who makes
	// it even sees to the reading: that goroutine, when the request has ended,
	// or pass, which makes another one read. So there is never more than one.
	step    atomic.Uint64
	watched atomic.Bool // a goroutine watches for how long it stays odd
	pace    pace

	owed owed // by goOn; the goroutine's that reads
}

// pass makes another goroutine read, if the request of that step is still
// being served by the one that reads, which is to end then. Any goroutine may
// call it, at any time.
func (r *receiver) pass(step uint64) bool {
	if !r.step.CompareAndSwap(step, step+1) {
		return false
	}
	r.peer.wire.Flush()
	go r.run()
	return true
}

// run reads until there is no more, or another goroutine does.
func (r *receiver) run() {
	s, p := r.server, r.peer
	for {
		if !p.wire.Buffered() {
			r.owed.deliver()
			p.wire.Flush()
		}
		f, err := p.wire.Recv()
		switch {
		case err != nil:
		case len(f.FDs) > 0 && f.Kind != kindConn:
			closeAll(f.FDs)
			err = errMessage
		case s.Route != nil && (f.Kind == kindRequest || f.Kind == kindExchange || f.Kind == kindCopy):
			err = errForward
		case f.Kind == kindRequest:
			p.took() // before anything of it is served
			var m message
			if m, err = decode(f.Body); err == nil && !r.serve(m) {
				return
			}
		case f.Kind == kindExchange, f.Kind == kindCopy:
			p.took()
			var m message
			if m, err = decode(f.Body); err == nil && !r.exchange(m, f.Kind == kindCopy) {
				return
			}
		case f.Kind == kindParts, f.Kind == kindWord:
			var a answer
			if a, err = decodeAnswer(f.Body); err == nil {
				err = p.exchangeParts(f.Kind, a)
			}
		case f.Kind == kindAnswer, f.Kind == kindFetch:
			var a answer
			if a, err = decodeAnswer(f.Body); err == nil {
				err = r.heard(f.Kind, a)
			}
		default:
			err = s.received(p, f)
		}
		if err != nil && !r.goesOn(err) {
			return
		}
	}
}

// goesOn reports whether the caller is to go on reading after the error.
func (r *receiver) goesOn(err error) bool {
	p := r.peer
	r.owed.deliver()
	switch {
	case err == wire.ErrQuiet:
		return !p.wire.Later(r.run)
	case errors.Is(err, wire.ErrFDsLost):
		p.tookConn(true)
		r.server.full()
		return true
	case ended(err):
		err = nil
	}
	p.orphan()
	r.ended(err)
	return false
}

// What no server sends to one that accepts.
var (
	errForward = errors.New("a request from a process that accepts none")
	errAnswer  = errors.New("more of an answer than is forwarded")
	errReplay  = errors.New("more of a client's bytes than are ever read ahead")
)

// patience is how long a request may keep the others waiting.
const patience = time.Millisecond

// beWatched sees to it that watch runs.
func (r *receiver) beWatched() {
	if !r.watched.Load() && r.watched.CompareAndSwap(false, true) {
		go r.watch()
	}
}

// watch makes another goroutine read where a request takes too long. It ends
// when there were none for a while.
func (r *receiver) watch() {
	tick := time.NewTicker(patience)
	defer tick.Stop()
	for quiet, last := 0, uint64(0); quiet < 20; {
		<-tick.C
		now := r.step.Load()
		switch {
		case now != last:
			quiet = 0
		case now%2 == 1:
			r.pass(now)
		default:
			quiet++
		}
		last = now
	}
	r.watched.Store(false)
	if r.step.Load()%2 == 1 {
		r.beWatched() // one has begun meanwhile, and took this for its watch
	}
}

// serve serves a forwarded request, at once or on a goroutine of its own. It
// reports whether the caller is to go on reading.
func (r *receiver) serve(m message) (reads bool) {
	// Who reads next has the buffer: nothing may be left in it.
	var scan http1.Scanner
	plain := scan.Scan(m.bytes) == http1.Whole && scan.Plain
	head := string(m.bytes)
	if !r.pace.short() {
		go r.server.serveStream(r.peer, m, head, plain, nil)
		return true
	}
	return r.here(func(aside func()) *Conn {
		return r.server.serveStream(r.peer, m, head, plain, aside)
	})
}

// exchange is serve for a request of a connection that stays with the peer.
func (r *receiver) exchange(m message, copied bool) (reads bool) {
	e := r.server.take(r.peer, m, copied)
	switch {
	case e == nil:
		return true
	case e.HasBody() || !r.pace.short():
		go r.server.answerExchange(e, nil)
		return true
	}
	return r.here(func(aside func()) *Conn {
		r.server.answerExchange(e, aside)
		return nil
	})
}

// here serves a request on the goroutine that reads, by f, which returns the request's
// connection where it was fetched and carries another.
func (r *receiver) here(f func(aside func()) *Conn) (reads bool) {
	began, step := time.Now(), r.step.Add(1)
	r.beWatched()
	defer func() {
		// The handler may have ended the goroutine (runtime.Goexit): then
		// another one has to read. Who reads already may be waiting.
		if !reads && !r.pass(step) {
			r.peer.wire.Flush()
		}
	}()
	c := f(func() { r.pass(step) })
	r.pace.took(time.Since(began))
	if c != nil {
		r.pass(step)
		r.server.serve(c)
		return false
	}
	return r.step.CompareAndSwap(step, step+1)
}

// pace estimates how long requests take.
type pace struct {
	mu    sync.Mutex
	mean  time.Duration // over the last few
	until time.Time     // they have goroutines of their own
}

const (
	// tooLong is the mean beyond which requests had better run side by side.
	tooLong = 100 * time.Microsecond
	// asideFor is for how long they do before they are looked at again.
	asideFor = time.Second
)

// short reports whether a request is likely to take a moment only.
func (p *pace) short() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.until.IsZero() || time.Now().After(p.until)
}

func (p *pace) took(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mean += (d - p.mean) / 16
	p.until = time.Time{}
	if p.mean > tooLong {
		p.mean, p.until = tooLong/2, time.Now().Add(asideFor)
	}
}

// received sees to one frame that is no request.
func (s *Server) received(p *Peer, f wire.Frame) error {
	switch f.Kind {
	case kindConn:
		return s.receivedConn(p, f)
	case kindTaken:
		a, err := decodeAnswer(f.Body)
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.release()
		p.mu.Unlock()
		// A peer that was told that nothing more comes cannot be told this,
		// and goes on giving.
		p.wire.Post(kindLetGo, a.head(nil))
		return nil
	case kindLetGo:
		a, err := decodeAnswer(f.Body)
		if err == nil {
			p.letGo(a.stream)
		}
		return err
	case kindLost:
		a, err := decodeAnswer(f.Body)
		if err != nil {
			return err
		}
		p.mu.Lock()
		st := p.serving[a.stream]
		p.mu.Unlock()
		if st != nil {
			st.arrived(nil)
		}
		return nil
	default:
		return errMessage
	}
}

func (s *Server) receivedConn(p *Peer, f wire.Frame) error {
	m, err := decode(f.Body)
	var cookie uint64
	switch {
	case err != nil:
	case len(f.FDs) != 1:
		err = errMessage
	case s.Lends:
		err = errLends
	case s.Route != nil && len(m.bytes) > s.maxReplay():
		err = errReplay
	default:
		cookie, err = s.verify(f.FDs[0], &m)
	}
	if err != nil {
		closeAll(f.FDs)
		p.tookConn(false)
		return err
	}
	c, err := s.conn(p, f, m, cookie)
	if err != nil {
		if exhausted(err) {
			return wire.ErrFDsLost
		}
		p.tookConn(false)
		s.http.ErrorLog.Printf("take over connection: %v", err)
		return nil
	}
	p.tookConn(false) // before anything of it is served
	c.from, c.chosen = p, m.stream == 0 && !m.idle
	if m.stream != 0 {
		p.mu.Lock()
		st := p.serving[m.stream]
		p.mu.Unlock()
		if st != nil {
			st.arrived(c)
			return nil
		}
		if c.loan != nil {
			c.close() // the handler has gone
			return nil
		}
	}
	if s.retired.Load() && m.idle {
		c.evict()
	}
	go s.serve(c)
	return nil
}

// ended reports whether a Recv has failed because the other process has ended, or
// this one has closed its end. What was on its way then may be cut, or lost
// (ECONNRESET, unix(7)): the counts tell what was taken.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed)
}

// exhausted reports whether err is for want of something that comes back.
func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) ||
		errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.ENOBUFS)
}

func closeAll(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd)
	}
}
