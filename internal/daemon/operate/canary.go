package operate

import (
	"context"
	"fmt"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/canary"
)

// Canary does something about a handler's canary, and returns once that is in force: what do says, a word of canary's, on
// these terms.
func (d *Desk) Canary(ctx context.Context, name, do, terms string) (api.Outcome, error) {
	t, err := canary.Decode(terms)
	if err != nil {
		return api.Outcome{}, fmt.Errorf("read the terms of a canary: %w", err)
	}
	return d.measured(ask(ctx, d, func(answer func(api.Outcome, error)) {
		of, err := d.roster.Handlers[canary.Name(name)], error(nil)
		sum := ""
		if of != nil && of.Live != nil {
			sum = of.Live.Version.Sum
		}
		inForce, outcome := d.owner.InForce, func() { answer(d.view.Outcome(canary.Name(name)), nil) }
		switch do {
		case canary.Judge, canary.Begin:
			err = d.owner.Canaries.Agree(name, t, do == canary.Begin)
		case canary.Withdraw:
			err = d.owner.Canaries.Withdraw(name)
		case canary.Promote:
			err = d.owner.Canaries.Promote(name)
			inForce = func() bool {
				return d.concluded(name) && (!d.roster.Has(of) || of.Live == nil || of.Live.Version.Sum != sum)
			}
			outcome = func() { answer(d.promoted(name, sum)) }
		default:
			err = fmt.Errorf("nothing that is called %q can be done about a canary; plugserverctl may be newer than the daemon", do)
		}
		if err != nil {
			answer(api.Outcome{}, err)
			return
		}
		d.await(ctx, func() bool {
			if !inForce() {
				return false
			}
			outcome()
			return true
		})
	}))
}

// promoted is what became of a handler whose canary, the version sum, was to take over.
func (d *Desk) promoted(name, sum string) (out api.Outcome, err error) {
	if h := d.roster.Handlers[name]; h == nil || h.Live == nil || h.Live.Version.Sum != sum {
		err = fmt.Errorf("promote: the canary of %q did not become ready as that: see plugserverctl status", name)
	}
	return d.view.Outcome(name), err
}
