package supervisor

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/intake"
	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/andrestc/go-plugserver/internal/plan"
	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/sirupsen/logrus"
)

// refusalOf is why the newest file of a handler is not served.
type refusalOf struct {
	*refusal.Error
	contested bool          // it is tried again when a pattern becomes free
	patterns  []string      // that it wants, where they are contested
	size      int           // of their routes in a message, in bytes
	unread    bool          // it was refused in the directory, before it was admitted
	passing   bool          // it was refused for want of something: it is tried again soon
	celled    bool          // it was refused for want of a cell: it is tried again when there are others
	file      handlerdir.ID // the state of the file that was refused

	of   string // the sum of the version that was given up, whatever the newest file is; else empty
	held bool   // it was given up because an operator has rolled it back
}

// notServed is the refusal for an error of admission or start.
func notServed(err error) refusalOf {
	return refusalOf{Error: refusal.From(err), passing: refusal.Passing(err)}
}

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
		if h.refusal != nil && h.refusal.celled {
			h.tried = handlerdir.ID{}
			s.retry = true
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
			s.log.WithError(err).WithField("event", "directory_lost").Error("handlers directory cannot be " + how + ": what is live stays live")
		}
		s.lost = err.Error()
		if s.snapshot == nil {
			// What was live before serves from the store.
			for name := range s.history {
				if h := s.handler(name); h.live == nil && h.next == nil {
					s.fallBack(h)
				}
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
		known := plan.Handler{Name: h.name, Tried: h.tried, Unread: h.refusal != nil && h.refusal.unread, Orphan: h.orphan}
		if !known.Unread && h.admission == nil && s.givenUp(h, h.content.Sum) && s.writes(h) != h.content.Writes {
			known.Tried = handlerdir.ID{} // the same content was written, which the file's state need not show
		}
		have = append(have, known)
	}
	s.missed()
	todo := plan.Next(s.snapshot, have)
	for _, name := range todo.Remove {
		s.remove(s.handlers[name])
	}
	for _, f := range todo.Refuse {
		if s.leaves(f) {
			continue
		}
		h := s.handler(f.Name)
		h.file, h.tried = filepath.Base(f.Path), f.ID
		s.refuse(h, refusalOf{Error: f.Refusal, unread: true})
	}
	for _, f := range todo.Admit {
		h := s.handler(f.Name)
		s.admit(h, f)
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
		h = &handler{name: name, since: time.Now(), atStart: s.snapshot == nil || s.first[name]}
		s.handlers[name] = h
	}
	return h
}

// refuse records why a handler's newest file is not served; the version that
// serves goes on.
func (s *Supervisor) refuse(h *handler, r refusalOf) {
	h.abandon()
	s.dropNext(h)
	r.file = h.tried
	if strings.HasSuffix(h.file, ".so") && handlerdir.ValidName(h.name) {
		r.Error = r.Named(filepath.Join(s.cfg.Handlers, h.file))
	}
	known := h.refusal != nil && h.refusal.Reason == r.Reason
	// It was tried once more, in vain; or what is refused for its name, or for
	// whose it is, is still being written.
	again := known && (h.refusal.file == r.file || h.refusal.unread && r.unread && inode(h.refusal.file) == inode(r.file))
	h.refusal = &r
	if r.passing {
		s.tryLater(h)
		if known {
			s.undecided(h)
			return
		}
	}
	entry := s.log.WithFields(logrus.Fields{
		"event": "refused", "handler": h.name, "reason": r.Reason, "mend": r.Mends(),
	})
	switch {
	case again:
	case r.held:
		s.log.WithFields(logrus.Fields{"handler": h.name, "reason": r.Reason, "mend": r.Mends()}).Infof("rolled back: %s", h.file)
	case h.serves():
		entry.Warnf("refused: %s; version %s goes on serving", h.file, h.live.part.Version.Short())
	default:
		entry.Warnf("refused: %s", h.file)
	}
	if h.live == nil {
		if !again {
			h.since = time.Now()
		}
		s.fallBack(h) // to what the supervisor before had live
	}
	s.undecided(h)
}

// tryLater tries a handler's file again after a pause that doubles.
func (s *Supervisor) tryLater(h *handler) {
	refused := h.refusal
	pause := min(passingMin<<min(h.passes, 20), passingMax)
	h.passes++
	time.AfterFunc(pause, func() {
		s.post(func() {
			if s.handlers[h.name] == h && h.refusal == refused && h.next == nil && h.admission == nil {
				h.tried = handlerdir.ID{}
				s.retry = true
			}
		})
	})
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
		case here[h.name] || scan >= s.accept && s.accept > 0:
			h.orphan = false
		case replaced && h.live != nil && !h.orphan:
			h.orphan = true
			names = append(names, h.name)
		}
	}
	if scan >= s.accept {
		s.accept = 0
	}
	if len(names) > 0 {
		slices.Sort(names)
		s.log.WithFields(logrus.Fields{"event": "directory_lost", "reason": refusal.Replaced(s.cfg.Handlers, names).Error()}).
			Error("handlers directory was replaced: what is live stays live")
	}
}

