package e2e

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

var (
	changesFlag = flag.Int("changes", 50, "how many changes TestReloadUnderEveryClient makes")
	hurryFlag   = flag.Bool("hurry", false, "TestReloadUnderEveryClient makes ten changes a second, whether or not those before are live")
)

// tally counts what clients of one kind have seen.
type tally struct {
	requests, failed, closed atomic.Int64
	mu                       sync.Mutex
	errs                     []error
}

func (ta *tally) note(err error) {
	switch {
	case err == nil:
		return
	case errors.Is(err, os.ErrDeadlineExceeded):
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errGoodbye), strings.Contains(err.Error(), "reset"), strings.Contains(err.Error(), "pipe"):
		ta.closed.Add(1)
	}
	ta.failed.Add(1)
	ta.mu.Lock()
	defer ta.mu.Unlock()
	if len(ta.errs) < 3 {
		ta.errs = append(ta.errs, err)
	}
}

// A turn is what a client does once with its connection. It counts requests.
type turn func(c *wireClient, ta *tally) error

// one sends a request as the segments go, and reads its answer.
func one(c *wireClient, ta *tally, r reloadRequest, largest int, pause time.Duration) error {
	ta.requests.Add(1)
	if err := c.send(r.bytes, largest, pause); err != nil {
		return err
	}
	return c.receive(200, r.want, nil)
}

// side is the path of one of the two handlers that are replaced.
func side(rnd *rand.Rand) string { return []string{"/left", "/right"}[rnd.IntN(2)] }

// turns are the kinds of clients; those that are fresh connect for each turn.
var turns = []struct {
	name  string
	fresh bool
	do    turn
}{
	{"keeps alive", false, func(c *wireClient, ta *tally) error {
		return one(c, ta, randomRequest(c.rnd, "/left/echo", 300, -1, false), 0, 0)
	}},
	{"thinks", false, func(c *wireClient, ta *tally) error {
		time.Sleep(time.Duration(c.rnd.IntN(30)) * time.Millisecond)
		return one(c, ta, randomRequest(c.rnd, "/left/echo", 300, -1, false), 0, 0)
	}},
	{"reconnects", true, func(c *wireClient, ta *tally) error {
		return one(c, ta, randomRequest(c.rnd, side(c.rnd)+"/echo", 300, c.rnd.IntN(200)-100, false), 0, 0)
	}},
	{"alternates", false, func(c *wireClient, ta *tally) error {
		for _, path := range []string{"/left/echo", "/right/echo"} {
			if err := one(c, ta, randomRequest(c.rnd, path, 300, c.rnd.IntN(200)-100, c.rnd.IntN(2) == 0), 0, 0); err != nil {
				return err
			}
		}
		ta.requests.Add(1)
		if err := c.send("GET /none HTTP/1.1\r\nHost: e\r\n\r\n", 0, 0); err != nil {
			return err
		}
		return c.receive(404, "404 page not found\n", nil)
	}},
	{"pipelines", false, func(c *wireClient, ta *tally) error {
		var all strings.Builder
		var list []reloadRequest
		path := side(c.rnd)
		for range 2 + c.rnd.IntN(8) {
			if c.rnd.IntN(2) == 0 {
				path = side(c.rnd)
			}
			r := randomRequest(c.rnd, path+"/echo", 200+c.rnd.IntN(2000), c.rnd.IntN(2000)-1000, c.rnd.IntN(2) == 0)
			list = append(list, r)
			all.WriteString(r.bytes)
		}
		ta.requests.Add(int64(len(list)))
		sent := make(chan error, 1)
		go func() { sent <- c.send(all.String(), []int{0, 0, 500, 5000}[len(list)%4], time.Millisecond) }()
		for _, r := range list {
			if err := c.receive(200, r.want, nil); err != nil {
				c.nc.Close()
				<-sent
				return err
			}
		}
		return <-sent
	}},
	{"posts", false, func(c *wireClient, ta *tally) error {
		return one(c, ta, randomRequest(c.rnd, "/left/echo", 300, c.rnd.IntN(200000), false), 30000, 0)
	}},
	{"posts chunks", false, func(c *wireClient, ta *tally) error {
		return one(c, ta, randomRequest(c.rnd, side(c.rnd)+"/echo", 300, c.rnd.IntN(50000), true), 3000, 100*time.Microsecond)
	}},
	{"dribbles", false, func(c *wireClient, ta *tally) error {
		return one(c, ta, randomRequest(c.rnd, side(c.rnd)+"/echo", 180, c.rnd.IntN(60)-30, false), 1, time.Millisecond)
	}},
	{"sends large heads", false, func(c *wireClient, ta *tally) error {
		return one(c, ta, randomRequest(c.rnd, side(c.rnd)+"/echo", 1<<10+c.rnd.IntN(59<<10), c.rnd.IntN(200)-100, false), 4000, 3*time.Millisecond)
	}},
	{"connects and dribbles", true, func(c *wireClient, ta *tally) error {
		return one(c, ta, randomRequest(c.rnd, side(c.rnd)+"/echo", 1000, c.rnd.IntN(200)-100, false), 100, 5*time.Millisecond)
	}},
	{"streams", false, func(c *wireClient, ta *tally) error {
		ta.requests.Add(1)
		q, want := text(c.rnd, 10), ""
		for i := range 20 {
			want += fmt.Sprintf("%s %d\n", q, i)
		}
		if err := c.send("GET "+side(c.rnd)+"/stream?q="+q+" HTTP/1.1\r\nHost: e\r\n\r\n", 20, time.Millisecond); err != nil {
			return err
		}
		return c.receive(200, want, nil)
	}},
	{"upgrades", true, func(c *wireClient, ta *tally) error {
		// On a connection that was used before, or a new one; with data behind the
		// head, or not.
		if c.rnd.IntN(2) == 0 {
			if err := one(c, ta, randomRequest(c.rnd, side(c.rnd)+"/echo", 300, -1, false), 0, 0); err != nil {
				return err
			}
		}
		ta.requests.Add(1)
		first, early := text(c.rnd, 5), ""
		if c.rnd.IntN(2) == 0 {
			early = c.frame(1, first)
		}
		if err := c.upgrade(side(c.rnd)+"/socket", early, 1+c.rnd.IntN(200)); err != nil {
			return err
		}
		if early != "" {
			if err := c.echoed(1, first); err != nil {
				return err
			}
		}
		for range 20 {
			ta.requests.Add(1)
			message := text(c.rnd, c.rnd.IntN(3000))
			if err := c.send(c.frame(2, message), 1000, time.Millisecond); err != nil {
				return err
			}
			if err := c.echoed(2, message); err != nil {
				return err
			}
		}
		if err := c.send(c.frame(8, "\x03\xe8"), 0, 0); err != nil {
			return err
		}
		return c.echoed(8, "\x03\xe8")
	}},
}

