// Package supervisor decides. One goroutine owns all of its state; everything
// else sends it events. A nudge makes it look at the directory; what it sees
// becomes actions (plan), the actions become cells, the cells that are proved
// become routes, and the routes go to the gate and to the cells. It runs no
// plugin's code and reads no client's bytes.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/cells"
	"github.com/andrestc/go-plugserver/internal/fleet"
	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/intake"
	"github.com/andrestc/go-plugserver/internal/lifecycle"
	"github.com/andrestc/go-plugserver/internal/routes"
	"github.com/andrestc/go-plugserver/internal/store"
	"github.com/sirupsen/logrus"
)

const (
	// pingEvery is how often a child has to answer (fleet.Watch).
	pingEvery = 5 * time.Second
	// passingPause is the pause before what failed for want of descriptors or memory
	// is tried again.
	passingPause = 100 * time.Millisecond
	// sweepEvery is how often cells that no version needs are looked for.
	sweepEvery = time.Hour
	// acceptWait bounds how long the gate waits, at the start, for the
	// handlers to be tried before it accepts.
	acceptWait = 2 * time.Second
)

// Supervisor is the one supervisor of a daemon.
type Supervisor struct {
	cfg    Config
	cells  *cells.Cells
	log    *logrus.Logger
	intake *intake.Intake

	events chan func()     // run by the goroutine of Run
	nudges <-chan struct{} // "look again"
	ready  chan struct{}   // closed once all that was there at start was tried
	done   chan struct{}   // closed when Run returns

	// All below is owned by the goroutine of Run.

	since    time.Time
	rules    lifecycle.Rules
	handlers map[string]*handler
	history  store.History
	unsaved  bool // history has changed since it was handed to the intake
	lastSeq  int64

	snapshot   *handlerdir.Snapshot
	first      map[string]bool // the names in the first snapshot, but for those that were removed since
	scanning   bool
	scanAgain  bool   // a nudge came while scanning
	scans      uint64 // scans begun
	scanned    uint64 // the last scan whose result was applied
	unsettled  bool   // the snapshot asks for another look
	admitting  int    // admissions under way, but for those that
	building   int    // take long
	generation uint64 // of the cells, when the directory was last looked at
	garbage    bool   // the store may hold copies that nobody needs
	cleaning   bool   // they are being deleted
	retry      bool   // the snapshot has to be compared again
	lost       string // why the directory cannot be read
	accept     uint64 // the scan from which on a missing file is a removed one, whatever the directory; 0 if none
	settings   func(handler string) Settings
	named      map[string]string // that the settings name, with where
	noted      bool              // the log has the notes on them
	// misconfigured is why the newest settings are not in force.
	misconfigured string

	waiters  []func() bool
	stopping bool
	reported *Report // nil before the first
}

// handler is a handler, and what is under way for it.
type handler struct {
	*lifecycle.Handler
	newest    handlerdir.File // file
	admission *admission      // of it; nil where none is under way
	part      intake.Part     // the version that was started last: it need not be inspected again
}

// New prepares a supervisor. nudges tells it when to look at the directory.
func New(cfg Config, nudges <-chan struct{}) *Supervisor {
	s := &Supervisor{
		cfg: cfg, log: cfg.Log, intake: cfg.Intake,
		events:   make(chan func(), 64),
		nudges:   nudges,
		ready:    make(chan struct{}),
		done:     make(chan struct{}),
		since:    time.Now(),
		rules:    lifecycle.Rules{Dir: cfg.Handlers, CrashLimit: cfg.CrashLimit, CrashWindow: cfg.CrashWindow},
		handlers: make(map[string]*handler),
		settings: cfg.Settings,
		named:    cfg.Named,
		history:  cfg.Intake.History(),
	}
	if s.settings == nil {
		s.settings = func(string) Settings { return Settings{} }
	}
	s.cells = cells.New(cells.Config{
		Fleet: cfg.Fleet, Intake: cfg.Intake, StartTimeout: cfg.StartTimeout, Log: cfg.Log, Settings: s.settings,
	}, s.owner())
	for name, r := range s.history {
		s.lastSeq = max(s.lastSeq, r.Seq)
		// They may be of a release that took other patterns.
		r.Patterns = slices.DeleteFunc(r.Patterns, func(p string) bool { return routes.Check([]string{p}, 0, 0) != nil })
		s.history[name] = r
	}
	return s
}

// Ready is closed once every handler present at the start was tried and the
// gate accepts.
func (s *Supervisor) Ready() <-chan struct{} { return s.ready }

