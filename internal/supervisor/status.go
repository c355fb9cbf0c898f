package supervisor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/api"
	"github.com/andrestc/go-plugserver/internal/link"
)

// statsWait bounds the wait for the cells' counts; a cell that does not answer
// is shown with what it said last.
const statsWait = 300 * time.Millisecond

// Status returns what stands under every name, with counts asked for anew.
func (s *Supervisor) Status(ctx context.Context) (api.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	fresh := make(chan struct{})
	err := s.ask(ctx, func() {
		s.pingSeq++
		seq, deadline := s.pingSeq, time.Now().Add(statsWait)
		for _, c := range s.cells {
			if c.child != nil {
				c.pinged = seq
				c.send(link.Message{Kind: link.Ping, Seq: seq})
			}
		}
		time.AfterFunc(statsWait, func() { s.post(func() {}) })
		s.waiters = append(s.waiters, func() bool {
			if time.Now().Before(deadline) {
				for _, c := range s.cells {
					if c.child != nil && c.pinged >= seq && c.ponged < seq && c.state != dropped {
						return false
					}
				}
			}
			close(fresh)
			return true
		})
	}, fresh)
	if err != nil {
		return api.Status{}, err
	}
	var st api.Status
	done := make(chan struct{})
	if err := s.ask(ctx, func() { st = s.status(); close(done) }, done); err != nil {
		return api.Status{}, err
	}
	for i := range st.Handlers {
		st.Handlers[i].MemoryBytes = memory(st.Handlers[i].PID)
	}
	return st, nil
}

// Reload looks at the directory and returns once it is reconciled.
func (s *Supervisor) Reload(ctx context.Context) (api.Reload, error) {
	var re api.Reload
	done := make(chan struct{})
	err := s.ask(ctx, func() { s.lookAndWait(ctx, &re, done) }, done)
	return re, err
}

// Release tries the newest file of a handler again, though it crashed too
// often, and returns as Reload does.
func (s *Supervisor) Release(ctx context.Context, name string) (api.Reload, error) {
	var re api.Reload
	var unknown error
	done := make(chan struct{})
	err := s.ask(ctx, func() {
		h := s.handlers[name]
		if h == nil {
			unknown = fmt.Errorf("release %q: there is no such handler", name)
			close(done)
			return
		}
		s.release(h)
		s.lookAndWait(ctx, &re, done)
	}, done)
	return re, errors.Join(err, unknown)
}

// lookAndWait closes done once a look at the directory that begins now is
// reconciled; re is the outcome.
func (s *Supervisor) lookAndWait(ctx context.Context, re *api.Reload, done chan<- struct{}) {
	want := s.scans + 1
	s.scan()
	s.waiters = append(s.waiters, func() bool {
		if ctx.Err() != nil {
			return true
		}
		if s.scanned < want || !s.reconciled() {
			return false
		}
		*re = s.outcome()
		close(done)
		return true
	})
}

// Alive returns nil once the goroutine that owns the state has turned and the
// gate has answered a request of its own.
func (s *Supervisor) Alive(ctx context.Context) error {
	done := make(chan struct{})
	return s.ask(ctx, func() {
		s.pingSeq++
		seq := s.pingSeq
		asked := (*gate)(nil)
		s.waiters = append(s.waiters, func() bool {
			switch {
			case ctx.Err() != nil:
				return true
			case s.gate == nil:
				return false // a new one is about to start
			case s.gate != asked:
				asked = s.gate
				asked.send(link.Message{Kind: link.Ping, Seq: seq})
				return false
			case asked.ponged < seq:
				return false
			}
			close(done)
			return true
		})
	}, done)
}

// ask sends an event and waits for what it leads to.
func (s *Supervisor) ask(ctx context.Context, event func(), done <-chan struct{}) error {
	s.post(event)
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return errStopped
	}
}

func (s *Supervisor) outcome() api.Reload {
	re := api.Reload{Refused: make(map[string]api.Refusal), Problem: s.problem}
	for _, h := range s.handlers {
		if h.live != nil {
			re.Live++
		}
		if h.refusal != nil {
			re.Refused[h.name] = api.Refusal(*h.refusal.Error)
		}
	}
	return re
}

func (s *Supervisor) status() api.Status {
	st := api.Status{Daemon: api.Daemon{
		Version: s.cfg.Version, PID: os.Getpid(), Since: s.since,
		Handlers: s.cfg.Handlers, Listeners: s.cfg.Addresses, Problem: s.problem,
	}}
	if s.gate != nil {
		st.Daemon.GatePID = s.gate.child.PID
	}
	for _, h := range s.handlers {
		st.Handlers = append(st.Handlers, h.status())
	}
	if s.snapshot != nil {
		for _, f := range s.snapshot.Files {
			if s.handlers[f.Name] == nil {
				st.Handlers = append(st.Handlers, api.Handler{Name: f.Name, State: api.StateSeen, Since: s.since})
			}
		}
	}
	for _, c := range s.cells {
		if c.state == retiring && s.handlers[c.name] == nil {
			a := api.Handler{Name: c.name, State: api.StateRetiring, Since: c.began}
			c.status(&a)
			st.Handlers = append(st.Handlers, a)
		}
	}
	slices.SortFunc(st.Handlers, func(a, b api.Handler) int { return strings.Compare(a.Name, b.Name) })
	return st
}

func (h *handler) status() api.Handler {
	a := api.Handler{Name: h.name, Since: h.since}
	switch {
	case h.quarantined:
		a.State = api.StateQuarantined
		h.live.status(&a)
	case h.rolledBack && h.live != nil && !h.live.dead():
		a.State = api.StateRolledBack
		h.live.status(&a)
	case h.live != nil && h.live.dead():
		a.State = api.StateCrashed
		h.live.status(&a)
	case h.live != nil:
		a.State = api.StateLive
		h.live.status(&a)
	case h.refusal != nil:
		a.State = api.StateRefused
	default:
		a.State = api.StateStarting
	}
	if h.refusal != nil {
		a.Refusal = &api.Refusal{Reason: h.refusal.Reason, Mend: h.refusal.Mend}
	}
	return a
}

func (c *cell) status(a *api.Handler) {
	a.Version, a.Patterns = c.version.Short(), c.patterns
	a.Requests, a.InFlight = c.stats.Requests, c.stats.InFlight
	if !c.gone && c.child != nil {
		a.PID = c.child.PID
	}
}

// memory returns a process's proportional set size in bytes, 0 if it is gone
// (proc_pid_smaps(5)).
func memory(pid int) int64 {
	if pid == 0 {
		return 0
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) == 3 && f[0] == "Pss:" {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}
