// Package standing says how handlers stand, in the words of package api. It changes
// nothing, and how a handler stands is decided here alone: status, history, reload
// and systemd are told what follows from it.
package standing

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/words"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/roster"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/terms"
	"github.com/andrestc/go-plugserver/internal/file/signature"
)

// state is how a handler stands, in one word.
func state(h *lifecycle.Handler) string {
	switch h.Standing {
	case states.Quarantined:
		return api.StateQuarantined
	case states.Dead:
		return api.StateCrashed
	case states.Serving:
		if h.Of != "" {
			return api.StateCanary
		}
		if h.RolledBack || h.GaveWay() != nil {
			return api.StateRolledBack
		}
		return api.StateLive
	case states.None:
		switch {
		case h.Of != "" && h.Refusal.IsPromoted():
			return api.StatePromoted
		case h.Of != "" && h.Refusal != nil && h.Refusal.Of != "":
			return api.StateWithdrawn
		case h.Refusal != nil:
			return api.StateRefused
		}
	}
	return api.StateStarting
}

// handler is how a handler stands, but for what its process counts.
func handler(h *lifecycle.Handler) api.Handler {
	a := api.Handler{
		Name: h.Name, State: state(h), Earlier: h.Refusal.Bars(h.Live), Since: h.Since, Restarts: h.Restarts, Doing: h.Doing,
	}
	if h.Live != nil {
		a.Version, a.Patterns, a.Signed = h.Live.Version.Short(), h.Live.Patterns, signed(h.Live.Version.Signature)
	}
	if h.Refusal != nil {
		told := told(h.Refusal.Error)
		told.Promoted = h.Refusal.IsPromoted()
		a.Refusal = &told
	}
	if why := h.GaveWay(); why != nil {
		told := told(why)
		a.GaveWay = &told
	}
	return a
}

// signed is what a signature says that was believed, nil where there is none.
func signed(text string) *api.Signed {
	if text == "" {
		return nil // which is most often, and asked for each handler
	}
	said, err := signature.Parse(text)
	if err != nil {
		return nil
	}
	s := &api.Signed{Key: said.Key, Version: said.Version}
	if said.Time != 0 {
		s.Time = time.Unix(said.Time, 0).UTC()
	}
	return s
}

// trust is a policy as operators are told of it, nil where nothing is signed.
func trust(p signature.Policy) *api.Trust {
	if !p.On() {
		return nil
	}
	t := &api.Trust{Require: p.Require, Monotonic: p.Monotonic, Revoked: p.Revoked}
	for _, k := range p.Keys {
		t.Keys = append(t.Keys, k.String())
	}
	return t
}

// told is a refusal as operators are told of it.
func told(r *refusal.Error) api.Refusal { return api.Refusal{Reason: r.Reason, Mend: r.Mend, Or: r.Or} }

// reload is what a reload says of the handlers.
func reload(r *roster.Roster) api.Reload {
	re := api.Reload{Refused: make(map[string]api.Refusal), RolledBack: make(map[string]api.Refusal)}
	for _, h := range r.Handlers {
		if h.Serves() && h.Of == "" {
			re.Live++
		}
		switch {
		case h.Refusal.IsPromoted():
		case h.Refusal.ByHand():
			re.RolledBack[h.Name] = told(h.Refusal.Error)
		case h.Refusal != nil:
			re.Refused[h.Name] = told(h.Refusal.Error)
			if why := h.GaveWay(); why != nil && h.Record.Held != "" {
				re.RolledBack[h.Name] = told(why)
			}
		}
	}
	return re
}

// Past are the versions of a handler's history, the newest first.
func Past(h *lifecycle.Handler) (versions []api.Past) {
	r := h.Record
	for _, v := range slices.Backward(r.Versions) {
		past := api.Past{
			Version: v.Sum[:12], Live: v.Live, Bad: h.IsBad(v.Sum), Held: r.Held == v.Sum,
			Current: h.Serves() && h.Live.Version.Sum == v.Sum, Signed: signed(v.Signature),
		}
		if judged := r.Canary.Of(v.Sum); judged != nil && !past.Current {
			past.Bad, past.Verdict = false, &api.Verdict{Time: judged.At, Promoted: judged.Promoted, Why: judged.Why}
		}
		versions = append(versions, past)
	}
	return versions
}

// problem is what ails the daemon as a whole: why the directory dir cannot be read,
// which handlers one in its place lacks, and what is wrong with the settings.
func problem(dir, lost string, orphans []string, others ...string) string {
	replaced := ""
	if len(orphans) > 0 {
		replaced = refusal.Replaced(dir, orphans).Error()
	}
	all := slices.DeleteFunc(append([]string{lost, replaced}, others...), func(p string) bool { return p == "" })
	return strings.Join(all, "; ")
}

// most bounds the names in a note.
const most = 5

// unbounded says of which of those that are named something is set that is not in force.
func unbounded(named map[string]string, r *roster.Roster, settings func(string) terms.Terms) (notes []string) {
	of := make(map[terms.Unheeded][]string)
	for name := range named {
		if r.Handlers[name] == nil {
			continue
		}
		for _, u := range settings(name).Unheeded {
			of[u] = append(of[u], name)
		}
	}
	for u, names := range of {
		slices.Sort(names)
		notes = append(notes, fmt.Sprintf("%s= of %s is not in force: %s", u.Key, words.List(names, most), u.Why))
	}
	slices.Sort(notes)
	return notes
}

// notes tell of settings, each with where, for handlers that there are not.
func notes(named map[string]string, r *roster.Roster) (notes []string) {
	known := slices.Collect(maps.Keys(r.Handlers))
	for name, where := range named {
		if r.Handlers[name] == nil {
			notes = append(notes, fmt.Sprintf("%s: [Handler %s]: there is no such handler%s", where, name, words.DidYouMean(name, known)))
		}
	}
	slices.Sort(notes)
	return notes
}
