package supervisor

import (
	"context"
	"errors"
	"fmt"

	"github.com/andrestc/go-plugserver/internal/api"
	"github.com/andrestc/go-plugserver/internal/intake"
	"github.com/andrestc/go-plugserver/internal/lifecycle"
	"github.com/andrestc/go-plugserver/internal/store"
)

// Reload looks at the directory and returns once it is reconciled.
func (s *Supervisor) Reload(ctx context.Context) (api.Reload, error) {
	return ask(ctx, s, func(answer func(api.Reload, error)) { s.lookAndWait(ctx, answer) })
}

// Release tries the newest file of a handler again, though it crashed too
// often, and returns as Reload does.
func (s *Supervisor) Release(ctx context.Context, name string) (api.Reload, error) {
	return ask(ctx, s, func(answer func(api.Reload, error)) {
		h := s.handlers[name]
		switch {
		case h == nil:
			answer(api.Reload{}, noSuch(name))
		case h.Refusal == nil && h.Serves() && !h.Changing():
			re := s.outcome()
			re.Nothing = true
			answer(re, nil)
		default:
			s.handle(h, lifecycle.Release{})
			s.lookAndWait(ctx, answer)
		}
	})
}

// lookAndWait answers once a look at the directory that begins now is
// reconciled.
func (s *Supervisor) lookAndWait(ctx context.Context, answer func(api.Reload, error)) {
	want := s.scans + 1
	s.accept = want
	s.scan()
	s.await(ctx, func() bool {
		if s.scanned < want || !s.reconciled() {
			return false
		}
		answer(s.outcome(), nil)
		return true
	})
}

// Settle looks at the directory and returns once the newest file of the handler
// was tried and what came of it is in force.
func (s *Supervisor) Settle(ctx context.Context, name string) (api.Outcome, error) {
	return measured(ask(ctx, s, func(answer func(api.Outcome, error)) {
		want := s.scans + 1
		s.accept = want
		s.scan()
		s.await(ctx, func() bool {
			if s.scanned < want || s.scanning || !s.concluded(name) {
				return false
			}
			answer(s.stands(name), nil)
			return true
		})
	}))
}

// History returns the versions of a handler that can be served, the newest
// first.
func (s *Supervisor) History(ctx context.Context, name string) (api.History, error) {
	return ask(ctx, s, func(answer func(api.History, error)) {
		past := api.History{Name: name}
		h := s.handlers[name]
		if h == nil {
			answer(past, noSuch(name))
			return
		}
		past.Versions = s.past(h)
		answer(past, nil)
	})
}

// Rollback makes an earlier version of a handler take over, the one before that
// which serves where version is empty, and returns once it has, or has failed.
// The file in the directory stays as it is, and is served again once it is
// copied again or released.
func (s *Supervisor) Rollback(ctx context.Context, name, version string) (api.Outcome, error) {
	return measured(ask(ctx, s, func(answer func(api.Outcome, error)) {
		h := s.handlers[name]
		if h == nil {
			answer(api.Outcome{}, noSuch(name))
			return
		}
		sum, err := h.Target(version)
		if err != nil {
			answer(api.Outcome{}, fmt.Errorf("roll back: %w", err))
			return
		}
		s.intake.Recall([]string{sum}, func(r intake.Recalled) {
			s.post(func() {
				switch {
				case s.handlers[name] != h:
					answer(api.Outcome{}, noSuch(name))
				case r.Version.Sum == "":
					answer(api.Outcome{}, fmt.Errorf("roll back: %w", errors.Join(r.Lost...)))
				default:
					s.rollBackAndWait(ctx, h, r.Version, answer)
				}
			})
		})
	}))
}

func (s *Supervisor) rollBackAndWait(ctx context.Context, h *handler, to store.Version, answer func(api.Outcome, error)) {
	from := ""
	if h.Live != nil {
		from = h.Live.Version.Sum
	}
	s.handle(h, lifecycle.RollBack{Version: to})
	s.await(ctx, func() bool {
		if !s.concluded(h.Name) {
			return false
		}
		var refused error
		if h.Live == nil || h.Live.Version.Sum != to.Sum {
			refused = fmt.Errorf("roll back: version %s of %q did not become live: %s", to.Short(), h.Name, h.Failure)
		} else if from != "" {
			s.handle(h, lifecycle.Hold{From: from})
		}
		answer(s.stands(h.Name), refused)
		return true
	})
}

func noSuch(name string) error {
	return fmt.Errorf("there is no handler %q; see plugserverctl status", name)
}

// concluded reports whether nothing is under way for a handler: its newest file
// was tried, and what came of it is in force.
func (s *Supervisor) concluded(name string) bool {
	if s.retry || !s.cells.InForce() {
		return false
	}
	h := s.handlers[name]
	if s.snapshot != nil {
		for _, f := range s.snapshot.Files {
			if f.Name == name && !s.leaves(f) && (h == nil || h.Tried != f.ID || !f.Settled && f.Refusal == nil) {
				return false
			}
		}
	}
	return h == nil || h.Admission == lifecycle.Idle && h.Next == nil && h.Presence != lifecycle.Leaving
}

// stands is what stands under a name now.
func (s *Supervisor) stands(name string) api.Outcome {
	out := api.Outcome{Problem: s.problem()}
	if h := s.handlers[name]; h != nil {
		a := s.describe(h)
		out.Handler = &a
	}
	return out
}

// measured adds what the handler's cell uses.
func measured(out api.Outcome, err error) (api.Outcome, error) {
	if out.Handler != nil {
		measure(out.Handler)
	}
	return out, err
}

// await calls met after each event until it is, or ctx is done. Whoever waits
// has been answered by then, or does not wait any more.
func (s *Supervisor) await(ctx context.Context, met func() bool) {
	s.waiters = append(s.waiters, func() bool { return ctx.Err() != nil || met() })
}

// ask puts a question to the goroutine of Run and returns its answer. The
// question is given the way to answer, which it calls once, whenever it can. The
// answer changes hands in the channel alone: whoever asks may have gone before
// it comes, and shares nothing with the loop.
func ask[T any](ctx context.Context, s *Supervisor, question func(answer func(T, error))) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	select {
	case s.events <- func() { question(func(value T, err error) { answers <- answer{value, err} }) }:
	case <-ctx.Done():
		return *new(T), ctx.Err()
	case <-s.done:
		return *new(T), errStopped
	}
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		return *new(T), ctx.Err()
	case <-s.done:
		return *new(T), errStopped
	}
}
