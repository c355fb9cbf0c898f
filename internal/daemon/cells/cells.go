// Package cells has each version of a handler run in a process: it prepares cells and
// starts them, gathers the handlers of a group in one, tells the gate and the cells of the
// routes, and retires the cells that nobody needs any more. Which version is to run,
// and what becomes of one that does not, it does not decide.
//
// Its methods are called by one goroutine, the owner's, and never wait.
package cells

import (
	"iter"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/daemon/fleet"
	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/table"
	"github.com/andrestc/go-plugserver/internal/daemon/terms"
	"github.com/sirupsen/logrus"
)

const ackEvery = time.Second                            // is how often a cell is looked for that has not acknowledged its routes (table.Look)
const restful, longestRest = 30, 500 * time.Millisecond // SendTable: how many times as long as a table took it rests, and how long at the most

// Config is what the cells are given.
type Config struct {
	Fleet        fleet.Config
	Intake       *intake.Intake
	StartTimeout time.Duration // for a handler to become ready
	Log          *logrus.Logger
	Settings     func(handler string) Settings // Configure replaces it
}

// Settings are what an operator has set for one handler.
type Settings = terms.Terms

// Owner is who decides. Its functions are called by its own goroutine.
type Owner struct {
	Handler  func(name string) *lifecycle.Handler // nil if there is none
	Handlers func() iter.Seq[*lifecycle.Handler]
	// Tell tells a handler what has become of a seat of its own.
	Tell func(*lifecycle.Handler, lifecycle.Event)
	// Served are the routes that lead to all who serve; place tells where a seat is, and for how long its requests are held.
	Served func(place func(*states.Seat) (cell uint64, hold time.Duration)) []link.Route
	// Claimed are the patterns of handlers that were not tried yet: their requests wait.
	Claimed func() []string
	// Post has the owner's goroutine call a function soon, and reports whether it will. Any goroutine may call it.
	Post func(func()) bool
}

// Cells is all cells of a daemon.
type Cells struct {
	Fleet *fleet.Fleet // the processes, for what concerns all of them
	cfg   Config
	owner Owner
	log   *logrus.Logger

	intake   *intake.Intake
	settings func(handler string) Settings
	cells    map[uint64]*cell // every cell whose process has not been reaped
	retiring map[uint64]*cell // those of them that end what they began
	ahead    map[string]*cell // those that nobody has asked for yet, by handler
	groups   map[string]*group
	regroup  bool // who shares a cell with whom is to be looked at
	lastCell uint64
	left     bool // one has ended since Left was asked
	table    table.Table
	awaited  bool   // an acknowledgement is, by checkAcks
	resting  bool   // a table was sent a moment ago
	news     []news // changes that are not in force everywhere yet
	stopping bool
	stopBy   time.Time // then requests are cut
}

// New returns no cells.
func New(cfg Config, owner Owner) *Cells {
	cs := &Cells{
		cfg: cfg, owner: owner, log: cfg.Log, intake: cfg.Intake, settings: cfg.Settings,
		cells: make(map[uint64]*cell), retiring: make(map[uint64]*cell), ahead: make(map[string]*cell), groups: make(map[string]*group), table: table.Table{Dialect: cfg.Fleet.Limits.Mux},
	}
	cs.Fleet = fleet.New(cfg.Fleet, owner.Post, cs.heard)
	return cs
}

// Configure puts other settings in force, but for those that take a new cell: Outdated
// tells which. It returns whether a handler's are others, were it to be started now.
func (cs *Cells) Configure(settings func(handler string) Settings) (changed func(handler string) bool) {
	before := cs.settings
	cs.settings, cs.regroup = settings, true
	for h := range cs.owner.Handlers() { // one whose cell is dead has requests held, too
		if hold := settings(h.Name).Hold; h.Live != nil && placeOf(h.Live).settings.Hold != hold {
			placeOf(h.Live).settings.Hold = hold
			cs.table.Change()
		}
	}
	for _, c := range cs.cells {
		for _, st := range c.seats {
			now := settings(st.name)
			st.settings.Log, st.settings.DrainTimeout, st.settings.Hold = now.Log, now.DrainTimeout, now.Hold
		}
		if c.proc != nil {
			c.proc.Bound(cs.terms(c).Log)
		}
	}
	return func(handler string) bool { return before(handler).Outdate(settings(handler)) }
}

