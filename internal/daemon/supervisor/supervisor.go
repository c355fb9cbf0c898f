// Package supervisor decides. One goroutine owns all of its state; everything
// else sends it events. A nudge makes it look at the directory; what it sees
// becomes actions (plan), the actions become cells, the cells that are proved
// become routes, and the routes go to the gate and to the cells. It runs no
// plugin's code and reads no client's bytes.
package supervisor

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/daemon/canaries"
	"github.com/andrestc/go-plugserver/internal/daemon/cells"
	"github.com/andrestc/go-plugserver/internal/daemon/files"
	"github.com/andrestc/go-plugserver/internal/daemon/fleet"
	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/operate"
	"github.com/andrestc/go-plugserver/internal/daemon/roster"
	"github.com/andrestc/go-plugserver/internal/daemon/standing"
	"github.com/sirupsen/logrus"
)

const (
	// pingEvery is how often a child has to answer (fleet.Watch).
	pingEvery = 5 * time.Second
	// sweepEvery is how often cells that no version needs are looked for.
	sweepEvery = time.Hour
	// acceptWait bounds how long the gate waits, at the start, for the
	// handlers to be tried before it accepts.
	acceptWait = 2 * time.Second
)

// Supervisor is the one supervisor of a daemon.
type Supervisor struct {
	*operate.Desk // where operators ask

	cfg    Config
	log    *logrus.Logger
	intake *intake.Intake

	events chan Event      // for the goroutine of Run
	nudges <-chan struct{} // "look again"
	ready  chan struct{}   // closed once all that was there at start was tried
	done   chan struct{}   // closed when Run returns

	// All below is owned by the goroutine of Run.

	roster   *roster.Roster
	view     *standing.View
	files    *files.Files
	cells    *cells.Cells
	canaries *canaries.Canaries
	retry    bool   // the snapshot has to be compared again
	binaries uint64 // the generation of the cells, when the directory was last looked at
	noted    bool   // the log has the notes on the settings
	stopping bool
	reported *Report // nil before the first
}

// New prepares a supervisor. nudges tells it when to look at the directory.
func New(cfg Config, nudges <-chan struct{}) *Supervisor {
	if cfg.Settings == nil {
		cfg.Settings = func(string) Settings { return Settings{} }
	}
	rules := lifecycle.Rules{Dir: cfg.Handlers, CrashLimit: cfg.CrashLimit, CrashWindow: cfg.CrashWindow}
	s := &Supervisor{
		cfg: cfg, log: cfg.Log, intake: cfg.Intake,
		events: make(chan Event, 64),
		nudges: nudges,
		ready:  make(chan struct{}),
		done:   make(chan struct{}),
		roster: roster.New(cfg.Intake.History(), roster.Rules{Rules: rules, Patience: cfg.StartTimeout, Dialect: cfg.Fleet.Limits.Mux}),
	}
	s.canaries = canaries.New(canaries.Owner{
		Roster: s.roster, Sums: cfg.Fleet.Sums, Log: cfg.Log, Policy: cfg.Intake.Policy, Tell: s.handle, Alter: func() { s.cells.Alter() },
		Settings: func(handler string) canary.Terms { return s.view.Settings(handler).Canary },
		After:    func(d time.Duration, do func()) { time.AfterFunc(d, func() { s.post(inTurn{do}) }) },
	})
	s.cells = cells.New(cells.Config{
		Fleet: cfg.Fleet, Intake: cfg.Intake, StartTimeout: cfg.StartTimeout, Log: cfg.Log, Settings: cfg.Settings,
	}, cells.Owner{
		Handler:  func(name string) *lifecycle.Handler { return s.roster.Handlers[name] },
		Handlers: func() iter.Seq[*lifecycle.Handler] { return maps.Values(s.roster.Handlers) },
		Tell:     s.handle,
		Claimed:  s.roster.Claimed,
		Served:   s.canaries.Served,
		Post:     func(do func()) bool { return s.post(inTurn{do}) },
	})
	s.files = files.New(cfg.Intake, files.Owner{
		Has: func(h *lifecycle.Handler) bool { return !s.stopping && s.roster.Has(h) }, Tell: s.handle, Writes: s.writes, Expect: s.cells.Fleet.Spares().Expect, Ahead: s.cells.Ahead, Forgo: s.cells.Forgo,
		Record: s.roster.Record, Needed: func(sums map[string]bool) { s.cells.Needed(sums); s.roster.Needed(sums) },
		Post: func(e files.Event) bool { return s.post(ofFiles{e}) },
	}, cfg.Log)
	s.view = &standing.View{
		Daemon: api.Daemon{
			Version: cfg.Version, PID: cfg.PID, Since: time.Now(), Handlers: cfg.Handlers, Listeners: cfg.Addresses, BuildsCells: cfg.BuildsCells, Unconfined: cfg.Unconfined,
		},
		Roster: s.roster, Cells: s.cells, Settings: cfg.Settings, Named: cfg.Named, Canary: s.canaries.Of,
	}
	s.view.Trust(cfg.Intake.Policy())
	s.Desk = operate.New(operate.Owner{
		Ask: s.ask, Done: s.done, View: s.view, Look: s.look, Tell: s.handle,
		Recall: func(h *lifecycle.Handler, sum string, done func(intake.Recalled)) {
			s.intake.Recall(h.Name, h.Record.Find(sum), func(got intake.Recalled) { s.post(inTurn{func() { done(got) }}) })
		},
		InForce: s.inForce, Reconciled: s.reconciled, Canaries: s.canaries,
	})
	return s
}