// Run supervises until ctx is done; then it drains and returns.
func (s *Supervisor) Run(ctx context.Context) error {
	defer close(s.done)
	defer func() { s.saveHistory(); s.intake.Close() }()

	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	s.cells.Fleet.StartGate()
	s.scan()
	time.AfterFunc(acceptWait+time.Millisecond, func() { s.post(func() {}) })
	var killed <-chan time.Time
	stop := ctx.Done()
	for {
		select {
		case f := <-s.events:
			f()
		case <-s.nudges:
			s.scan()
		case <-ping.C:
			s.cells.Fleet.Watch()
		case <-sweep.C:
			s.sweepCells()
		case <-stop:
			stop = nil
			killed = time.After(s.cfg.Fleet.DrainTimeout + fleet.KillWait)
			s.stop()
		case <-killed:
			return fmt.Errorf("stop: %d processes did not end in time and were killed", s.cells.Fleet.KillAll())
		case <-s.cfg.Now:
			return fmt.Errorf("stop: ended at once by a second signal, %d processes were killed", s.cells.Fleet.KillAll())
		}
		if s.stopping && s.cells.Stopped() {
			s.log.Info("stopped")
			return nil
		}
		s.turn()
	}
}

// owner is the supervisor as the cells see it.
func (s *Supervisor) owner() cells.Owner {
	return cells.Owner{
		Handler: func(name string) *lifecycle.Handler {
			if h := s.handlers[name]; h != nil {
				return h.Handler
			}
			return nil
		},
		Handlers: func() iter.Seq[*lifecycle.Handler] {
			return func(yield func(*lifecycle.Handler) bool) {
				for _, h := range s.handlers {
					if !yield(h.Handler) {
						return
					}
				}
			}
		},
		Tell: func(h *lifecycle.Handler, e lifecycle.Event) { s.handle(s.handlers[h.Name], e) },
		Claimed: func() (patterns []string) {
			for _, c := range s.undecidedClaims() {
				patterns = append(patterns, c.Patterns...)
			}
			return patterns
		},
		Post: s.post,
	}
}

// post sends an event to the owner of the state. It gives up once Run has
// returned, and says so.
func (s *Supervisor) post(f func()) bool {
	select {
	case s.events <- f:
		return true
	case <-s.done:
		return false
	}
}

// turn does what becomes possible once nothing is under way.
func (s *Supervisor) turn() {
	if s.retry {
		s.retry = false
		s.reconcile()
	}
	s.passOn()
	if len(s.events) == 0 {
		s.cells.SendTable()
	}
	if s.quiet() {
		s.cells.Gather()
	}
	s.cells.Announce()
	s.saveHistory()
	s.collectGarbage()
	if s.quiet() || time.Since(s.since) > acceptWait {
		s.cells.Fleet.Listen()
	}
	if s.reconciled() {
		select {
		case <-s.ready:
		default:
			close(s.ready)
		}
		s.note()
	}
	s.report()
	kept := s.waiters[:0]
	for _, done := range s.waiters {
		if !done() {
			kept = append(kept, done)
		}
	}
	s.waiters = kept
}

func (s *Supervisor) report() {
	r := s.counts()
	if s.cfg.Report != nil && (s.reported == nil || r != *s.reported) {
		s.reported = &r
		s.cfg.Report(r)
	}
}

// quiet reports whether everything in the directory has been tried.
func (s *Supervisor) quiet() bool {
	if s.scanned == 0 || s.scanning || s.unsettled || s.admitting > 0 || s.retry {
		return false
	}
	for _, h := range s.handlers {
		if h.Changing() || h.Presence == lifecycle.Leaving {
			return false
		}
	}
	return true
}

// reconciled reports whether, besides, what came of it is in force everywhere.
func (s *Supervisor) reconciled() bool {
	_, accepts := s.cells.Fleet.Gate()
	return accepts && s.cells.InForce() && s.quiet()
}

// stop ends the service.
func (s *Supervisor) stop() {
	s.log.Info("stopping: requests under way finish first")
	for _, h := range s.handlers {
		s.handle(h, lifecycle.Stop{})
	}
	s.stopping = true
	s.cells.Stop()
}

// later calls f soon, in the goroutine of Run: what failed for want of
// descriptors or memory is tried again.
func (s *Supervisor) later(f func()) {
	time.AfterFunc(passingPause, func() { s.post(f) })
}

var errStopped = errors.New("plugserverd is stopping")
