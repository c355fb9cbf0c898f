// Package operate answers what operators ask: each call is a question to the
// goroutine that owns the state, which answers it once what it waits for has come.
package operate

import (
	"context"
	"errors"
	"fmt"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/daemon/canaries"
	"github.com/andrestc/go-plugserver/internal/daemon/fleet"
	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/roster"
	"github.com/andrestc/go-plugserver/internal/daemon/standing"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
)

// Owner is the owner of the state. All but Ask and Done are called by its goroutine.
type Owner struct {
	// Ask has it call the question soon. It gives up, and says so, when the context
	// is done or the owner has stopped.
	Ask  func(ctx context.Context, question func()) error
	Done <-chan struct{} // closed when it has stopped

	View *standing.View
	// Look looks at the directory, now or after the look that is under way.
	Look func()
	Tell func(*lifecycle.Handler, lifecycle.Event)
	// Recall looks for a version of a handler in the store, by its sum; done is called
	// by the owner's goroutine.
	Recall func(h *lifecycle.Handler, sum string, done func(intake.Recalled))
	// InForce reports whether everybody has the routes, and nothing is to be
	// considered again; Reconciled whether besides nothing is under way for anybody.
	InForce, Reconciled func() bool
	Canaries            *canaries.Canaries
}

// ErrStopped is the answer of an owner that has stopped.
var ErrStopped = errors.New("plugserverd is stopping")

// Desk takes the questions. Any goroutine may call its methods, but for Turn.
type Desk struct {
	owner   Owner
	view    *standing.View
	roster  *roster.Roster
	fleet   *fleet.Fleet
	waiters []func() bool
}

// New returns a desk at which nobody waits.
func New(owner Owner) *Desk {
	return &Desk{owner: owner, view: owner.View, roster: owner.View.Roster, fleet: owner.View.Cells.Fleet}
}

// Turn answers those whose answer has come. The owner's goroutine calls it after
// each event.
func (d *Desk) Turn() {
	kept := d.waiters[:0]
	for _, done := range d.waiters {
		if !done() {
			kept = append(kept, done)
		}
	}
	d.waiters = kept
}

// await calls met after each event until it is, or ctx is done. Whoever waits
// has been answered by then, or does not wait any more.
func (d *Desk) await(ctx context.Context, met func() bool) {
	d.waiters = append(d.waiters, func() bool { return ctx.Err() != nil || met() })
}

// ask puts a question to the owner's goroutine and returns its answer. The question
// is given the way to answer, which it calls once, whenever it can. The answer
// changes hands in the channel alone: whoever asks may have gone before it comes,
// and shares nothing with the owner.
func ask[T any](ctx context.Context, d *Desk, question func(answer func(T, error))) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	if err := d.owner.Ask(ctx, func() { question(func(value T, err error) { answers <- answer{value, err} }) }); err != nil {
		return *new(T), err
	}
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		return *new(T), ctx.Err()
	case <-d.owner.Done:
		return *new(T), ErrStopped
	}
}

// Reload looks at the directory and returns once it is reconciled.
func (d *Desk) Reload(ctx context.Context) (api.Reload, error) {
	return ask(ctx, d, func(answer func(api.Reload, error)) { d.lookAndWait(ctx, answer) })
}

// Release tries the newest file of a handler again, though it crashed too
// often, and returns as Reload does.
func (d *Desk) Release(ctx context.Context, name string) (api.Reload, error) {
	return ask(ctx, d, func(answer func(api.Reload, error)) {
		h := d.roster.Handlers[name]
		switch {
		case h == nil:
			answer(api.Reload{}, noSuch(name))
		case h.Refusal == nil && h.Serves() && !h.Changing():
			re := d.view.Reload()
			re.Nothing = true
			answer(re, nil)
		default:
			d.owner.Tell(h, lifecycle.Release{})
			d.lookAndWait(ctx, answer)
		}
	})
}

// look begins a look at the directory in which what is missing was removed, and
// returns its number.
func (d *Desk) look() uint64 {
	want := d.roster.Looks.Accept()
	d.owner.Look()
	return want
}

// lookAndWait answers once a look at the directory that begins now is
// reconciled.
func (d *Desk) lookAndWait(ctx context.Context, answer func(api.Reload, error)) {
	want := d.look()
	d.await(ctx, func() bool {
		if !d.roster.Looks.Reached(want) || !d.owner.Reconciled() {
			return false
		}
		answer(d.view.Reload(), nil)
		return true
	})
}

