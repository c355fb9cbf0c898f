package supervisor

import (
	"fmt"
	"slices"

	"github.com/andrestc/go-plugserver/internal/api"
	"github.com/andrestc/go-plugserver/internal/refusal"
)

// How a handler stands is decided here alone: status, history, reload and
// systemd are told what follows from it.

// state is one of package api's.
func (h *handler) state() string {
	switch {
	case h.quarantined:
		return api.StateQuarantined
	case h.live != nil && h.live.dead():
		return api.StateCrashed
	case h.live != nil && h.rolledBack:
		return api.StateRolledBack
	case h.live != nil:
		return api.StateLive
	case h.refusal != nil:
		return api.StateRefused
	}
	return api.StateStarting
}

// serves reports whether requests are answered, by whatever version.
func (h *handler) serves() bool { return h.live != nil && !h.live.dead() }

// earlier reports whether the version that has the routes is not the one of the
// newest file.
func (h *handler) earlier() bool {
	return h.live != nil && h.refusal != nil && h.refusal.of != h.live.part.Version.Sum
}

// held reports whether the newest file is not served because an operator has
// said so: nothing is wrong then.
func (h *handler) held() bool { return h.refusal != nil && h.refusal.held }

// counts are what systemd is told.
func (s *Supervisor) counts() Report {
	r := Report{Problem: s.problem()}
	for _, h := range s.handlers {
		state := h.state()
		switch state {
		case api.StateLive:
			r.Live++
		case api.StateRolledBack:
			r.Live++
			r.RolledBack++
		case api.StateCrashed:
			r.Crashed++
		case api.StateQuarantined:
			r.Quarantined++
		}
		if h.refusal != nil && (h.refusal.of == "" || state == api.StateRefused) {
			r.Refused++
		}
		if h.undecided() {
			r.Trying++
		}
	}
	for _, c := range s.cells {
		if c.state == retiring || s.stopping {
			r.Ending++
		}
	}
	return r
}

// outcome is what a reload answers.
func (s *Supervisor) outcome() api.Reload {
	re := api.Reload{Refused: make(map[string]api.Refusal), RolledBack: make(map[string]api.Refusal), Problem: s.problem(), Notes: s.notes()}
	for _, h := range s.handlers {
		if h.serves() {
			re.Live++
		}
		switch {
		case h.held():
			re.RolledBack[h.name] = told(h.refusal.Error)
		case h.refusal != nil:
			re.Refused[h.name] = told(h.refusal.Error)
		}
	}
	return re
}

// past are the versions of a handler's history, the newest first.
func (s *Supervisor) past(h *handler) (versions []api.Past) {
	r := s.history[h.name]
	for _, v := range slices.Backward(r.Versions) {
		versions = append(versions, api.Past{
			Version: v.Sum[:12], Live: v.Live, Bad: s.isBad(h, v.Sum), Held: r.Held == v.Sum,
			Current: h.serves() && h.live.part.Version.Sum == v.Sum,
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
			notes = append(notes, fmt.Sprintf("%s: [Handler %s]: there is no such handler%s", where, name, refusal.DidYouMean(name, known)))
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
