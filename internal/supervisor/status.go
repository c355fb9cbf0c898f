package supervisor

import (
	"cmp"
	"context"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/api"
	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/andrestc/go-plugserver/internal/usage"
)

// statsWait bounds the wait for the children's counts; one that does not answer
// is shown with what it said last.
const statsWait = 300 * time.Millisecond

// Status returns what stands under every name, with counts asked for anew.
func (s *Supervisor) Status(ctx context.Context) (api.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	st, err := ask(ctx, s, func(answer func(api.Status, error)) {
		s.whenCounted(ctx, func() { answer(s.status(), nil) })
	})
	for i := range st.Handlers {
		measure(&st.Handlers[i])
	}
	return st, err
}

// whenCounted asks all children for their counts, and calls then once all have
// answered, or those that do not have been waited for.
func (s *Supervisor) whenCounted(ctx context.Context, then func()) {
	seq, deadline := s.fleet.Ping(), time.Now().Add(statsWait)
	time.AfterFunc(statsWait, func() { s.post(func() {}) })
	s.await(ctx, func() bool {
		if time.Now().Before(deadline) && !s.fleet.Answered(seq) {
			return false
		}
		then()
		return true
	})
}

// Alive returns nil once the goroutine that owns the state has turned and the
// gate has answered a request of its own.
func (s *Supervisor) Alive(ctx context.Context) error {
	_, err := ask(ctx, s, func(answer func(struct{}, error)) {
		answered := s.fleet.AskGate()
		s.await(ctx, func() bool {
			if !answered() {
				return false
			}
			answer(struct{}{}, nil)
			return true
		})
	})
	return err
}

func (s *Supervisor) status() api.Status {
	st := api.Status{Daemon: api.Daemon{
		Version: s.cfg.Version, PID: os.Getpid(), Since: s.since,
		Handlers: s.cfg.Handlers, Listeners: s.cfg.Addresses, Problem: s.problem(),
		Goroutines: runtime.NumGoroutine(), BuildsCells: s.cfg.BuildsCells,
		Notes: s.notes(),
	}}
	st.Daemon.GatePID, st.Daemon.GateGoroutines = s.fleet.GateState()
	for _, h := range s.handlers {
		st.Handlers = append(st.Handlers, s.describe(h))
	}
	if s.snapshot != nil {
		for _, f := range s.snapshot.Files {
			if s.handlers[f.Name] == nil && !s.leaves(f) {
				st.Handlers = append(st.Handlers, api.Handler{Name: f.Name, State: api.StateSeen, Since: s.since})
			}
		}
	}
	for _, c := range s.cells {
		for _, seat := range c.seats {
			if c.state == retiring && s.handlers[seat.name] == nil {
				a := api.Handler{Name: seat.name, State: api.StateRetiring, Since: c.proc.Began}
				seat.status(&a)
				st.Handlers = append(st.Handlers, a)
			}
		}
	}
	slices.SortFunc(st.Handlers, func(a, b api.Handler) int { return strings.Compare(a.Name, b.Name) })
	return st
}

func (s *Supervisor) describe(h *handler) api.Handler {
	limits := s.settings(h.name).Limits
	a := api.Handler{
		Name: h.name, Since: h.since, Restarts: h.restarts,
		MemoryMax: limits.Memory, LimitNOFILE: limits.Descriptors,
	}
	a.State, a.Earlier = h.state(), h.earlier()
	if h.live != nil {
		h.live.status(&a)
	}
	a.Doing = cmp.Or(h.doing, s.apart(h))
	if h.refusal != nil {
		told := told(h.refusal.Error)
		a.Refusal = &told
	}
	return a
}

// told is a refusal as operators are told of it.
func told(r *refusal.Error) api.Refusal { return api.Refusal{Reason: r.Reason, Mend: r.Mend, Or: r.Or} }

func (st *seat) status(a *api.Handler) {
	a.Version, a.Patterns = st.part.Version.Short(), st.patterns
	a.Cell = st.program.Name
	if st.proc == nil {
		return
	}
	stats := st.proc.Stats()
	a.Requests, a.InFlight, a.Goroutines = stats.Requests, stats.InFlight, stats.Goroutines
	a.LogDropped = st.proc.LogDropped()
	if st.group != nil {
		a.Group = st.group.name
		own := stats.Plugins[st.name]
		a.Requests, a.InFlight = own.Requests, own.InFlight
	}
	a.PID = st.proc.PID()
}

// measure adds what a handler's cell uses, as far as it is still there.
func measure(a *api.Handler) {
	if a.PID == 0 {
		return
	}
	a.MemoryBytes, _ = usage.Proportional(a.PID)
	u, err := usage.Of(a.PID)
	if err != nil {
		return
	}
	a.PrivateBytes, a.Descriptors, a.Threads, a.CPUSeconds = u.Private, u.Descriptors, u.Threads, u.CPU.Seconds()
}
