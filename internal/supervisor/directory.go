package supervisor

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/event"
	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/intake"
	"github.com/andrestc/go-plugserver/internal/lifecycle"
	"github.com/andrestc/go-plugserver/internal/plan"
	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/sirupsen/logrus"
)

// scan looks at the whole directory, beside the loop.
func (s *Supervisor) scan() {
	if s.scanning || s.stopping {
		s.scanAgain = true
		return
	}
	s.scanning, s.scanAgain = true, false
	s.scans++
	scan := s.scans
	s.intake.Look(s.snapshot, func(seen intake.Seen) {
		s.post(func() {
			s.changedCells(seen.Cells)
			s.looked(scan, seen.Snapshot, seen.Err)
		})
	})
}

// changedCells tries again what no cell could load, where there are others now.
func (s *Supervisor) changedCells(generation uint64) {
	if s.generation == generation {
		return
	}
	s.generation = generation
	for _, h := range s.handlers {
		if h.Refusal != nil && h.Refusal.Retry == lifecycle.WithCells {
			s.handle(h, lifecycle.TryAgain{})
		}
	}
}

// looked applies what a scan saw. Where the directory cannot be read, all
// stays as it is.
func (s *Supervisor) looked(scan uint64, snap *handlerdir.Snapshot, err error) {
	s.scanning, s.scanned, s.unsettled = false, scan, false
	switch {
	case s.stopping:
		return
	case err != nil:
		if s.lost != err.Error() {
			how := "read"
			if _, untrusted := err.(*refusal.Error); untrusted {
				how = "trusted"
			}
			s.log.WithError(err).WithField(event.Field, event.DirectoryLost).Error("handlers directory cannot be " + how + ": what is live stays live")
		}
		s.lost = err.Error()
		if s.snapshot == nil {
			// What was live before serves from the store.
			for name := range s.history {
				s.handle(s.handler(name), lifecycle.FallBack{})
			}
		}
	default:
		if s.lost != "" {
			s.log.Info("handlers directory can be read again")
		}
		s.orphan(snap, scan)
		if s.snapshot == nil {
			s.first = make(map[string]bool)
			for _, f := range snap.Files {
				s.first[f.Name] = true
			}
		}
		s.lost, s.snapshot = "", snap
		if snap.LookAgain > 0 {
			s.unsettled = true
			time.AfterFunc(snap.LookAgain, func() { s.post(s.scan) })
		}
		s.reconcile()
	}
	if s.scanAgain {
		s.scan()
	}
}

// reconcile begins whatever the snapshot asks for.
func (s *Supervisor) reconcile() {
	if s.snapshot == nil || s.stopping {
		return
	}
	have := make([]plan.Handler, 0, len(s.handlers))
	for _, h := range s.handlers {
		known := plan.Handler{Name: h.Name, Tried: h.Tried, Unread: h.Refusal != nil && h.Refusal.Unread, Orphan: h.Presence == lifecycle.Orphaned}
		if !known.Unread && h.Admission == lifecycle.Idle && h.GivenUp(h.Content.Sum) && s.writes(h) != h.Content.Writes {
			known.Tried = handlerdir.ID{} // the same content was written, which the file's state need not show
		}
		have = append(have, known)
	}
	s.seen()
	todo := plan.Next(s.snapshot, have)
	for _, name := range todo.Remove {
		s.handle(s.handlers[name], lifecycle.FileGone{})
	}
	for _, f := range todo.Refuse {
		if s.leaves(f) {
			continue
		}
		s.handle(s.handler(f.Name), lifecycle.FileRefused{Name: path.Base(f.Path), ID: f.ID, Refusal: f.Refusal})
	}
	for _, f := range todo.Admit {
		h := s.handler(f.Name)
		h.newest = f
		s.handle(h, lifecycle.FileSettled{Name: path.Base(f.Path), ID: f.ID})
	}
	s.reclaim()
}

// leaves reports whether a file is left alone: a library that lies beside the
// plugins that link it, where no handler of its name was ever served.
func (s *Supervisor) leaves(f handlerdir.File) bool {
	_, served := s.history[f.Name]
	return f.Library && s.handlers[f.Name] == nil && !served
}

func (s *Supervisor) handler(name string) *handler {
	h := s.handlers[name]
	if h == nil {
		h = &handler{Handler: lifecycle.New(name, s.history[name], s.snapshot == nil || s.first[name], s.rules, time.Now())}
		s.handlers[name] = h
	}
	return h
}

// orphan keeps the handlers that have no file in a directory that is not the
// one of before: nobody has removed them. It may have been unmounted, or
// its successor is still being filled. A reload ends them.
func (s *Supervisor) orphan(snap *handlerdir.Snapshot, scan uint64) {
	here := make(map[string]bool)
	for _, f := range snap.Files {
		here[f.Name] = true
	}
	replaced := s.snapshot != nil && (snap.Dir.Dev != s.snapshot.Dir.Dev || snap.Dir.Ino != s.snapshot.Dir.Ino)
	var names []string
	for _, h := range s.handlers {
		switch {
		case h.Presence == lifecycle.Orphaned:
			if here[h.Name] || scan >= s.accept && s.accept > 0 {
				s.handle(h, lifecycle.FileSeen{})
			}
		case here[h.Name] || scan >= s.accept && s.accept > 0:
		case replaced && h.Live != nil && h.Presence != lifecycle.Leaving:
			s.handle(h, lifecycle.FileOrphaned{})
			names = append(names, h.Name)
		}
	}
	if scan >= s.accept {
		s.accept = 0
	}
	if len(names) > 0 {
		slices.Sort(names)
		s.log.WithFields(logrus.Fields{event.Field: event.DirectoryLost, "reason": refusal.Replaced(s.cfg.Handlers, names).Error()}).
			Error("handlers directory was replaced: what is live stays live")
	}
}

// problem is what ails the daemon as a whole, "" if nothing does.
func (s *Supervisor) problem() string {
	var all, orphans []string
	for _, h := range s.handlers {
		if h.Presence == lifecycle.Orphaned {
			orphans = append(orphans, h.Name)
		}
	}
	if s.lost != "" {
		all = append(all, s.lost)
	}
	if len(orphans) > 0 {
		slices.Sort(orphans)
		all = append(all, refusal.Replaced(s.cfg.Handlers, orphans).Error())
	}
	if s.misconfigured != "" {
		all = append(all, s.misconfigured)
	}
	return strings.Join(all, "; ")
}
