package supervisor

import (
	"context"
	"errors"

	"github.com/andrestc/go-plugserver/internal/elfplug"
	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/andrestc/go-plugserver/internal/store"
)

// admission is a file on its way into the store and to the cell that loads it.
type admission struct {
	h      *handler
	file   handlerdir.File
	cancel context.CancelFunc
	doing  string // what takes longer than a moment; the loop's own

	// The outcome, which the admission's goroutine leaves to the loop.
	version store.Version
	info    *elfplug.Info
	binary  string // the cell's
	err     error
	celled  bool // err is for want of a cell
}

// admit begins the admission of a file. One of the handler that is under way is
// not waited for.
func (s *Supervisor) admit(h *handler, f handlerdir.File) {
	h.abandon()
	ctx, cancel := context.WithCancel(context.Background())
	a := &admission{h: h, file: f, cancel: cancel}
	h.atStart = s.scanned == 1
	h.tried, h.admission = f.ID, a
	s.admitting++
	go func() {
		a.err = s.bringIn(ctx, a)
		s.post(func() { s.admitted(a) })
	}()
}

// abandon ends the admission that is under way; its outcome counts for nothing.
func (h *handler) abandon() {
	if h.admission != nil {
		h.admission.cancel()
		h.admission = nil
	}
}

// bringIn copies a file into the store, inspects the copy, and finds the cell
// that loads it.
func (s *Supervisor) bringIn(ctx context.Context, a *admission) error {
	if err := s.copyIn(a); err != nil {
		return err
	}
	binary, refused := s.cfg.Cells.Choose(a.info)
	if refused != nil {
		a.celled = true
		return refused
	}
	a.binary = binary.Path
	return nil
}

func (s *Supervisor) copyIn(a *admission) error {
	s.admits <- struct{}{}
	defer func() { <-s.admits }()
	src, err := handlerdir.Open(a.file)
	if err != nil {
		return err
	}
	defer src.Close()
	if a.version, err = s.store.Put(src, s.cfg.MaxSize); err != nil {
		return err
	}
	if same, err := handlerdir.Unchanged(src, a.file.ID); err != nil || !same {
		return errors.Join(handlerdir.ErrChanged, err)
	}
	return a.inspect()
}

func (a *admission) inspect() (err error) {
	if a.info, err = elfplug.InspectFile(a.version.Path); err != nil {
		return err
	}
	if r := a.info.Contract(); r != nil {
		return r
	}
	return nil
}

// admitted begins to prove an admitted version.
func (s *Supervisor) admitted(a *admission) {
	h, v := a.h, a.version
	a.cancel()
	s.admitting--
	s.garbage = true
	if h.admission != a || s.stopping {
		return // the file has changed or gone meanwhile
	}
	h.admission = nil
	switch {
	case errors.Is(a.err, handlerdir.ErrChanged):
		h.tried = handlerdir.ID{}
		s.scan()
	case a.err != nil:
		r := notServed(a.err)
		r.celled = a.celled
		s.refuse(h, r)
	case h.live != nil && h.live.version.Sum == v.Sum:
		// The live version again: touched, or copied back.
		s.dropNext(h)
		h.refusal = nil
		h.rolledBack, h.crashTimes = false, nil
		if h.quarantined {
			h.quarantined = false
			s.alter() // its requests wait again
		}
		s.undecided(h)
	case s.isBad(h, v.Sum) && h.atStart:
		s.refuse(h, refusalOf{Error: refusal.Crashed(h.name, v.Short(), s.cfg.CrashLimit, s.cfg.CrashWindow, "see the log of that time")})
	case s.history[h.name].Held == v.Sum && h.atStart:
		s.refuse(h, refusalOf{Error: refusal.RolledBack(h.name, v.Short())})
	default:
		s.dropNext(h)
		h.next = s.newSeat(h, v)
		h.next.info, h.next.binary = a.info, a.binary
		s.enqueue(h.next.cell)
	}
}
