package supervisor

import (
	"time"

	"github.com/andrestc/go-plugserver/internal/elfplug"
	"github.com/andrestc/go-plugserver/internal/store"
)

// saveHistory is the goroutine that writes the newest history to disk. What
// cannot be written is tried again.
func (s *Supervisor) saveHistory(done chan<- struct{}) {
	defer close(done)
	for h := range s.save {
		for err := s.store.SaveHistory(h.history); err != nil; err = s.store.SaveHistory(h.history) {
			s.log.WithError(err).Error("history cannot be saved")
			select {
			case newer, ok := <-s.save:
				if !ok {
					return
				}
				h = newer
			case <-time.After(saveAgain):
			}
		}
		s.saved.Store(h.number)
		select {
		case s.events <- func() {}: // there may be garbage
		default: // the next event will do
		}
	}
}

// unsaved is a history to be written.
type unsaved struct {
	history store.History
	number  int64
}

// changed publishes the history to the goroutine that saves it; only the
// newest counts.
func (s *Supervisor) changed() {
	s.garbage = true
	copied := make(store.History, len(s.history))
	for name, r := range s.history {
		copied[name] = r
	}
	select {
	case <-s.save:
	default:
	}
	s.changes++
	s.save <- unsaved{copied, s.changes}
}

// collectGarbage deletes the copies that no cell has and no history names,
// neither the one on disk.
func (s *Supervisor) collectGarbage() {
	if !s.garbage || s.admitting+s.building > 0 || s.saved.Load() != s.changes {
		return
	}
	s.garbage = false
	keep := make(map[string]bool)
	for _, c := range s.cells {
		for _, st := range c.seats {
			keep[st.version.Sum] = true
		}
	}
	for _, h := range s.handlers {
		for _, st := range []*seat{h.live, h.next} {
			if st != nil {
				keep[st.version.Sum] = true
			}
		}
	}
	for _, r := range s.history {
		for _, v := range r.Versions {
			keep[v.Sum] = true
		}
	}
	if err := s.store.Keep(keep); err != nil {
		s.log.WithError(err).Warn("store cannot be cleaned")
	}
}

// sweepCells deletes the cells that came by themselves and that no version in
// the store needs.
func (s *Supervisor) sweepCells() {
	if s.stopping || s.admitting+s.building > 0 {
		return
	}
	go func() {
		var plugins []*elfplug.Info
		versions, err := s.store.List()
		if err != nil {
			s.log.WithError(err).Warn("cells cannot be cleaned")
			return
		}
		for _, v := range versions {
			info, err := elfplug.InspectFile(v.Path)
			if err != nil {
				return // whatever it is, nothing is deleted for it
			}
			plugins = append(plugins, info)
		}
		deleted, err := s.cfg.Cells.Keep(plugins, sweepEvery)
		if err != nil {
			s.log.WithError(err).Warn("cells cannot be cleaned")
		}
		for _, name := range deleted {
			s.log.Infof("deleted cell %s: no version needs it", name)
		}
	}()
}
