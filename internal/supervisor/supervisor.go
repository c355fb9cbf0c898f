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
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/andrestc/go-plugserver/internal/cells"
	"github.com/andrestc/go-plugserver/internal/elfplug"
	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/andrestc/go-plugserver/internal/proc"
	"github.com/andrestc/go-plugserver/internal/store"
	"github.com/andrestc/go-plugserver/internal/toolchain"
	"github.com/sirupsen/logrus"
)

// Config is what the supervisor is given.
type Config struct {
	Handlers     string // the watched directory
	Store        string // the store's directory
	Cells        *cells.Catalogue
	Builder      *toolchain.Builder // Configure replaces it
	BuildCells   bool               // for plugins that no cell loads
	BuildSource  bool
	Scratch      string        // a directory for what is being built
	Gate         []string      // the gate's command line
	Listeners    []*os.File    // listening sockets; the caller keeps them open
	Addresses    []string      // theirs, for status
	Limits       link.Limits   // for every client
	StartTimeout time.Duration // for a handler to become ready
	DrainTimeout time.Duration // for requests to end when their cell does
	MaxSize      int64         // of a handler's file, in bytes
	CrashLimit   int           // crashes within CrashWindow after which a version is given up; 0 = never
	CrashWindow  time.Duration
	Version      string
	Log          *logrus.Logger
	// Settings are the operator's for a handler; Configure replaces them.
	Settings func(handler string) Settings
	// Now ends the service at once when it is closed.
	Now <-chan struct{}
	// Report is called with every change of what there is to report, by the
	// goroutine of Run: it must not block.
	Report func(Report)
}

// Settings are what an operator has set for one handler.
type Settings struct {
	Limits proc.Limits
	Group  string // handlers of one group share a cell; "" for none
}

// Report says in numbers how the service stands.
type Report struct {
	Live, Refused, Crashed int
	Trying                 int // handlers whose newest file is being tried
	Ending                 int // processes that end what they began
	Problem                string
}

// String is a line for systemctl status.
func (r Report) String() string {
	plural := "handlers"
	if r.Live == 1 {
		plural = "handler"
	}
	text := fmt.Sprintf("%d %s live", r.Live, plural)
	for _, more := range []struct {
		n    int
		what string
	}{{r.Refused, "refused"}, {r.Crashed, "crashed"}, {r.Trying, "being tried"}, {r.Ending, "ending"}} {
		if more.n > 0 {
			text += fmt.Sprintf(", %d %s", more.n, more.what)
		}
	}
	if r.Problem != "" {
		text += "; " + r.Problem
	}
	return text
}

const (
	sourceTime  = 100 * time.Millisecond // source at rest for so long is compiled
	quietTime   = 25 * time.Millisecond  // a file at rest for so long is settled
	stalledTime = 2 * time.Second        // a part of a file at rest for so long is refused
	goneTime    = 50 * time.Millisecond  // a file missed for so long is gone

	// startSlots bounds the cells that start at the same time, so that a
	// thousand handlers do not all miss their deadline together.
	startSlots = 8
	// killWait is what a cell gets beyond its grace before SIGKILL.
	killWait = 8 * time.Second
	// pingEvery is how often a child has to answer; it is killed when it
	// owes pingsOwed answers.
	pingEvery = 5 * time.Second
	pingsOwed = 3
	// deafWait is how long a child that has closed its link, the last thing that
	// it does, has to exit. Requests for it wait meanwhile.
	deafWait = 300 * time.Millisecond
	// restartMin and restartMax bound the pause before a cell that died is
	// started again; the first restart comes at once. A cell that lived for
	// restartReset starts the count anew.
	restartMin   = 100 * time.Millisecond
	restartMax   = 10 * time.Second
	restartReset = time.Minute
	// passingMin and passingMax bound the pause before a file is tried again
	// that was refused for want of memory, descriptors or room.
	passingMin = time.Second
	passingMax = 30 * time.Second
	// sweepEvery is how often cells that no version needs are looked for.
	sweepEvery = time.Hour
	// saveAgain is the pause before a history is written again that could not be.
	saveAgain = 5 * time.Second
	// acceptWait bounds how long the gate waits, at the start, for the
	// handlers to be tried before it accepts.
	acceptWait = 2 * time.Second
)

