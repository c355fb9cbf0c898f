package supervisor

import (
	"errors"

	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/intake"
	"github.com/andrestc/go-plugserver/internal/lifecycle"
)

// admission is a file on its way into the store.
type admission struct {
	*intake.Admission
	long bool // it builds something, and is waited for by nobody
}

// admit begins the admission of a handler's newest file.
func (s *Supervisor) admit(h *handler) {
	a := &admission{}
	h.admission = a
	s.admitting++
	a.Admission = s.intake.Admit(h.newest,
		func(doing string) { s.post(func() { s.delayed(h, a, doing) }) },
		func(got intake.Admitted) { s.post(func() { s.admitted(h, a, got) }) })
}

func (s *Supervisor) delayed(h *handler, a *admission, doing string) {
	if !a.long {
		a.long = true
		s.admitting--
		s.building++
	}
	if h.admission == a {
		s.handle(h, lifecycle.Delayed{Doing: doing})
	}
}

func (s *Supervisor) admitted(h *handler, a *admission, got intake.Admitted) {
	if a.long {
		s.building--
	} else {
		s.admitting--
	}
	s.garbage = true
	if h.admission != a {
		return // the file has changed or gone meanwhile
	}
	h.admission = nil
	h.part = intake.Part{Version: got.Version, Info: got.Info}
	e := lifecycle.Admitted{
		Version: got.Version,
		Content: lifecycle.Content{Sum: got.Version.Sum, Dev: a.File.ID.Dev, Ino: a.File.ID.Ino, Writes: s.writes(h)},
		Mixed:   got.Mixed,
		Changed: errors.Is(got.Err, handlerdir.ErrChanged),
	}
	if got.Err != nil {
		e.Refusal, e.Retry = lifecycle.NotServed(got.Err, got.WantsCell)
	}
	s.handle(h, e)
}
