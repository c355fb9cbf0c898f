package supervisor

import (
	"context"
	"errors"
	"fmt"

	"github.com/andrestc/go-plugserver/internal/api"
)

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
			unknown = noSuch(name)
			close(done)
			return
		}
		if h.refusal == nil && h.serves() && !h.changing() {
			re, re.Nothing = s.outcome(), true
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
	s.accept = want
	s.scan()
	s.await(ctx, done, func() bool {
		if s.scanned < want || !s.reconciled() {
			return false
		}
		*re = s.outcome()
		return true
	})
}

// Settle looks at the directory and returns once the newest file of the handler
// was tried and what came of it is in force.
func (s *Supervisor) Settle(ctx context.Context, name string) (api.Outcome, error) {
	var out api.Outcome
	done := make(chan struct{})
	err := s.ask(ctx, func() {
		want := s.scans + 1
		s.accept = want
		s.scan()
		s.await(ctx, done, func() bool {
			if s.scanned < want || s.scanning || !s.settled(name) {
				return false
			}
			out = s.stands(name)
			return true
		})
	}, done)
	return s.measured(out), err
}

// History returns the versions of a handler that can be served, the newest
// first.
func (s *Supervisor) History(ctx context.Context, name string) (api.History, error) {
	past := api.History{Name: name}
	var unknown error
	done := make(chan struct{})
	err := s.ask(ctx, func() {
		defer close(done)
		h := s.handlers[name]
		if h == nil {
			unknown = noSuch(name)
			return
		}
		past.Versions = s.past(h)
	}, done)
	return past, errors.Join(err, unknown)
}

// Rollback makes an earlier version of a handler take over, the one before that
// which serves where version is empty, and returns once it has, or has failed.
// The file in the directory stays as it is, and is served again once it is
// copied again or released.
func (s *Supervisor) Rollback(ctx context.Context, name, version string) (api.Outcome, error) {
	var out api.Outcome
	var refused error
	done := make(chan struct{})
	err := s.ask(ctx, func() {
		h := s.handlers[name]
		if h == nil {
			refused = noSuch(name)
			close(done)
			return
		}
		from := ""
		if h.live != nil {
			from = h.live.version.Sum
		}
		to, err := s.rollBack(h, version)
		if err != nil {
			refused = fmt.Errorf("roll back: %w", err)
			close(done)
			return
		}
		h.next.byHand = true
		s.await(ctx, done, func() bool {
			if !s.settled(name) {
				return false
			}
			if h.live == nil || h.live.version.Sum != to.Sum {
				refused = fmt.Errorf("roll back: version %s of %q did not become live: %s", to.Short(), name, h.failure)
			} else if from != "" {
				s.hold(h, from)
			}
			out = s.stands(name)
			return true
		})
	}, done)
	return s.measured(out), errors.Join(err, refused)
}

func noSuch(name string) error {
	return fmt.Errorf("there is no handler %q; see plugserverctl status", name)
}

// settled reports whether nothing is under way for a handler: its newest file
// was tried, and what came of it is in force.
func (s *Supervisor) settled(name string) bool {
	if s.retry || s.unsent || len(s.news) > 0 || s.gate == nil || s.gate.acked != s.table {
		return false
	}
	h := s.handlers[name]
	if s.snapshot != nil {
		for _, f := range s.snapshot.Files {
			if f.Name == name && !s.leaves(f) && (h == nil || h.tried != f.ID || !f.Settled && f.Refusal == nil) {
				return false
			}
		}
	}
	return h == nil || h.admission == nil && h.next == nil && h.leaving.IsZero()
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

func (s *Supervisor) measured(out api.Outcome) api.Outcome {
	if out.Handler != nil {
		measure(out.Handler)
	}
	return out
}

// await closes done once met is, or ctx is done.
func (s *Supervisor) await(ctx context.Context, done chan<- struct{}, met func() bool) {
	s.waiters = append(s.waiters, func() bool {
		if ctx.Err() != nil {
			return true
		}
		if met() {
			close(done)
			return true
		}
		return false
	})
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
