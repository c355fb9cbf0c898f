package load

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/andrestc/go-plugserver/bench/tree"
	"golang.org/x/sys/unix"
)

// patience is how long nothing at all may come; a test has less.
var patience = 10 * time.Second

// loop drives all connections. It allocates nothing once all are open.
type loop struct {
	spec    Spec
	to      unix.SockaddrInet4
	ep      int
	batches [][]byte
	buf     []byte // what is being parsed
	conns   []*conn
	answers int64
	ending  bool      // send nothing more
	busy    int       // connections that wait for an answer
	last    time.Time // when anything came
	rand    *rand.Rand
}

// Run makes the load, and measures. Any answer that is wrong or fails is an
// error.
func Run(s Spec) (Result, error) {
	if s.TLS || s.Streams > 0 {
		return drive(s)
	}
	s.Batch = max(s.Batch, 1)
	addr, err := netip.ParseAddrPort(s.Addr)
	if err != nil {
		return Result{}, err
	}
	l := &loop{
		spec: s, batches: s.batches(), buf: make([]byte, 256<<10), rand: rand.New(rand.NewPCG(1, 2)),
		to: unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()},
	}
	if l.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return Result{}, err
	}
	defer unix.Close(l.ep)
	defer func() {
		for _, c := range l.conns {
			if c.fd >= 0 {
				unix.Close(c.fd)
			}
		}
	}()
	for i := range s.Conns {
		c := &conn{id: i, next: i % len(s.Requests)}
		l.conns = append(l.conns, c)
		if err := l.open(c); err != nil {
			return Result{}, err
		}
	}
	l.last = time.Now()
	return measure(s, l)
}

// engine makes the load.
type engine interface {
	until(time.Time) error // makes it until then
	count() int64          // of answers
	finish() error         // asks nothing more, and waits for what is to come
}

type snapshot struct {
	at       time.Time
	answers  int64
	cpu, own time.Duration
}

func look(s Spec, e engine) (sn snapshot, err error) {
	sn.answers = e.count()
	if sn.cpu, err = tree.CPU(s.PIDs); err != nil {
		return sn, err
	}
	sn.own, err = tree.Own()
	sn.at = time.Now()
	return sn, err
}

func measure(s Spec, e engine) (Result, error) {
	if err := e.until(time.Now().Add(s.Warm)); err != nil {
		return Result{}, err
	}
	from, err := look(s, e)
	if err != nil {
		return Result{}, err
	}
	if err := e.until(from.at.Add(s.Time)); err != nil {
		return Result{}, err
	}
	for e.count() == from.answers { // a slow machine measures for longer
		if err := e.until(time.Now().Add(s.Time)); err != nil {
			return Result{}, err
		}
	}
	to, err := look(s, e)
	if err != nil {
		return Result{}, err
	}
	if err := e.finish(); err != nil {
		return Result{}, err
	}
	return Result{to.answers - from.answers, to.at.Sub(from.at), to.cpu - from.cpu, to.own - from.own}, nil
}

func (l *loop) count() int64 { return l.answers }

func (l *loop) finish() error {
	l.ending = true
	return l.until(time.Time{})
}

// until serves the connections until then, or where that is zero until none
// of them waits for an answer.
func (l *loop) until(then time.Time) error {
	events := make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(l.ep, events, 100)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			c := l.conns[e.Fd]
			if err := l.serve(c, e.Events); err != nil {
				return fmt.Errorf("connection %d: %w", c.id, err)
			}
		}
		now := time.Now()
		if n > 0 {
			l.last = now
		}
		// First, as the time may be shorter than patience, and come again.
		if now.Sub(l.last) > patience {
			return fmt.Errorf("no answer within %v; %d connections wait", patience, l.busy)
		}
		if then.IsZero() && l.busy == 0 || !then.IsZero() && !now.Before(then) {
			return nil
		}
	}
}