// Ready is closed once every handler present at the start was tried and the
// gate accepts.
func (s *Supervisor) Ready() <-chan struct{} { return s.ready }

// Run supervises until ctx is done; then it drains and returns.
func (s *Supervisor) Run(ctx context.Context) error {
	defer close(s.done)
	defer func() { s.files.SaveNow(); s.intake.Close() }()

	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	s.cells.Fleet.StartGate()
	s.look()
	go s.check(ctx)
	time.AfterFunc(acceptWait+time.Millisecond, func() { s.post(turned{}) })
	var killed <-chan time.Time
	stop := ctx.Done()
	for {
		select {
		case e := <-s.events:
			s.on(e)
			// What follows looks at every handler: once for a burst.
			for range len(s.events) {
				s.on(<-s.events)
			}
		case <-s.nudges:
			s.lookAt(false)
		case <-ping.C:
			s.cells.Fleet.Watch()
		case <-sweep.C:
			if !s.stopping {
				s.files.Sweep(sweepEvery)
			}
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

// turn does what becomes possible once nothing is under way.
func (s *Supervisor) turn() {
	if s.retry {
		s.retry = false
		s.reconcile()
	}
	s.passOn()
	s.canaries.Turn(time.Now())
	if len(s.events) == 0 {
		s.cells.SendTable(!s.quiet())
	}
	if s.quiet() {
		s.cells.Gather()
	}
	s.cells.Announce()
	if s.cells.Left() {
		s.files.Left()
	}
	s.files.Turn()
	if s.quiet() || time.Since(s.view.Daemon.Since) > acceptWait {
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
	s.Desk.Turn()
}

// quiet reports whether everything in the directory has been tried.
func (s *Supervisor) quiet() bool { return !s.files.Admitting() && !s.retry && s.roster.Quiet() }

// reconciled reports whether, besides, what came of it is in force everywhere.
func (s *Supervisor) reconciled() bool {
	_, accepts := s.cells.Fleet.Gate()
	return accepts && s.inForce() && s.quiet()
}

// inForce reports whether everybody has the routes, and nothing is to be considered
// again.
func (s *Supervisor) inForce() bool { return !s.retry && s.cells.InForce() }

// report tells systemd what has changed.
func (s *Supervisor) report() {
	r := s.view.Report()
	if s.cfg.Report != nil && (s.reported == nil || r != *s.reported) {
		s.reported = &r
		s.cfg.Report(r)
	}
}

// note logs the notes once for all settings.
func (s *Supervisor) note() {
	if s.noted {
		return
	}
	s.noted = true
	for _, n := range s.view.Notes() {
		s.log.Info(n)
	}
}

// stop ends the service.
func (s *Supervisor) stop() {
	s.log.Info("stopping: requests under way finish first")
	for _, h := range s.roster.Handlers {
		s.handle(h, lifecycle.Stop{})
	}
	s.stopping = true
	s.cells.Stop()
}
