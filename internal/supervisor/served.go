package supervisor

import (
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/store"
)

// origin is where a version came from, and since when it is live.
type origin struct {
	sum   string
	mixed bool // it may be; see seat
	live  time.Time
}

// passing reports whether a version was no more than a moment of the next one's
// being written: it came by writing in place, its build ID does not prove that
// it is what was built, and it was replaced before it had served for a while. It
// may be a part of this file and a part of that, and is none to go back to.
func (o origin) passing(next origin) bool {
	return o.mixed && o.sum != next.sum && next.live.Sub(o.live) < livedTime
}

// served puts into the history what is live now.
func (s *Supervisor) served(h *handler, c *seat) {
	r := s.history[h.name]
	if r.Seq == 0 {
		s.lastSeq++
		r.Seq = s.lastSeq
	}
	r.Patterns, r.Serves = c.patterns, c.part.Version.Sum
	now := store.Served{Sum: c.part.Version.Sum, Live: h.since}
	r.Versions = slices.Clone(r.Versions)
	if !c.again {
		next := origin{sum: now.Sum, mixed: c.mixed, live: now.Live}
		if was := h.origin; was.passing(next) {
			r.Versions = slices.DeleteFunc(r.Versions, func(v store.Served) bool { return v.Sum == was.sum })
		}
		h.origin = next
	}
	at := slices.IndexFunc(r.Versions, func(v store.Served) bool { return v.Sum == now.Sum })
	switch {
	case at >= 0 && c.again:
		r.Versions[at] = now
	case at >= 0:
		r.Versions = append(slices.Delete(r.Versions, at, at+1), now)
	default:
		r.Versions = append(r.Versions, now)
	}
	r.Versions = r.Versions[max(0, len(r.Versions)-3):]
	r.Bad = slices.DeleteFunc(slices.Clone(r.Bad), func(sum string) bool { return sum == c.part.Version.Sum })
	s.history[h.name] = r
	s.changed()
}
