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

// play has n clients of a kind take turns until stop.
func (k kind) play(n int, ta *tally, stop *atomic.Bool, done *sync.WaitGroup) {
	for i := range n {
		done.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(len(k.name)), uint64(i)))
			var s *session
			for !stop.Load() {
				var err error
				if s == nil {
					if s, err = k.begin(rnd); err != nil {
						ta.note(err)
						time.Sleep(10 * time.Millisecond)
						continue
					}
				}
				if err = s.turn(ta); err != nil {
					ta.note(fmt.Errorf("%s %v: %w", time.Now().Format("15:04:05.000"), s.nc.LocalAddr(), err))
				}
				if err != nil || k.fresh {
					s.nc.Close()
					s = nil
				}
			}
			if s != nil {
				s.nc.Close()
			}
		})
	}
}

// Handlers are replaced, removed and added, canaries begin and end, ten times a second at the most, and the
// certificate is renewed, under clients that do all that the RFCs let them do, in the
// clear and over TLS. None may notice, and every byte has to be right.
func TestReloadUnderEveryClient(t *testing.T) {
	changes := *changesFlag
	if testing.Short() {
		changes = min(changes, 20)
	}
	reload(t, changes)
}

// Nor may any where no handler gets a client's connection, and each request comes to its handler by a loan.
func TestReloadUnderEveryClientLent(t *testing.T) {
	changes := 20
	if *changesFlag > 50 {
		changes = *changesFlag // as who asks for many has it
	}
	reload(t, changes, "--trust=each")
}

// reload makes so many changes under every client, of a daemon with the flags.
func reload(t *testing.T, changes int, flags ...string) {
	r := newReloads(t, flags...)
	kinds := everyKind(r.d)
	var stop atomic.Bool
	var done sync.WaitGroup
	tallies := make([]tally, len(kinds))
	clients := 0
	for i, k := range kinds {
		k.play(k.clients, &tallies[i], &stop, &done)
		clients += k.clients
	}
	began := time.Now()
	for n := range changes {
		next := time.Now().Add(100 * time.Millisecond)
		r.change(n)
		time.Sleep(time.Until(next)) // the pace is the test's, nothing is awaited
	}
	took := time.Since(began)
	stop.Store(true)
	done.Wait()
	r.renewed()
	var requests, failed, closed int64
	for i, k := range kinds {
		ta := &tallies[i]
		t.Logf("%-34s %8d requests, %d failed, %d of these closed", k.name, ta.requests.Load(), ta.failed.Load(), ta.closed.Load())
		requests, failed, closed = requests+ta.requests.Load(), failed+ta.failed.Load(), closed+ta.closed.Load()
		if ta.requests.Load() == 0 {
			t.Errorf("a client that %s has asked for nothing", k.name)
		}
		for _, err := range ta.errs {
			t.Errorf("a client that %s: %v", k.name, err)
		}
	}
	t.Logf("%d changes in %v (%.1f a second), of these %d certificates, %d clients, %d requests: %d failed, %d of these closed",
		changes, took.Round(time.Millisecond), float64(changes)/took.Seconds(), r.certificates, clients, requests, failed, closed)
}

// reloads are the changes that the clients are not to notice.
type reloads struct {
	t            *testing.T
	d            *testbed.Secure
	base         testbed.Plugin
	greeters     [2]testbed.Plugin
	versions     int
	certificates int
	names        []string // of the certificates that take turns
}

func newReloads(t *testing.T, flags ...string) *reloads {
	dir := testbed.NewDir(t)
	r := &reloads{t: t, base: testbed.Go(reloadSource).Build(t), names: []string{"one", "two"}}
	if !testbed.Race {
		r.greeters[0], r.greeters[1] = greeters(t)
	}
	// Half of what is left's is its canary's, while there is one.
	canary := []string{"[Handler left]", "CanaryWeight=50%", "CanaryFor=1h", "CanaryMaxSlowdown=infinity"}
	r.d = testbed.StartSecure(t, dir, canary, testbed.Flags(append(flags, "--http2=all")...))
	for _, name := range r.names {
		r.d.CA.Issue(t, 200*24*time.Hour, "e2e.example", name+".example").Write(t, dir, name)
	}
	for _, name := range []string{"left", "right", "calm"} {
		r.put(name, r.version(name), true)
	}
	if !testbed.Race {
		r.put("greet", r.greeters[0], true)
	}
	return r
}

// version is the next of a handler.
func (r *reloads) version(name string) testbed.Plugin {
	r.versions++
	return r.base.Patched(r.t, patternSlot, "PATTERN:/"+name, versionSlot, "VERSION:"+number(r.versions))
}

func (r *reloads) put(name string, p testbed.Plugin, await bool) {
	mark := r.d.Log.Len()
	if r.d.Drop(name, p); await {
		r.d.WaitLive(mark, name, p)
	}
}

func (r *reloads) take(name string) {
	if *hurryFlag {
		r.d.Remove(name)
	} else {
		r.d.Take(name)
	}
}

// change makes the nth change.
func (r *reloads) change(n int) {
	r.t.Helper()
	switch n % 10 {
	case 1:
		r.put("left.canary", r.version("left"), !*hurryFlag)
	case 4:
		r.take("left.canary")
	case 3:
		r.put("other", r.version("other"), !*hurryFlag)
	case 5:
		if !testbed.Race {
			r.put("greet", r.greeters[(n/10+1)%2], !*hurryFlag)
		}
	case 7:
		r.take("other")
	case 8:
		renew(r.t, r.d.Dir, r.names[r.certificates%2])
		r.certificates++
	default:
		r.put([]string{"left", "right"}[n%2], r.version([]string{"left", "right"}[n%2]), !*hurryFlag)
	}
}

// renewed checks that the last certificate is in force.
func (r *reloads) renewed() {
	r.t.Helper()
	if r.certificates > 0 {
		awaitCertificate(r.t, r.d, r.names[(r.certificates-1)%2])
	}
}