// problem is what ails the daemon as a whole, "" if nothing does.
func (s *Supervisor) problem() string {
	var all, orphans []string
	for _, h := range s.handlers {
		if h.orphan {
			orphans = append(orphans, h.name)
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

// undecided is called when h was tried: juniors may wait for what it claims,
// and a crashed cell may wait for the outcome to be started again.
func (s *Supervisor) undecided(h *handler) {
	if h.live != nil && h.live.dead() && h.next == nil && h.restart == nil && !h.quarantined {
		s.restartLater(h)
	}
	s.reclaim()
}

// reclaim decides anew on the cells that wait for a senior handler.
func (s *Supervisor) reclaim() {
	for _, c := range s.cells {
		if c.state == waiting && c.group == nil {
			s.claim(c.seats[0])
		}
	}
}

// claim decides whether a proved cell gets its patterns.
func (s *Supervisor) claim(c *seat) {
	h := s.handlers[c.name]
	if h == nil || h.next != c {
		return
	}
	if h.wanting.IsZero() {
		h.wanting = time.Now()
	}
	mine := plan.Claimant{Name: h.name, Patterns: c.patterns, Seniority: s.history[h.name].Seq}
	switch verdict, refused := plan.Claim(mine, append(s.undecidedClaims(), s.liveClaims()...)); verdict {
	case plan.Granted:
		if !s.holdsBack(h, c) {
			s.grant(h, c)
		}
	case plan.Waits:
		c.state = waiting
		s.tryHeirs() // of what it may give up
	case plan.Denied:
		s.deny(h, c, refused)
	}
}

// grant gives a proved cell its patterns, if the table has room for them.
func (s *Supervisor) grant(h *handler, c *seat) {
	if refused := plan.Room(c.size, s.others(h), link.MaxRoutes); refused != nil {
		s.deny(h, c, refused)
		return
	}
	s.promote(h, c)
}

// others is what all that serve but one take of the table, in bytes.
func (s *Supervisor) others(but *handler) (size int) {
	for _, h := range s.handlers {
		if h != but && h.live != nil {
			size += h.live.size
		}
	}
	return size
}

// deny is called when a proved cell is not granted its patterns.
func (s *Supervisor) deny(h *handler, c *seat, refused *refusal.Error) {
	if c.again {
		s.deniedAgain(h, refused)
		return
	}
	s.refuse(h, refusalOf{Error: refused, contested: true, patterns: c.patterns, size: c.size})
}

// undecidedClaims are the patterns that handlers had when they last served,
// and may have again once they have been tried.
func (s *Supervisor) undecidedClaims() (claims []plan.Claimant) {
	if s.snapshot == nil {
		// Not looked yet, or in vain: then the store's versions are tried.
		for name, record := range s.history {
			if h := s.handlers[name]; s.scanned == 0 || h != nil && h.live == nil && h.next != nil {
				claims = append(claims, plan.Claimant{Name: name, Patterns: record.Patterns, Seniority: record.Seq})
			}
		}
		return claims
	}
	for _, f := range s.snapshot.Files {
		record, ok := s.history[f.Name]
		h := s.handlers[f.Name]
		if !ok || h == nil && f.Refusal != nil || h != nil && (h.live != nil || !h.undecided()) {
			continue
		}
		claims = append(claims, plan.Claimant{Name: f.Name, Patterns: record.Patterns, Seniority: record.Seq})
	}
	return claims
}

// promote makes a proved cell the one that has the handler's routes.
func (s *Supervisor) promote(h *handler, c *seat) {
	old := h.live
	h.live, h.next, h.serve = c, nil, c.part.Version
	h.wanting = time.Time{}
	h.since = time.Now()
	c.state = live
	switch {
	case c.rollBack:
		h.rolledBack = true
		s.publish(news{event: "rolled_back", text: "rolled back: " + h.name, seat: c, old: old})
	case c.again:
		s.publish(news{event: "live", text: "live again: " + h.name, seat: c, old: old})
	default:
		h.refusal, h.crashes, h.crashTimes, h.passes = nil, 0, nil, 0
		h.rolledBack, h.quarantined = false, false
		s.publish(news{event: "live", text: "live: " + h.name, seat: c, old: old})
		r := s.history[h.name]
		r.Held = ""
		s.history[h.name] = r
	}
	s.served(h, c)
	if old != nil && plan.Freed(old.patterns, c.patterns) {
		s.tryHeirs()
	}
	s.renew(h)
	s.undecided(h)
}