// Supervisor is the one supervisor of a daemon.
type Supervisor struct {
	cfg   Config
	log   *logrus.Logger
	store *store.Store
	rules handlerdir.Rules

	events chan func()     // run by the goroutine of Run
	nudges <-chan struct{} // "look again"
	ready  chan struct{}   // closed once all that was there at start was tried
	done   chan struct{}   // closed when Run returns
	admits chan struct{}   // slots of the goroutines that admit files
	save   chan unsaved
	saved  atomic.Int64 // the number of the history on disk
	// builder is replaced as a whole.
	builder atomic.Pointer[toolchain.Builder]

	// All below is owned by the goroutine of Run.

	since    time.Time
	handlers map[string]*handler
	cells    map[uint64]*cell // every cell whose process has not been reaped
	groups   map[string]*group
	regroup  bool    // who shares a cell with whom is to be looked at
	queue    []*cell // cells that wait for a start slot
	gate     *gate
	lastCell uint64
	history  store.History
	changes  int64 // of history
	lastSeq  int64

	snapshot   *handlerdir.Snapshot
	scanning   bool
	scanAgain  bool   // a nudge came while scanning
	scans      uint64 // scans begun
	scanned    uint64 // the last scan whose result was applied
	unsettled  bool   // the snapshot asks for another look
	admitting  int    // admissions under way, but for those that
	building   int    // take long
	generation uint64 // of the cells, when the directory was last looked at
	garbage    bool   // the store may hold copies that nobody needs
	retry      bool   // the snapshot has to be compared again
	lost       string // why the directory cannot be read
	accept     uint64 // the scan from which on a missing file is a removed one, whatever the directory; 0 if none
	settings   func(handler string) Settings
	// misconfigured is why the newest settings are not in force.
	misconfigured string

	table    uint64 // the version of the route table
	unsent   bool   // the table has changed since it was sent
	news     []news // changes that are not in force everywhere yet
	waiters  []func() bool
	pingSeq  uint64
	stopping bool
	reported Report
}

// handler is what stands, or is to stand, under one name.
type handler struct {
	name      string
	file      string        // the file's name
	tried     handlerdir.ID // of the file tried last, or being tried
	admission *admission    // of the newest file, while it is under way
	live      *seat         // has the routes; nil before the first
	next      *seat         // is being started or proved, in a cell of its own
	refusal   *refusalOf
	since     time.Time // of the state that status shows

	crashes int // in a row
	restart *time.Timer

	serve       store.Version // that is to be live: it is the one started again
	atStart     bool          // its file was there when the supervisor started
	crashTimes  []time.Time   // within the window
	rolledBack  bool          // an earlier version is live than was
	quarantined bool          // live is dead, and is not started again
	orphan      bool          // the directory was replaced by one without its file
	passes      int           // refusals that passed, in a row
	restarts    int           // of its cells that died
	doing       string        // what is being done about its newest file, beyond a moment
	failure     string        // why the last attempt to start a version again failed
}

// undecided reports whether the handler's newest file is still being tried.
func (h *handler) undecided() bool {
	return h.admission != nil || h.changing() || h.tried == handlerdir.ID{}
}

// changing reports whether a cell is being tried that does not just replace one
// that died.
func (h *handler) changing() bool {
	return h.next != nil && (!h.next.again || h.live == nil || !h.live.dead())
}

// New prepares a supervisor. nudges tells it when to look at the directory.
func New(cfg Config, nudges <-chan struct{}) (*Supervisor, error) {
	st, err := store.Open(cfg.Store)
	if err != nil {
		return nil, err
	}
	if err := cfg.Cells.Usable(); err != nil {
		return nil, err
	}
	// plugin.Open resolves links; the daemon may change its directory.
	if cfg.Handlers, err = filepath.Abs(cfg.Handlers); err != nil {
		return nil, err
	}
	s := &Supervisor{
		cfg: cfg, log: cfg.Log, store: st,
		rules: handlerdir.Rules{
			MaxSize: cfg.MaxSize, Quiet: quietTime, SourceQuiet: sourceTime, Stalled: stalledTime, Gone: goneTime,
			UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Complete: elfplug.Complete,
		},
		events:   make(chan func(), 64),
		nudges:   nudges,
		ready:    make(chan struct{}),
		done:     make(chan struct{}),
		admits:   make(chan struct{}, 2),
		save:     make(chan unsaved, 1),
		since:    time.Now(),
		handlers: make(map[string]*handler),
		cells:    make(map[uint64]*cell),
		groups:   make(map[string]*group),
		settings: cfg.Settings,
	}
	s.builder.Store(cfg.Builder)
	if s.settings == nil {
		s.settings = func(string) Settings { return Settings{} }
	}
	if s.history, err = st.LoadHistory(); err != nil {
		s.log.WithError(err).Error("history cannot be read: handlers lose their seniority")
	}
	for _, r := range s.history {
		s.lastSeq = max(s.lastSeq, r.Seq)
	}
	return s, nil
}

// Ready is closed once every handler present at the start was tried and the
// gate accepts.
func (s *Supervisor) Ready() <-chan struct{} { return s.ready }

