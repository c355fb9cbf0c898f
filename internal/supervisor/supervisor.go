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
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/fleet"
	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/intake"
	"github.com/andrestc/go-plugserver/internal/lifecycle"
	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/andrestc/go-plugserver/internal/routes"
	"github.com/andrestc/go-plugserver/internal/store"
	"github.com/andrestc/go-plugserver/internal/table"
	"github.com/sirupsen/logrus"
)

const (
	// pingEvery is how often a child has to answer (fleet.Watch).
	pingEvery = 5 * time.Second
	// ackEvery is how often a cell is looked for that has not acknowledged its
	// routes (table.Look).
	ackEvery = time.Second
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
	fleet  *fleet.Fleet
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
	cells    map[uint64]*cell // every cell whose process has not been reaped
	groups   map[string]*group
	regroup  bool // who shares a cell with whom is to be looked at
	lastCell uint64
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

	table    table.Table
	awaited  bool   // a cell's acknowledgement is, by checkAcks
	news     []news // changes that are not in force everywhere yet
	waiters  []func() bool
	stopping bool
	stopBy   time.Time // then requests are cut
	reported *Report   // nil before the first
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
		cells:    make(map[uint64]*cell),
		groups:   make(map[string]*group),
		settings: cfg.Settings,
		named:    cfg.Named,
		history:  cfg.Intake.History(),
	}
	if s.settings == nil {
		s.settings = func(string) Settings { return Settings{} }
	}
	s.fleet = fleet.New(cfg.Fleet, s.post, s.heard)
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
	s.fleet.StartGate()
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
			s.fleet.Watch()
		case <-sweep.C:
			s.sweepCells()
		case <-stop:
			stop = nil
			killed = time.After(s.cfg.Fleet.DrainTimeout + fleet.KillWait)
			s.stop()
		case <-killed:
			return fmt.Errorf("stop: %d processes did not end in time and were killed", s.fleet.KillAll())
		case <-s.cfg.Now:
			return fmt.Errorf("stop: ended at once by a second signal, %d processes were killed", s.fleet.KillAll())
		}
		if s.stopping {
			s.quitGate()
		}
		if s.stopping && s.fleet.Empty() {
			s.log.Info("stopped")
			return nil
		}
		s.turn()
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
	if s.table.Unsent() && len(s.events) == 0 { // a burst of changes becomes one table
		s.sendTable()
	}
	s.gather()
	s.announce()
	s.saveHistory()
	s.collectGarbage()
	if s.quiet() || time.Since(s.since) > acceptWait {
		s.fleet.Listen()
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
	_, accepts := s.fleet.Gate()
	return s.quiet() && accepts && len(s.news) == 0 && s.table.Current()
}

// stop ends the service: first nothing new begins, then every connection gets its
// last answer, then the gate ends, through which connections get from cell to
// cell, and then the cells do.
func (s *Supervisor) stop() {
	s.log.Info("stopping: requests under way finish first")
	for _, h := range s.handlers {
		s.handle(h, lifecycle.Stop{})
	}
	s.stopping, s.stopBy = true, time.Now().Add(s.cfg.Fleet.DrainTimeout)
	time.AfterFunc(s.cfg.Fleet.DrainTimeout, func() { s.post(func() {}) })
	s.fleet.Close()
	for _, c := range s.cells {
		switch {
		case c.proc == nil || c.proc.Gone():
			delete(s.cells, c.id) // it was never started
		case c.connected():
			c.proc.Send(link.Message{Kind: link.Part})
		}
	}
	if gate, _ := s.fleet.Gate(); gate {
		s.fleet.SendGate(link.Message{Kind: link.Part})
	} else {
		s.fleet.Quit(s.graceLeft())
	}
}

// connected reports whether the cell may have connections.
func (c *cell) connected() bool { return (c.state == serving || c.state == retiring) && !c.proc.Gone() }

// quitGate ends the gate once no cell needs it any more.
func (s *Supervisor) quitGate() {
	for _, c := range s.cells {
		if c.connected() && !c.proc.Parted() && time.Now().Before(s.stopBy) {
			return
		}
	}
	s.fleet.QuitGate(s.graceLeft())
}

// graceLeft is how long requests may still take while the service ends.
func (s *Supervisor) graceLeft() time.Duration { return max(time.Until(s.stopBy), 0) }

// later calls f soon, in the goroutine of Run: what failed for want of
// descriptors or memory is tried again.
func (s *Supervisor) later(f func()) {
	time.AfterFunc(passingPause, func() { s.post(f) })
}

var errStopped = errors.New("plugserverd is stopping")
