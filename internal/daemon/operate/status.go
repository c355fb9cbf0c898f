package operate

import (
	"context"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/daemon/replaced"
	"github.com/andrestc/go-plugserver/internal/daemon/standing"
)

// statsWait bounds the wait for the children's counts; one that does not answer
// is shown with what it said last.
const statsWait = 300 * time.Millisecond

// Status returns what stands under every name, with counts asked for anew.
func (d *Desk) Status(ctx context.Context) (api.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	st, err := ask(ctx, d, func(answer func(api.Status, error)) {
		d.whenCounted(ctx, func() { answer(d.view.Status(), nil) })
	})
	for i := range st.Handlers {
		d.measure(&st.Handlers[i])
	}
	return st, err
}

// Overview returns what stands under every name, and its versions that can be served, the
// newest first: without a question to any process, and so without what they use.
func (d *Desk) Overview(ctx context.Context) (st api.Status, versions map[string][]api.Past, err error) {
	type whole struct {
		api.Status
		versions map[string][]api.Past
	}
	all, err := ask(ctx, d, func(answer func(whole, error)) {
		w := whole{d.view.Status(), make(map[string][]api.Past)}
		for name, h := range d.roster.Handlers {
			w.versions[name] = standing.Past(h)
		}
		answer(w, nil)
	})
	return all.Status, all.versions, err
}

// whenCounted asks all children for their counts, and calls then once all have
// answered, or those that do not have been waited for.
func (d *Desk) whenCounted(ctx context.Context, then func()) {
	seq, deadline := d.fleet.Ping(), time.Now().Add(statsWait)
	time.AfterFunc(statsWait, func() { d.owner.Ask(context.Background(), func() {}) })
	d.await(ctx, func() bool {
		if time.Now().Before(deadline) && !d.fleet.Answered(seq) {
			return false
		}
		then()
		return true
	})
}

// Alive returns nil once the goroutine that owns the state has turned and the
// gate has answered a request of its own.
func (d *Desk) Alive(ctx context.Context) error {
	_, err := ask(ctx, d, func(answer func(struct{}, error)) {
		answered := d.fleet.AskGate()
		d.await(ctx, func() bool {
			if !answered() {
				return false
			}
			answer(struct{}{}, nil)
			return true
		})
	})
	return err
}

// measured adds what the handler's cell uses.
func (d *Desk) measured(out api.Outcome, err error) (api.Outcome, error) {
	if out.Handler != nil {
		d.measure(out.Handler)
	}
	return out, err
}

// measure adds what a handler's cell uses, as far as it is still there.
func (d *Desk) measure(a *api.Handler) {
	if a.PID == 0 {
		return
	}
	u, err := d.fleet.Uses(a.PID)
	if err != nil {
		return
	}
	a.Replaced = replaced.Of(a.PID)
	a.MemoryBytes, a.PrivateBytes, a.Descriptors, a.Threads, a.CPUSeconds = u.Proportional, u.Private, u.Descriptors, u.Threads, u.CPU.Seconds()
}
