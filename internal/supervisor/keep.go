package supervisor

import "github.com/andrestc/go-plugserver/internal/lifecycle"

// changed says that the history is to be saved; it is, once the event that has
// changed it was handled.
func (s *Supervisor) changed() { s.unsaved, s.garbage = true, true }

func (s *Supervisor) saveHistory() {
	if s.unsaved {
		s.unsaved = false
		s.intake.Save(s.history, func() { s.post(func() {}) }) // there may be garbage then
	}
}

// collectGarbage deletes the copies that no cell has and no history names,
// neither the one on disk.
func (s *Supervisor) collectGarbage() {
	s.garbage = s.cells.Left() || s.garbage
	if !s.garbage || s.cleaning || s.admitting+s.building > 0 || !s.intake.Saved() {
		return
	}
	s.garbage, s.cleaning = false, true
	s.intake.Clean(s.needed(), func() { s.post(func() { s.cleaning = false }) })
}

// needed are the sums of the versions that may be served now or later.
func (s *Supervisor) needed() map[string]bool {
	keep := make(map[string]bool)
	s.cells.Needs(keep)
	for _, h := range s.handlers {
		for _, st := range []*lifecycle.Seat{h.Live, h.Next} {
			if st != nil {
				keep[st.Version.Sum] = true
			}
		}
	}
	for _, r := range s.history {
		for _, v := range r.Versions {
			keep[v.Sum] = true
		}
	}
	return keep
}

// sweepCells deletes the cells that came by themselves and that no version in
// the store needs.
func (s *Supervisor) sweepCells() {
	if !s.stopping && s.admitting+s.building == 0 {
		s.intake.Sweep(sweepEvery)
	}
}
