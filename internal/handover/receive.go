package handover

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/http1"
	"github.com/andrestc/go-plugserver/internal/wire"
)

// Receive takes what p gives, until p gives no more (nil) or fails.
func (s *Server) Receive(p *Peer) error {
	defer p.orphan()
	p.mu.Lock()
	p.miss = s.missed
	p.mu.Unlock()
	r := &receiver{server: s, peer: p, done: make(chan error, 1)}
	go r.run(r.next())
	return <-r.done
}

// receiver reads what a peer sends. Short requests it serves itself, one after
// the other, and their answers leave together: no goroutine has to be woken for
// them, which would cost more than they do. Where one takes longer, another
// goroutine goes on reading.
type receiver struct {
	server *Server
	peer   *Peer
	done   chan error // capacity 1; the peer gives no more

	turn    atomic.Uint64 // of the goroutine that reads
	serving atomic.Uint64 // counts requests begun and ended: odd within one
	watched atomic.Bool   // a goroutine watches that
	pace    pace
}

// next begins a turn, and so ends the one before.
func (r *receiver) next() uint64 { return r.turn.Add(1) }

// pass makes another goroutine read, if turn is still under way. The caller is
// to end.
func (r *receiver) pass(turn uint64) {
	if r.turn.CompareAndSwap(turn, turn+1) {
		// What was being served is not the next goroutine's.
		if n := r.serving.Load(); n%2 == 1 {
			r.serving.CompareAndSwap(n, n+1)
		}
		r.peer.wire.Flush()
		go r.run(turn + 1)
	}
}

// run reads as long as it is its turn.
func (r *receiver) run(turn uint64) {
	returned := false
	defer func() {
		if !returned {
			r.pass(turn) // a handler has ended the goroutine (runtime.Goexit)
		}
	}()
	err := r.read(turn)
	returned = true
	if r.turn.Load() == turn {
		r.done <- err
	}
}

func (r *receiver) read(turn uint64) error {
	s, p := r.server, r.peer
	for r.turn.Load() == turn {
		if !p.wire.Buffered() {
			p.wire.Flush()
		}
		f, err := p.wire.Recv()
		if err == nil {
			err = r.received(turn, f)
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		case exhausted(err):
			p.lose()
			s.full()
		case errors.Is(err, errMessage):
			s.http.ErrorLog.Print(err)
		default:
			return err
		}
	}
	return nil
}

// patience is how long a request may keep the others waiting.
const patience = time.Millisecond

// watch passes the turn on where a request takes too long. It ends when there
// were none for a while.
func (r *receiver) watch() {
	defer r.watched.Store(false)
	tick := time.NewTicker(patience)
	defer tick.Stop()
	for quiet, last := 0, uint64(0); quiet < 20; {
		<-tick.C
		turn, now := r.turn.Load(), r.serving.Load()
		switch {
		case now != last:
			quiet = 0
		case now%2 == 1:
			r.pass(turn)
		default:
			quiet++
		}
		last = now
	}
}

// serve serves a forwarded request, at once or on a goroutine of its own.
func (r *receiver) serve(turn uint64, m message) {
	// Who reads next has the buffer: nothing may be left in it.
	var scan http1.Scanner
	plain := scan.Scan(m.bytes) == http1.Whole && scan.Plain
	head := string(m.bytes)
	if !r.pace.short() {
		go r.server.serveStream(r.peer, m, head, plain, nil)
		return
	}
	if !r.watched.Load() && r.watched.CompareAndSwap(false, true) {
		go r.watch()
	}
	began, n := time.Now(), r.serving.Add(1)
	c := r.server.serveStream(r.peer, m, head, plain, func() { r.pass(turn) })
	r.serving.CompareAndSwap(n, n+1)
	r.pace.took(time.Since(began))
	if r.turn.Load() != turn {
		r.peer.wire.Flush() // who reads now may be waiting
	}
	if c != nil {
		r.pass(turn)
		r.server.serve(c)
	}
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

// received sees to one frame.
func (r *receiver) received(turn uint64, f wire.Frame) error {
	s, p := r.server, r.peer
	switch f.Kind {
	case kindConn:
		return s.receivedConn(p, f)
	case kindRequest:
		m, err := decode(f.Body)
		p.took() // before anything of it is served
		if err != nil {
			return err
		}
		r.serve(turn, m)
		return nil
	case kindAnswer, kindFetch:
		a, err := decodeAnswer(f.Body)
		if err == nil {
			p.heard(f.Kind, a)
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
		closeAll(f.FDs)
		return errMessage
	}
}

func (s *Server) receivedConn(p *Peer, f wire.Frame) error {
	m, err := decode(f.Body)
	if err == nil && len(f.FDs) != 1 {
		err = errMessage
	}
	if err != nil {
		closeAll(f.FDs)
		p.took()
		return err
	}
	c, err := s.conn(f, m)
	if err != nil {
		if exhausted(err) {
			return err
		}
		p.took()
		s.http.ErrorLog.Printf("take over connection: %v", err)
		return nil
	}
	p.took() // before anything of it is served
	if m.stream != 0 {
		p.mu.Lock()
		st := p.serving[m.stream]
		p.mu.Unlock()
		if st != nil {
			st.arrived(c)
			return nil
		}
	}
	if s.retired.Load() && m.idle {
		c.evict()
	}
	go s.serve(c)
	return nil
}

func exhausted(err error) bool {
	return errors.Is(err, wire.ErrFDsLost) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

func closeAll(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd)
	}
}