// Outdated reports whether a handler needs a new cell: the one that serves it was started with other settings.
func (cs *Cells) Outdated(h *lifecycle.Handler) bool {
	if h.Live == nil || placeOf(h.Live) == nil {
		return false
	}
	want, st := cs.settings(h.Name), placeOf(h.Live)
	return st.in.group != nil && st.in.group.name != want.Group || st.settings.Outdate(want)
}

// Needed takes the sums of the versions that cells run, or are to, out of sums.
func (cs *Cells) Needed(sums map[string]bool) {
	for _, c := range cs.cells {
		for _, st := range c.seats {
			delete(sums, st.part.Version.Sum)
		}
	}
}

// Left reports whether a cell has ended since it was asked last.
func (cs *Cells) Left() bool {
	left := cs.left
	cs.left = false
	return left
}

// Ending is how many cells end what they began.
func (cs *Cells) Ending() int {
	if cs.stopping {
		return len(cs.cells)
	}
	return len(cs.retiring)
}

// Status tells of a handler's seat.
func Status(of *states.Seat, a *api.Handler) {
	a.Version, a.Patterns = of.Version.Short(), of.Patterns
	st := placeOf(of)
	if st == nil || st.in.proc == nil {
		return
	}
	a.Cell = st.in.program.Name
	stats := st.in.proc.Stats()
	a.PID, a.LogDropped = st.in.proc.PID(), st.in.proc.LogDropped()
	a.Requests, a.InFlight, a.Goroutines, a.Conns = stats.Requests, stats.InFlight, stats.Goroutines, stats.Conns
	if st.in.group != nil {
		a.Group = st.in.group.name
		own := stats.Plugins[st.name]
		a.Requests, a.InFlight = own.Requests, own.InFlight
	}
}

// Retiring tells of what still ends what it began of handlers that are gone.
func (cs *Cells) Retiring() (all []api.Handler) {
	for _, c := range cs.retiring {
		for _, st := range c.seats {
			if cs.owner.Handler(st.name) == nil {
				a := api.Handler{Name: st.name, State: api.StateRetiring, Since: c.proc.Began}
				Status(st.of, &a)
				all = append(all, a)
			}
		}
	}
	return all
}

// Stop ends the service: first nothing new begins, then every connection gets its
// last answer, then the gate ends, through which connections get from cell to
// cell, and then the cells do.
func (cs *Cells) Stop() {
	cs.stopping, cs.stopBy = true, time.Now().Add(cs.cfg.Fleet.DrainTimeout)
	time.AfterFunc(cs.cfg.Fleet.DrainTimeout, func() { cs.owner.Post(func() {}) })
	cs.Fleet.Close()
	for _, c := range cs.cells {
		switch {
		case c.proc == nil || c.proc.Gone():
			delete(cs.cells, c.id) // it was never started
		case c.connected():
			c.proc.Send(link.Message{Kind: link.Part})
		}
	}
	if gate, _ := cs.Fleet.Gate(); gate {
		cs.Fleet.SendGate(link.Message{Kind: link.Part})
	} else {
		cs.Fleet.Quit(cs.graceLeft())
	}
}

// connected reports whether the cell may have connections.
func (c *cell) connected() bool {
	return (c.state == serving || c.state == retiring) && !c.proc.Gone()
}

// Stopped ends the gate once no cell needs it any more, and reports whether all has ended. It is called after each event once the service ends.
func (cs *Cells) Stopped() bool {
	for _, c := range cs.cells {
		if c.connected() && !c.proc.Parted() && time.Now().Before(cs.stopBy) {
			return false
		}
	}
	cs.Fleet.QuitGate(cs.graceLeft())
	return cs.Fleet.Empty()
}

// graceLeft is how long requests may still take while the service ends.
func (cs *Cells) graceLeft() time.Duration { return max(time.Until(cs.stopBy), 0) }
