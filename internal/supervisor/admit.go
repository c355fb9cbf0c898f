package supervisor

import (
	"errors"
	"path/filepath"

	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/intake"
)

// admission is a file on its way into the store.
type admission struct {
	*intake.Admission
	long bool // it builds something, and is waited for by nobody
}

// admit begins the admission of a file. One of the handler that is under way is
// not waited for.
func (s *Supervisor) admit(h *handler, f handlerdir.File) {
	h.abandon()
	a := &admission{}
	h.file, h.tried, h.admission = filepath.Base(f.Path), f.ID, a
	s.admitting++
	a.Admission = s.intake.Admit(f,
		func(doing string) { s.post(func() { s.long(h, a, doing) }) },
		func(got intake.Admitted) { s.post(func() { s.admitted(h, a, got) }) })
}

// abandon ends the admission that is under way; its outcome counts for nothing.
func (h *handler) abandon() {
	if h.admission != nil {
		h.admission.Cancel()
		h.admission, h.doing = nil, ""
	}
}

// long is told that an admission takes longer than a moment, and with what.
// Meanwhile what served before serves, after a start of the daemon too.
func (s *Supervisor) long(h *handler, a *admission, doing string) {
	if !a.long {
		a.long = true
		s.admitting--
		s.building++
	}
	if h.admission == a {
		h.doing = doing
		s.log.WithField("handler", h.name).Info(doing)
		if h.live == nil && h.next == nil {
			s.fallBack(h)
		}
	}
}

// admitted begins to prove an admitted version.
func (s *Supervisor) admitted(h *handler, a *admission, got intake.Admitted) {
	v := got.Version
	if a.long {
		s.building--
	} else {
		s.admitting--
	}
	s.garbage = true
	if h.admission != a || s.stopping {
		return // the file has changed or gone meanwhile
	}
	h.admission, h.doing = nil, ""
	switch {
	case errors.Is(got.Err, handlerdir.ErrChanged):
		h.tried = handlerdir.ID{}
		s.scan()
	case v.Sum != "" && !s.asked(h, a.File, v.Sum) && s.givenUp(h, v.Sum):
		s.staysGivenUp(h, v)
	case got.Err != nil:
		r := notServed(got.Err)
		h.atStart = h.atStart && r.passing // what it was is known
		r.celled = got.WantsCell
		s.refuse(h, r)
	case h.live != nil && h.live.part.Version.Sum == v.Sum:
		// The live version again: touched, or copied back.
		s.dropNext(h)
		h.refusal = nil
		h.rolledBack = false
		if h.quarantined {
			h.quarantined = false
			s.alter() // its requests wait again
		}
		s.undecided(h)
	default:
		s.dropNext(h)
		h.next = s.newSeat(h, v)
		h.next.part.Info = got.Info
		h.next.mixed = got.Mixed
		s.start(h.next.cell)
	}
}
