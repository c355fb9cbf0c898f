package canaries

import (
	"fmt"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/words"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
)

// askedFor bounds how long terms wait for the canary that they are for.
const askedFor = 10 * time.Minute

// Agree takes the terms for a handler's canary: the one that is judged, or where another file is about
// to come, that.
func (c *Canaries) Agree(of string, terms canary.Terms, next bool) error {
	name := canary.Name(of)
	if next {
		c.asked[name] = terms
		c.owner.After(askedFor, func() {
			if c.asked[name] == terms {
				delete(c.asked, name)
			}
		})
		return nil
	}
	h, _, err := c.judged(of)
	if err != nil {
		return err
	}
	if had := h.Record.Canary.Terms; had != nil {
		terms = terms.Over(*had)
	}
	c.agree(h, terms)
	return nil
}

// agree puts the terms in force, for the version that is judged.
func (c *Canaries) agree(h *lifecycle.Handler, terms canary.Terms) {
	c.owner.Tell(h, lifecycle.Agreed{Sum: h.Live.Version.Sum, Terms: terms})
	c.owner.Alter()
}

// Promote has a handler's canary promoted now, whatever was counted.
func (c *Canaries) Promote(of string) error {
	h, t, err := c.judged(of)
	if err != nil {
		return err
	}
	if c.promote(h, c.owner.Roster.Handlers[of], t, "an operator has said so"); t.why == "" {
		return fmt.Errorf("another file of %q is being tried; try again once it is live or refused", of)
	}
	return nil
}

// Withdraw withdraws it.
func (c *Canaries) Withdraw(of string) error {
	h, _, err := c.judged(of)
	if err != nil {
		return err
	}
	c.owner.Tell(h, lifecycle.Judged{Verdict: canary.Verdict{Why: "an operator has said so", ByHand: true}})
	return nil
}

func (c *Canaries) judged(of string) (*lifecycle.Handler, *trial, error) {
	h := c.owner.Roster.Handlers[canary.Name(of)]
	if h == nil || c.trials[h.Name] == nil || h.Live == nil {
		return nil, nil, fmt.Errorf("%q has no canary that serves; begin one: plugserverctl canary %s FILE.so", of, words.Shell(of))
	}
	return h, c.trials[h.Name], nil
}
