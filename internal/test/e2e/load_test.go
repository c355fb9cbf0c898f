package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// lives are the times between which a version of a handler may answer. Both
// ends err on the handler's side: it cannot be live before its file is there,
// and its successor may have been live a while before that was logged and read.
type lives struct {
	mu      sync.Mutex
	dropped []time.Time // by version: when the file was about to be dropped
	live    []time.Time // by version: when it was known to be live everywhere
}

func (l *lives) check(a testbed.Answer) error {
	v, err := strconv.Atoi(strings.TrimPrefix(string(a.Body), "v"))
	if a.Status != 200 || err != nil {
		return fmt.Errorf("got %d %q", a.Status, a.Body)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case v >= len(l.dropped) || l.dropped[v].After(a.Ended):
		return fmt.Errorf("version %d answered before it existed", v)
	case v+1 < len(l.live) && l.live[v+1].Before(a.Began):
		return fmt.Errorf("version %d answered a request that began %v after version %d was live",
			v, a.Began.Sub(l.live[v+1]), v+1)
	}
	return nil
}

// A handler is replaced again and again under clients that post without
// pause, while others come and go. Nobody may notice, and every answer must
// be of a version that was live when it was asked for.
func TestReloadUnderLoad(t *testing.T) {
	replacements := 100
	if testing.Short() {
		replacements = 20
	}
	d := testbed.Start(t)
	var l lives
	put := func(n int) {
		p := plain(t, "/busy", number(n))
		mark := d.Log.Len()
		l.mu.Lock()
		l.dropped = append(l.dropped, time.Now())
		l.mu.Unlock()
		d.Drop("busy", p)
		e := d.WaitLive(mark, "busy", p)
		l.mu.Lock()
		l.live = append(l.live, e.At)
		l.mu.Unlock()
	}
	put(0)
	d.Put("calm", plain(t, "/calm", "calm"))

	check := func(path string, a testbed.Answer) error {
		if path == "/busy" {
			return l.check(a)
		}
		if a.Status != 200 || string(a.Body) != "calm" {
			return fmt.Errorf("%s: got %d %q", path, a.Status, a.Body)
		}
		return nil
	}
	loads := []*testbed.Load{
		testbed.Plan{Addr: d.Addr, Clients: 40, Paths: []string{"/busy"}, Check: check}.Run(t),
		testbed.Plan{Addr: d.Addr, Clients: 12, Paths: []string{"/busy", "/calm"}, Check: check}.Run(t),
		testbed.Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/calm"}, Check: check}.Run(t),
		// Clients that think between two requests: their connections are idle
		// when the handler is replaced.
		testbed.Plan{Addr: d.Addr, Clients: 8, Paths: []string{"/busy"}, Check: check,
			Pause: func(int) time.Duration { return time.Duration(rand.IntN(20)) * time.Millisecond }}.Run(t),
	}

	// Others come, are replaced and go all the time.
	stop, others := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { others <- n }()
		for ; ; n++ {
			name := fmt.Sprintf("other%d", n%3)
			mark := d.Log.Len()
			p := plain(t, "/"+name, number(n))
			d.Drop(name, p)
			if _, err := d.Log.Wait(mark, testbed.Patience, func(e testbed.Entry) bool {
				return e.Msg() == "live: "+name && e.Get("version") == p.Version
			}); err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			if n%2 == 1 {
				d.Remove(name)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	began := time.Now()
	for n := range replacements {
		put(n + 1)
		if t.Failed() {
			break
		}
	}
	took := time.Since(began)
	close(stop)
	n := <-others
	var requests, failed, closed int64
	var errs []error
	for _, load := range loads {
		load.End()
		requests += load.Requests.Load()
		failed += load.Failed.Load()
		closed += load.Closed.Load() + load.Goodbyes.Load()
		errs = append(errs, load.Errors())
	}
	t.Logf("%d replacements, %d others, 64 clients, %d requests in %v: %d failed, %d closed",
		replacements, n, requests, took.Round(time.Millisecond), failed, closed)
	if failed+closed > 0 {
		t.Errorf("%d failed, %d closed: %v", failed, closed, errors.Join(errs...))
	}
	if requests < int64(replacements)*64 {
		t.Errorf("%d requests are no load", requests)
	}
}
