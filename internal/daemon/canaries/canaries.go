// Package canaries has each canary judged beside its incumbent, from what both have counted, and says what comes of it:
// it is promoted, withdrawn, or goes on. On what terms it serves is the settings', and where an
// operator has set others for it, those.
//
// Its methods are called by one goroutine, the owner's, and never wait.
package canaries

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/words"
	"github.com/andrestc/go-plugserver/internal/daemon/analysis"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/past"
	"github.com/andrestc/go-plugserver/internal/daemon/roster"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/sums"
	"github.com/andrestc/go-plugserver/internal/file/signature"
	"github.com/sirupsen/logrus"
)

// lookEvery is how often it is looked at what was counted.
const lookEvery = time.Second

// Owner is the owner of the handlers. Its functions are called by its own goroutine.
type Owner struct {
	Roster *roster.Roster
	Sums   *sums.Book // of what handlers have counted; nil has none
	Log    *logrus.Logger
	// Settings are the terms for the canary of the handler of that name.
	Settings func(handler string) canary.Terms
	// Policy says what signatures are worth now.
	Policy func() signature.Policy
	// Tell tells a handler.
	Tell func(*lifecycle.Handler, lifecycle.Event)
	// Alter puts the routes in force anew.
	Alter func()
	// After has the owner's goroutine call a function after a while.
	After func(time.Duration, func())
}

// Canaries are those of a daemon.
type Canaries struct {
	owner   Owner
	trials  map[string]*trial       // of those that are judged, by name
	beside  map[string]string       // what its incumbent served at the last turn, by the name of a canary
	asked   map[string]canary.Terms // that an operator has set, for canaries to come, by name
	looking bool                    // a look is to come
}

// trial is of one version, beside one of its incumbent.
type trial struct {
	canary, incumbent string // sums
	copied            bool   // see counted
	judge             *analysis.Analysis
	awaits            string // what it takes to judge it, once its time is over
	why               string // it is promoted; "" while that is open
}

// New returns those of a daemon that has none yet.
func New(owner Owner) *Canaries {
	return &Canaries{owner: owner, trials: make(map[string]*trial), beside: make(map[string]string), asked: make(map[string]canary.Terms)}
}

// terms are those in force for a canary.
func (c *Canaries) terms(h *lifecycle.Handler) canary.Terms {
	t := c.owner.Settings(h.Of)
	if own := h.Record.Canary.Terms; own != nil {
		t = own.Over(t)
	}
	return t.InForce()
}

// Served are the routes that lead to all who serve.
func (c *Canaries) Served(place roster.Place) []link.Route {
	return c.owner.Roster.Served(place, c.rule)
}

// rule is what the gate and the cells are told of a canary; its cell is not known here.
func (c *Canaries) rule(h *lifecycle.Handler) link.Canary {
	t := c.terms(h)
	seed, _ := strconv.ParseUint(h.Live.Version.Sum[:16], 16, 64)
	return link.Canary{Weight: t.Weight, Sticky: t.Sticky, Field: t.Field, Seed: seed, Mirror: t.Mirror}
}

func rules(t canary.Terms) analysis.Rules {
	r := analysis.Rules{For: t.For, MinRequests: uint64(t.MinRequests), MaxSlowdown: t.MaxSlowdown}
	if t.For == canary.None {
		r.For = 100 * 365 * 24 * time.Hour
	}
	return r
}

// Configured is called when the settings are others.
func (c *Canaries) Configured() {
	if len(c.trials) > 0 {
		c.owner.Alter()
	}
}

// Turn begins what has become possible, and ends what is not any more. It is called after each event.
func (c *Canaries) Turn(now time.Time) {
	all := c.owner.Roster.Canaries()
	if len(all)+len(c.beside) == 0 {
		return
	}
	for name := range c.beside { // where all are that are judged
		if all[canary.Of(name)] == nil {
			delete(c.beside, name)
			delete(c.trials, name)
		}
	}
	for _, h := range slices.Collect(maps.Values(all)) { // what they are told changes all
		c.turn(h, c.owner.Roster.Handlers[h.Of], now)
	}
	if len(c.trials) > 0 && !c.looking {
		c.looking = true
		c.owner.After(lookEvery, c.look)
	}
}

// turn is Turn for one canary. of is its incumbent, nil if there is none.
func (c *Canaries) turn(h, of *lifecycle.Handler, now time.Time) {
	serves := ""
	if of != nil && of.Live != nil && of.Of == "" {
		serves = of.Live.Version.Sum
	}
	if h.Refusal != nil && h.Refusal.Retry == states.WithIncumbent && serves != "" && c.beside[h.Name] != serves {
		c.beside[h.Name] = serves
		c.owner.Tell(h, lifecycle.TryAgain{})
		c.owner.After(0, func() {}) // for what is to be considered again is looked at before this
	}
	c.beside[h.Name] = serves
	t := c.trials[h.Name]
	switch {
	case h.Live == nil:
		delete(c.trials, h.Name)
	case serves == "":
		c.owner.Tell(h, lifecycle.Stranded{})
	case serves == h.Live.Version.Sum:
		why := "it was put in the place of its incumbent"
		if t != nil && t.why != "" {
			why = t.why
		}
		c.owner.Tell(h, lifecycle.Judged{Verdict: canary.Verdict{Promoted: true, Why: why}})
	case t == nil || t.canary != h.Live.Version.Sum || t.incumbent != serves, t.why == "" && t.copied != c.copied(h):
		c.begin(h, of, now)
	case t.why != "" && of.Next == nil && of.Admission == states.Idle:
		why := fmt.Sprintf("it was to be promoted (%s), and a file of %q came first", t.why, of.Name)
		if of.Failure != "" {
			why = fmt.Sprintf("it was to be promoted (%s), and did not become ready as %q: %s", t.why, of.Name, of.Failure)
		}
		c.owner.Tell(h, lifecycle.Judged{Verdict: canary.Verdict{Why: why}})
	}
}

