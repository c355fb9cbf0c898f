package handover

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const post = "POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"

// A connection that cannot be sent for now, as too many descriptors are on their
// way, is sent again; its peer is none the worse.
func TestSendFailsForNow(t *testing.T) {
	for _, err := range []error{syscall.ETOOMANYREFS, syscall.ENOBUFS, syscall.ENOMEM} {
		t.Run(err.Error(), func(t *testing.T) {
			a, b, address := newSides(t, Limits{})
			var tries atomic.Int64
			send := a.other.send
			a.other.send = func(kind byte, fds []int, parts ...[]byte) error {
				if tries.Add(1) <= 3 {
					return os.NewSyscallError("sendmsg", err)
				}
				return send(kind, fds, parts...)
			}
			c := dial(t, address)
			for range 2 { // a's, and then b's own
				c.write(fmt.Sprintf(post, "b"))
				c.expect("b", "POST", "/b", "body")
			}
			if tries.Load() != 4 || a.other.Dead() || b.saw.Load() != 2 {
				t.Errorf("%d tries, b answered %d; the peer is dead: %v", tries.Load(), b.saw.Load(), a.other.Dead())
			}
		})
	}
}

// A connection whose descriptor its receiver had no room for is the sender's
// again, and is served once there is: by the one side or by the other.
func TestDescriptorLost(t *testing.T) {
	a, b, address := newSides(t, Limits{IdleTimeout: time.Minute})
	c := dial(t, address)
	lost := func(by *side, f func()) {
		t.Helper()
		_, before := by.other.cameLast()
		relieve := noDescriptors(t)
		f()
		await(t, "the descriptor is lost", func() bool {
			missed, n := by.other.cameLast()
			return missed && n > before
		})
		relieve()
	}
	c.write(fmt.Sprintf(get, "a"))
	c.expect("a", "GET", "/a", "")
	lost(b, func() { c.write(fmt.Sprintf(post, "b")) })
	c.expect("b", "POST", "/b", "body")
	await(t, "the connection is b's alone", func() bool { return a.srv.Conns() == 0 && b.srv.Conns() == 1 })
	lost(a, func() { c.write(fmt.Sprintf(post, "a")) })
	c.expect("a", "POST", "/a", "body")
	// Idle ones, too.
	c.write(fmt.Sprintf(post, "b"))
	c.expect("b", "POST", "/b", "body")
	await(t, "the connection rests in b", func() bool { return a.srv.Conns() == 0 && b.srv.Conns() == 1 })
	lost(a, func() { b.srv.Retire() })
	await(t, "the connection is a's", func() bool { return a.srv.Conns() == 1 && b.srv.Conns() == 0 })
	c.write(fmt.Sprintf(get, "a"))
	c.expect("a", "GET", "/a", "")
	if a.other.Dead() || b.other.Dead() {
		t.Error("a peer is dead")
	}
}

// A client for whom there is no descriptor waits in the listener's queue.
func TestAcceptWaits(t *testing.T) {
	failed := make(chan string, 100)
	const many = 1 << 30
	a, _, address := newSides(t, Limits{}, func(s *side) {
		s.srv.http.ErrorLog = log.New(lines(failed), "", 0)
		if s.name == "a" {
			s.srv.count.Add(many) // it does not accept
		}
	})
	c := dial(t, address)
	c.write(fmt.Sprintf(get, "b"))
	relieve := noDescriptors(t)
	a.srv.count.Add(-many)
	if said := <-failed; !strings.HasPrefix(said, "accept: ") {
		t.Errorf("logged %q", said)
	}
	relieve()
	c.expect("b", "GET", "/b", "")
}

type lines chan string

func (l lines) Write(p []byte) (int, error) { l <- string(p); return len(p), nil }

// An operator may change the limit of a process that runs (prlimit(1)), which has
// descriptors for other things, too.
func TestLimitChanges(t *testing.T) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	s := NewServer(context.Background(), http.NotFoundHandler(), Limits{}, log.New(testLog{t}, "", 0))
	s.Route = func(*http.Request) Dest { return Dest{Handler: http.NotFoundHandler()} }
	address := listening(t, s)
	dial(t, address)
	await(t, "a client was accepted", func() bool { return s.count.Load() == 1 })
	await(t, "others are known", func() bool { return s.others.Load() > 0 })
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)
	for _, tt := range []struct {
		limit, conns int64 // beside the others
		many         bool
	}{{100, 75, false}, {100, 76, true}, {200, 76, false}, {4000, 3872, false}, {4000, 3873, true}, {0, 1, true}, {0, 0, false}} {
		l := old
		l.Cur = uint64(tt.limit + s.others.Load())
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
			t.Fatal(err)
		}
		s.measure()
		was := s.count.Swap(tt.conns)
		if got := s.tooMany(); got != tt.many {
			t.Errorf("%d connections where there is room for %d: too many: %t", tt.conns, tt.limit, got)
		}
		s.count.Store(was)
	}
}

// cameLast says whether the last connection of the peer was missed, and its number.
func (p *Peer) cameLast() (missed bool, n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts.ours.hasMissed(p.came), p.came
}

// noDescriptors leaves the process no descriptor (getrlimit(2)), until relieve is
// called: whatever is closed meanwhile, the first three are in use.
func noDescriptors(t *testing.T) (relieve func()) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	set := func(l syscall.Rlimit) {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
			t.Fatal(err)
		}
	}
	set(syscall.Rlimit{Cur: 3, Max: old.Max})
	t.Cleanup(func() { set(old) })
	return func() { set(old) }
}

// That clients wait for want of descriptors is told.
func TestFullOfDescriptorsIsTold(t *testing.T) {
	s := NewServer(context.Background(), http.NotFoundHandler(), Limits{}, log.New(testLog{t}, "", 0))
	s.Route = func(*http.Request) Dest { return Dest{Handler: http.NotFoundHandler()} }
	full := make(chan int, 1)
	s.Full = func(most int) { full <- most }
	s.others.Store(1 << 21) // beyond every limit
	s.Beside(1)
	_, stop := accept(t, s)
	defer stop()
	select {
	case most := <-full:
		if most != 0 {
			t.Errorf("full with %d", most)
		}
	case <-time.After(10 * time.Second):
		t.Error("nobody is told")
	}
}