// Settle looks at the directory and returns once the newest file of the handler
// was tried and what came of it is in force.
func (d *Desk) Settle(ctx context.Context, name string) (api.Outcome, error) {
	return d.measured(ask(ctx, d, func(answer func(api.Outcome, error)) {
		want := d.look()
		d.await(ctx, func() bool {
			if looks := &d.roster.Looks; !looks.Reached(want) || looks.UnderWay() || !d.concluded(name) {
				return false
			}
			answer(d.view.Outcome(name), nil)
			return true
		})
	}))
}

// concluded reports whether nothing is under way for a handler, and what came of its
// newest file is in force.
func (d *Desk) concluded(name string) bool {
	return d.owner.InForce() && d.roster.Concluded(name)
}

// Restart gives a handler a new process, and returns once that serves, or has failed.
func (d *Desk) Restart(ctx context.Context, name string) (api.Outcome, error) {
	return d.measured(ask(ctx, d, func(answer func(api.Outcome, error)) {
		h := d.roster.Handlers[name]
		switch {
		case h == nil:
			answer(api.Outcome{}, noSuch(name))
			return
		case !h.Serves():
			answer(api.Outcome{}, fmt.Errorf("restart: %q does not serve; see plugserverctl status %s", name, name))
			return
		}
		before := h.Live
		d.owner.Tell(h, lifecycle.Renew{})
		d.await(ctx, func() bool {
			if !d.concluded(name) {
				return false
			}
			var failed error
			if d.roster.Has(h) && h.Live == before {
				failed = fmt.Errorf("restart: a new process of %q did not become ready, and the one before goes on: %s", name, h.Failure)
			}
			answer(d.view.Outcome(name), failed)
			return true
		})
	}))
}

// History returns the versions of a handler that can be served, the newest
// first.
func (d *Desk) History(ctx context.Context, name string) (api.History, error) {
	return ask(ctx, d, func(answer func(api.History, error)) {
		h := d.roster.Handlers[name]
		if h == nil {
			answer(api.History{Name: name}, noSuch(name))
			return
		}
		answer(api.History{Name: name, Versions: standing.Past(h)}, nil)
	})
}

// Rollback makes an earlier version of a handler take over, the one before that
// which serves where version is empty, and returns once it has, or has failed.
// The file in the directory stays as it is, and is served again once it is
// copied again or released.
func (d *Desk) Rollback(ctx context.Context, name, version string) (api.Outcome, error) {
	return d.measured(ask(ctx, d, func(answer func(api.Outcome, error)) {
		h := d.roster.Handlers[name]
		if h == nil {
			answer(api.Outcome{}, noSuch(name))
			return
		}
		if h.Of != "" {
			answer(api.Outcome{}, fmt.Errorf("roll back: %q is a canary; withdraw it: plugserverctl canary %s --withdraw", name, h.Of))
			return
		}
		sum, err := h.Target(version)
		if err != nil {
			answer(api.Outcome{}, fmt.Errorf("roll back: %w", err))
			return
		}
		d.owner.Recall(h, sum, func(r intake.Recalled) {
			switch {
			case !d.roster.Has(h):
				answer(api.Outcome{}, noSuch(name))
			case r.Version.Sum == "":
				answer(api.Outcome{}, fmt.Errorf("roll back: %w", errors.Join(r.Lost...)))
			default:
				d.rollBackAndWait(ctx, h, r.Version, answer)
			}
		})
	}))
}

func (d *Desk) rollBackAndWait(ctx context.Context, h *lifecycle.Handler, to store.Version, answer func(api.Outcome, error)) {
	from := ""
	if h.Live != nil {
		from = h.Live.Version.Sum
	}
	d.owner.Tell(h, lifecycle.RollBack{Version: to})
	d.await(ctx, func() bool {
		if !d.concluded(h.Name) {
			return false
		}
		var refused error
		if h.Live == nil || h.Live.Version.Sum != to.Sum {
			refused = fmt.Errorf("roll back: version %s of %q did not become live: %s", to.Short(), h.Name, h.Failure)
		} else if from != "" {
			d.owner.Tell(h, lifecycle.Hold{From: from})
		}
		answer(d.view.Outcome(h.Name), refused)
		return true
	})
}

func noSuch(name string) error {
	return fmt.Errorf("there is no handler %q; see plugserverctl status", name)
}
