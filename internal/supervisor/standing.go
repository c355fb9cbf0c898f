package supervisor

import (
	"fmt"
	"slices"

	"github.com/andrestc/go-plugserver/internal/api"
	"github.com/andrestc/go-plugserver/internal/lifecycle"
	"github.com/andrestc/go-plugserver/internal/words"
)

// How a handler stands is decided here alone: status, history, reload and
// systemd are told what follows from it.

// states are package api's words for lifecycle's.
var states = map[lifecycle.State]string{
	lifecycle.StateStarting:    api.StateStarting,
	lifecycle.StateRefused:     api.StateRefused,
	lifecycle.StateLive:        api.StateLive,
	lifecycle.StateRolledBack:  api.StateRolledBack,
	lifecycle.StateCrashed:     api.StateCrashed,
	lifecycle.StateQuarantined: api.StateQuarantined,
}

// counts are what systemd is told.
func (s *Supervisor) counts() Report {
	r := Report{Problem: s.problem()}
	for _, h := range s.handlers {
		state := h.State()
		switch state {
		case lifecycle.StateLive:
			r.Live++
		case lifecycle.StateRolledBack:
			r.Live++
			r.RolledBack++
		case lifecycle.StateCrashed:
			r.Crashed++
		case lifecycle.StateQuarantined:
			r.Quarantined++
		}
		if h.Refusal != nil && (h.Refusal.Of == "" || state == lifecycle.StateRefused) {
			r.Refused++
		}
		if h.Undecided() {
			r.Trying++
		}
	}
	r.Ending = s.cells.Ending()
	return r
}

// outcome is what a reload answers.
func (s *Supervisor) outcome() api.Reload {
	re := api.Reload{Refused: make(map[string]api.Refusal), RolledBack: make(map[string]api.Refusal), Problem: s.problem(), Notes: s.notes()}
	for _, h := range s.handlers {
		if h.Serves() {
			re.Live++
		}
		switch {
		case h.Held():
			re.RolledBack[h.Name] = told(h.Refusal.Error)
		case h.Refusal != nil:
			re.Refused[h.Name] = told(h.Refusal.Error)
		}
	}
	return re
}

// past are the versions of a handler's history, the newest first.
func (s *Supervisor) past(h *handler) (versions []api.Past) {
	r := h.Record
	for _, v := range slices.Backward(r.Versions) {
		versions = append(versions, api.Past{
			Version: v.Sum[:12], Live: v.Live, Bad: h.IsBad(v.Sum), Held: r.Held == v.Sum,
			Current: h.Serves() && h.Live.Version.Sum == v.Sum,
		})
	}
	return versions
}

// notes are what an operator may have meant otherwise; nothing is wrong.
func (s *Supervisor) notes() (notes []string) {
	if s.snapshot == nil {
		return nil // nobody knows which handlers there are
	}
	var known []string
	for name := range s.handlers {
		known = append(known, name)
	}
	for name, where := range s.named {
		if !slices.Contains(known, name) {
			notes = append(notes, fmt.Sprintf("%s: [Handler %s]: there is no such handler%s", where, name, words.DidYouMean(name, known)))
		}
	}
	slices.Sort(notes)
	return notes
}

// note logs the notes once for all settings.
func (s *Supervisor) note() {
	if s.noted {
		return
	}
	s.noted = true
	for _, n := range s.notes() {
		s.log.Info(n)
	}
}
