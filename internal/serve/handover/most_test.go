package handover

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"
)

// Connections count wherever they are, and what a handler has hijacked until that is
// closed; whoever is beyond the most waits, and is served once another has ended.
func TestMostConnections(t *testing.T) {
	full, hijacked := make(chan int, 1), make(chan func() error, 1)
	mux := http.NewServeMux()
	a, b, address := newSides(t, Limits{MaxConns: 4}, func(s *side) {
		if s.name == "a" {
			s.srv.Full = func(n int) { full <- n }
			return
		}
		mux.Handle("/b", s)
		mux.HandleFunc("/b/hijack", func(w http.ResponseWriter, r *http.Request) {
			nc, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			hijacked <- nc.Close
		})
		s.srv.Mux = func() Mux { return mux }
	})
	var resting []*client
	for range 2 { // in the other process
		c := dial(t, address)
		for range 10 {
			c.write(fmt.Sprintf(get, "b"))
			c.expect("b", "GET", "/b", "")
		}
		resting = append(resting, c)
	}
	await(t, "both are b's", func() bool { return a.srv.Conns() == 0 && b.srv.Conns() == 2 })
	dial(t, address).write(fmt.Sprintf(get, "b/hijack"))
	closeIt := <-hijacked
	idle := dial(t, address)
	select {
	case most := <-full:
		if most != 4 {
			t.Errorf("full with %d", most)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it is not full")
	}

	// Each end lets one more in, and no more.
	for name, end := range map[string]func(){
		"one in the other process": func() { resting[0].conn.Close() },
		"one that was hijacked":    func() { closeIt() },
		"one that has not asked":   func() { idle.conn.Close() },
	} {
		c := dial(t, address)
		c.write(fmt.Sprintf(get, "b"))
		c.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := c.br.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the fifth is not kept waiting: %v", name, err)
		}
		c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		end()
		c.expect("b", "GET", "/b", "")
	}
}

// A process that is to accept knows what others have had before it.
func TestMostConnectionsOfOthers(t *testing.T) {
	a, b, address := newSides(t, Limits{MaxConns: 2})
	c := dial(t, address)
	for range 10 {
		c.write(fmt.Sprintf(get, "b"))
		c.expect("b", "GET", "/b", "")
	}
	await(t, "the connection is b's", func() bool { return a.srv.Conns() == 0 })
	a.srv.unjoin(a.other)
	if n := a.srv.vacant(); n != 2 {
		t.Errorf("room for %d without b", n)
	}
	a.srv.Join(a.other)
	a.srv.awaitTold()
	if n := a.srv.vacant(); n != 1 {
		t.Errorf("room for %d, %d connections are b's", n, b.srv.Conns())
	}
}
