package supervisor

import (
	"context"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/roster"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/sirupsen/logrus"
)

func (s *Supervisor) look() { s.lookAt(true) }

// lookAt looks at the whole directory, or at what has changed, beside the loop.
func (s *Supervisor) lookAt(all bool) {
	if look, all, ok := s.roster.Looks.Begin(all); ok && !s.stopping {
		s.intake.Look(s.roster.Snapshot, all, func(seen intake.Seen) { s.post(looked{look, seen}) })
	}
}

// looked applies what a look has seen. Where the directory cannot be read, all stays as it is.
func (s *Supervisor) looked(look uint64, seen intake.Seen) {
	if s.binaries != seen.Cells {
		s.binaries = seen.Cells
		s.step(s.roster.WithOtherCells())
	}
	snap := seen.Snapshot
	s.roster.Looks.Ended(look, seen.Err == nil, seen.Err == nil && snap.LookAgain > 0)
	switch {
	case s.stopping:
		return
	case seen.Err != nil:
		s.cannotLook(seen.Err)
	default:
		if s.view.Lost != "" {
			s.view.Lost = ""
			s.log.Info("handlers directory can be read again")
		}
		s.see(look, snap)
	}
	if s.roster.Looks.Again() {
		s.lookAt(false)
	}
}

// check looks for copies that are not what they were, once there is time for it. The
// handlers that have them get others, of their files.
func (s *Supervisor) check(ctx context.Context) {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return
	}
	s.intake.Check(ctx, func(sum string) { s.post(inTurn{func() { s.damaged(sum) }}) })
}

func (s *Supervisor) damaged(sum string) {
	s.log.WithField("version", sum[:12]).Error("a copy in the store was damaged, and is deleted: the disk or somebody has changed it")
	for _, h := range s.roster.Handlers {
		if h.Live != nil && h.Live.Version.Sum == sum {
			s.handle(h, lifecycle.TryAgain{})
		}
	}
}

func (s *Supervisor) cannotLook(err error) {
	meanwhile := s.roster.Meanwhile()
	if lost := err.Error() + "; meanwhile " + meanwhile; s.view.Lost != lost {
		s.view.Lost = lost
		how := "read"
		if _, untrusted := err.(*refusal.Error); untrusted {
			how = "trusted"
		}
		s.log.WithError(err).WithField(event.Field, event.DirectoryLost).Error("handlers directory cannot be " + how + ": " + meanwhile)
	}
	s.step(s.roster.Lost())
}

// see begins whatever a snapshot asks for.
func (s *Supervisor) see(look uint64, snap *handlerdir.Snapshot) {
	steps, orphaned := s.roster.See(look, snap)
	s.step(steps)
	if len(orphaned) > 0 {
		s.log.WithFields(logrus.Fields{event.Field: event.DirectoryLost, "reason": refusal.Replaced(s.cfg.Handlers, orphaned).Error()}).
			Error("handlers directory was replaced: what is live stays live")
	}
	if snap.LookAgain > 0 {
		time.AfterFunc(snap.LookAgain, func() { s.post(lookDue{}) })
	}
	s.reconcile()
}

// reconcile compares what was seen with what there is, and begins what is to be done.
func (s *Supervisor) reconcile() {
	if s.roster.Snapshot == nil || s.stopping {
		return
	}
	s.step(s.roster.Compare(s.writes))
	s.reclaim()
}

// step tells handlers what they are to be told.
func (s *Supervisor) step(steps []roster.Step) {
	for _, st := range steps {
		s.handle(s.roster.Handler(st.Name, time.Now()), st.Event)
	}
}

// writes counts what was written to the file of that name.
func (s *Supervisor) writes(file string) uint64 {
	if s.cfg.Writes == nil {
		return 0
	}
	return s.cfg.Writes(file)
}