// Handlers are replaced, removed and added, ten times a second at the most, under
// clients that do all that the RFCs let them do. None may notice, and every byte
// has to be right.
func TestReloadUnderEveryClient(t *testing.T) {
	changes := *changesFlag
	if testing.Short() {
		changes = min(changes, 20)
	}
	d := testbed.Start(t)
	base := testbed.Go(reloadSource).Build(t)
	versions := 0
	put := func(name string) {
		versions++
		p := base.Patched(t, patternSlot, "PATTERN:/"+name, versionSlot, "VERSION:"+number(versions))
		mark := d.Log.Len()
		if d.Drop(name, p); !*hurryFlag || versions <= 2 {
			d.WaitLive(mark, name, p)
		}
	}
	take := d.Take
	if *hurryFlag {
		take = d.Remove
	}
	put("left")
	put("right")

	var stop atomic.Bool
	var done sync.WaitGroup
	tallies := make([]tally, len(turns))
	for i, kind := range turns {
		for n := range 3 {
			done.Add(1)
			go func() {
				defer done.Done()
				ta := &tallies[i]
				rnd := rand.New(rand.NewPCG(uint64(i), uint64(n)))
				var c *wireClient
				for !stop.Load() {
					var err error
					if c == nil {
						if c, err = dialWire(d.Addr, rnd); err != nil {
							ta.note(err)
							time.Sleep(10 * time.Millisecond)
							continue
						}
					}
					if err = kind.do(c, ta); err != nil {
						ta.note(fmt.Errorf("%s %v: %w", time.Now().Format("15:04:05.000"), c.nc.LocalAddr(), err))
					}
					if err != nil || kind.fresh {
						c.nc.Close()
						c = nil
					}
				}
				if c != nil {
					c.nc.Close()
				}
			}()
		}
	}
	began := time.Now()
	for n := range changes {
		next := time.Now().Add(100 * time.Millisecond)
		switch n % 10 {
		case 3:
			put("other")
		case 7:
			take("other")
		default:
			put([]string{"left", "right"}[n%2])
		}
		time.Sleep(time.Until(next)) // the pace is the test's, nothing is awaited
	}
	took := time.Since(began)
	stop.Store(true)
	done.Wait()
	var requests, failed, closed int64
	for i, kind := range turns {
		ta := &tallies[i]
		t.Logf("%-22s %7d requests, %d failed, %d of these closed", kind.name, ta.requests.Load(), ta.failed.Load(), ta.closed.Load())
		requests, failed, closed = requests+ta.requests.Load(), failed+ta.failed.Load(), closed+ta.closed.Load()
		if ta.requests.Load() == 0 {
			t.Errorf("a client that %s has asked for nothing", kind.name)
		}
		for _, err := range ta.errs {
			t.Errorf("a client that %s: %v", kind.name, err)
		}
	}
	t.Logf("%d changes in %v (%.1f a second), %d clients, %d requests: %d failed, %d of these closed",
		changes, took.Round(time.Millisecond), float64(changes)/took.Seconds(), 3*len(turns), requests, failed, closed)
}