// outdated says why a canary must not take the place of its incumbent: that has served what was signed as newer since.
func (c *Canaries) outdated(h, of *lifecycle.Handler) error {
	said, err := signature.Parse(h.Live.Version.Signature)
	if err != nil {
		return nil // it is not signed, which is judged when it is started
	}
	return c.owner.Policy().Order(said, past.Newest(of.Record))
}

// begin begins to judge a canary.
func (c *Canaries) begin(h, of *lifecycle.Handler, now time.Time) {
	asked, ok := c.asked[h.Name]
	if had := h.Record.Canary; ok || had.Terms != nil && had.Sum != h.Live.Version.Sum { // which were for another version
		delete(c.asked, h.Name)
		c.agree(h, asked)
	}
	terms := c.terms(h)
	copied := c.copied(h)
	mine, theirs := c.counts(h, of, copied)
	c.trials[h.Name] = &trial{canary: h.Live.Version.Sum, incumbent: of.Live.Version.Sum, copied: copied, judge: analysis.New(rules(terms), now, mine, theirs)}
	besides := roster.Besides(h, of)
	f := logrus.Fields{event.Field: event.CanaryBegun, "handler": h.Name, "version": h.Live.Version.Short(), "incumbent": of.Live.Version.Short(), "terms": terms.String(), "for": span(terms.For)}
	if len(besides) > 0 {
		f["not_served"] = words.Within(besides, 2000) // until it is promoted
	}
	c.owner.Log.WithFields(f).Infof("canary: version %s has %s of %s", h.Live.Version.Short(), terms, of.Name)
}

// span words how long a canary is judged.
func span(d time.Duration) string {
	if d == canary.None {
		return "until an operator decides"
	}
	return d.String()
}

// copied reports whether a canary gets copies. Where that changes, what was counted is of other requests, and it is judged anew.
func (c *Canaries) copied(h *lifecycle.Handler) bool { return c.terms(h).Mirror > 0 }

func (c *Canaries) counts(h, of *lifecycle.Handler, copied bool) (mine, theirs analysis.Counts) {
	return counted(c.owner.Sums, h.Name, copied), counted(c.owner.Sums, of.Name, copied)
}

// look judges all of them by what was counted by now.
func (c *Canaries) look() {
	c.looking = false
	for name, t := range c.trials {
		h := c.owner.Roster.Handlers[name]
		if h == nil || h.Live == nil || c.owner.Roster.Handlers[h.Of] == nil {
			continue // Turn is about to end it
		}
		of := c.owner.Roster.Handlers[h.Of]
		if err := c.outdated(h, of); err != nil {
			c.owner.Tell(h, lifecycle.Judged{Verdict: canary.Verdict{Why: refusal.From(err).Reason}})
			continue
		}
		t.judge.Rule(rules(c.terms(h)))
		mine, theirs := c.counts(h, of, t.copied)
		verdict, why := t.judge.Look(time.Now(), mine, theirs)
		switch {
		case verdict == analysis.Withdraw:
			c.owner.Tell(h, lifecycle.Judged{Verdict: canary.Verdict{Why: why}})
		case verdict == analysis.Promote:
			c.promote(h, of, t, why)
		case verdict == analysis.Awaits && t.awaits == "":
			c.owner.Log.WithFields(logrus.Fields{"handler": name, "version": h.Live.Version.Short(), "reason": why}).Info("canary: its time is over, and it goes on, for there is more to know")
		}
		t.awaits = ""
		if verdict == analysis.Awaits {
			t.awaits = why
		}
	}
}

// promote has the version of a canary become its handler's, unless that is busy with another.
func (c *Canaries) promote(h, of *lifecycle.Handler, t *trial, why string) {
	if t.why == "" && of.Presence == states.Here && of.Next == nil && of.Admission == states.Idle {
		t.why = why
		c.owner.Tell(of, lifecycle.Promote{Version: h.Live.Version})
	}
}

// Of is how a canary does, nil for a handler that is none or is not judged.
func (c *Canaries) Of(h *lifecycle.Handler) *api.Canary {
	t := c.trials[h.Name]
	if t == nil || h.Live == nil {
		return nil
	}
	terms := c.terms(h)
	mine, theirs := t.judge.Figures()
	a := &api.Canary{
		Of: h.Of, Weight: float64(terms.Weight) / link.Whole, Mirror: float64(terms.Mirror) / link.Whole, Sticky: string(terms.Sticky), Field: terms.Field,
		Since: t.judge.Began(), Awaits: t.awaits, Promoting: t.why != "", Incumbent: t.incumbent[:12],
		Counted: figures(mine), Beside: figures(theirs),
	}
	if terms.For != canary.None {
		a.Ends = t.judge.Began().Add(terms.For)
	}
	if of := c.owner.Roster.Handlers[h.Of]; of != nil && of.Live != nil {
		a.NotServed = roster.Besides(h, of)
	}
	return a
}

func figures(f analysis.Figures) api.Figures {
	return api.Figures{Requests: f.Requests, Errors: f.Errors, P50: f.P50.Seconds(), P99: f.P99.Seconds(), Open: f.Open}
}
