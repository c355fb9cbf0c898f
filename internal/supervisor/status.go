package supervisor

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/api"
	"github.com/andrestc/go-plugserver/internal/cells"
	"github.com/andrestc/go-plugserver/internal/fleet"
	"github.com/andrestc/go-plugserver/internal/refusal"
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
	seq, deadline := s.cells.Fleet.Ping(), time.Now().Add(statsWait)
	time.AfterFunc(statsWait, func() { s.post(func() {}) })
	s.await(ctx, func() bool {
		if time.Now().Before(deadline) && !s.cells.Fleet.Answered(seq) {
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
		answered := s.cells.Fleet.AskGate()
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
		Version: s.cfg.Version, PID: s.cfg.PID, Since: s.since,
		Handlers: s.cfg.Handlers, Listeners: s.cfg.Addresses, Problem: s.problem(),
		Goroutines: runtime.NumGoroutine(), BuildsCells: s.cfg.BuildsCells,
		Notes: s.notes(),
	}}
	st.Daemon.GatePID, st.Daemon.GateGoroutines = s.cells.Fleet.GateState()
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
	st.Handlers = append(st.Handlers, s.cells.Retiring()...)
	slices.SortFunc(st.Handlers, func(a, b api.Handler) int { return strings.Compare(a.Name, b.Name) })
	return st
}

func (s *Supervisor) describe(h *handler) api.Handler {
	limits := s.settings(h.Name).Limits
	a := api.Handler{
		Name: h.Name, State: states[h.State()], Earlier: h.Earlier(), Since: h.Since, Restarts: h.Restarts,
		MemoryMax: limits.Memory, LimitNOFILE: limits.Descriptors, Doing: cmp.Or(h.Doing, s.cells.Apart(h.Name)),
	}
	if h.Live != nil {
		cells.Status(h.Live, &a)
	}
	if h.Refusal != nil {
		told := told(h.Refusal.Error)
		a.Refusal = &told
	}
	return a
}

// told is a refusal as operators are told of it.
func told(r *refusal.Error) api.Refusal { return api.Refusal{Reason: r.Reason, Mend: r.Mend, Or: r.Or} }

// measure adds what a handler's cell uses, as far as it is still there.
func measure(a *api.Handler) {
	if a.PID == 0 {
		return
	}
	u, err := fleet.Uses(a.PID)
	if err != nil {
		return
	}
	a.MemoryBytes, a.PrivateBytes, a.Descriptors, a.Threads, a.CPUSeconds = u.Proportional, u.Private, u.Descriptors, u.Threads, u.CPU.Seconds()
}