// Run supervises until ctx is done; then it drains and returns.
func (s *Supervisor) Run(ctx context.Context) error {
	defer close(s.done)
	saved := make(chan struct{})
	go s.saveHistory(saved)
	defer func() { close(s.save); <-saved }()

	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	s.startGate()
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
			s.pingAll()
		case <-sweep.C:
			s.sweepCells()
		case <-stop:
			stop = nil
			killed = time.After(s.cfg.DrainTimeout + killWait)
			s.stop()
		case <-killed:
			return fmt.Errorf("stop: %d processes did not end in time and were killed", s.killAll())
		case <-s.cfg.Now:
			return fmt.Errorf("stop: ended at once by a second signal, %d processes were killed", s.killAll())
		}
		if s.stopping && s.gate == nil && len(s.cells) == 0 {
			s.log.Info("stopped")
			return nil
		}
		s.settle()
	}
}

// post sends an event to the owner of the state. It gives up once Run has
// returned.
func (s *Supervisor) post(f func()) {
	select {
	case s.events <- f:
	case <-s.done:
	}
}

// settle does what becomes possible once nothing is under way.
func (s *Supervisor) settle() {
	if s.retry {
		s.retry = false
		s.reconcile()
	}
	if s.unsent && len(s.events) == 0 { // a burst of changes becomes one table
		s.sendTable()
	}
	s.gather()
	s.announce()
	s.collectGarbage()
	if s.quiet() || time.Since(s.since) > acceptWait {
		s.listen()
	}
	if s.reconciled() {
		select {
		case <-s.ready:
		default:
			close(s.ready)
		}
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
	r := Report{Problem: s.problem()}
	for _, h := range s.handlers {
		switch {
		case h.live != nil && h.live.dead():
			r.Crashed++
		case h.live != nil:
			r.Live++
		}
		if h.refusal != nil {
			r.Refused++
		}
		if h.undecided() {
			r.Trying++
		}
	}
	for _, c := range s.cells {
		if c.state == retiring || s.stopping {
			r.Ending++
		}
	}
	if r != s.reported && s.cfg.Report != nil {
		s.reported = r
		s.cfg.Report(r)
	}
}

// quiet reports whether everything in the directory has been tried.
func (s *Supervisor) quiet() bool {
	if s.scanned == 0 || s.scanning || s.unsettled || s.admitting > 0 || s.retry {
		return false
	}
	for _, h := range s.handlers {
		if h.changing() {
			return false
		}
	}
	return true
}

// reconciled reports whether, besides, what came of it is in force everywhere.
func (s *Supervisor) reconciled() bool {
	return s.quiet() && s.gate != nil && s.gate.accepting && len(s.news) == 0 && !s.unsent && s.gate.acked == s.table
}

// stop ends the service: first the gate, so that nothing new begins, then the
// cells.
func (s *Supervisor) stop() {
	s.stopping = true
	s.log.Info("stopping: requests under way finish first")
	for _, h := range s.handlers {
		if h.restart != nil {
			h.restart.Stop()
		}
		h.abandon()
	}
	s.queue = nil
	for _, c := range s.cells {
		if c.state == live {
			c.send(link.Message{Kind: link.Part})
		}
	}
	if s.gate != nil {
		s.gate.send(link.Message{Kind: link.Quit, Grace: s.cfg.DrainTimeout})
	} else {
		s.stopCells()
	}
}

// stopCells is called once the gate is gone.
func (s *Supervisor) stopCells() {
	for _, c := range s.cells {
		if c.child == nil {
			delete(s.cells, c.id) // it was never started
			continue
		}
		c.send(link.Message{Kind: link.Quit, Grace: s.cfg.DrainTimeout})
	}
}

// killAll ends what did not end in time.
func (s *Supervisor) killAll() (n int) {
	if s.gate != nil {
		s.gate.child.Kill()
		n++
	}
	for _, c := range s.cells {
		if c.child != nil {
			c.child.Kill()
			n++
		}
	}
	return n
}

// later calls f soon, in the goroutine of Run: what failed for want of
// descriptors or memory is tried again.
func (s *Supervisor) later(f func()) {
	time.AfterFunc(restartMin, func() { s.post(f) })
}

// Configure puts settings in force, and the builder: a handler for which they
// have changed gets a new cell. Where problem is not nil, those before stay.
func (s *Supervisor) Configure(settings func(handler string) Settings, builder *toolchain.Builder, problem error) {
	s.post(func() {
		s.misconfigured = ""
		if problem != nil {
			s.misconfigured = oneLine(problem)
			s.log.WithError(problem).Error("settings are refused: those before stay in force")
			return
		}
		s.settings, s.regroup = settings, true
		s.builder.Store(builder)
		for _, h := range s.handlers {
			s.renew(h)
		}
	})
}

// renew gives a handler a new cell where its settings are not those that its
// cell was started with.
func (s *Supervisor) renew(h *handler) {
	if h.live == nil || h.live.dead() || h.next != nil {
		return
	}
	want := s.settings(h.name)
	moved := h.live.group != nil && h.live.group.name != want.Group
	if moved || h.live.settings.Limits != want.Limits {
		s.startAgain(h)
	}
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

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

var errStopped = errors.New("plugserverd is stopping")
