// Package fleet owns every child process, the gate among them: it starts the
// cells, so many at a time, links to them, hears what they say, bounds what they
// log, asks them for signs of life, and kills those that do not do what they have
// to. Whom to start, and what to tell them, others decide.
//
// Its methods are called by one goroutine, the owner's, and never wait: not even a
// process is started by it. What children do comes as an Event, in the same
// goroutine.
package fleet

import (
	"crypto/rand"
	"os"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/accesslog"
	"github.com/andrestc/go-plugserver/internal/daemon/offer"
	"github.com/andrestc/go-plugserver/internal/daemon/spare"
	"github.com/andrestc/go-plugserver/internal/daemon/sums"
	"github.com/sirupsen/logrus"
)

const (
	// startSlots bounds the cells that start at the same time, so that a thousand handlers do not all miss their deadline together; and so, besides, those in units.
	startSlots = 8
	// KillWait is what a cell gets beyond its grace before SIGKILL.
	KillWait = 8 * time.Second
	// pingsOwed is how many answers a child may owe before it is killed.
	pingsOwed = 3
	// Where most cells owe some, and more than few, the machine is slow, and each may owe slowOwed: were thousands killed for it,
	// their starts would make it slower yet.
	few, slowOwed = startSlots, 4 * pingsOwed
	// deafWait is how long a child that has closed its link, the last thing that it does, has to exit. Requests for it wait meanwhile.
	deafWait = 300 * time.Millisecond
	// startAgain is the pause before what failed for want of descriptors or memory, or has just died, is started again.
	startAgain = 100 * time.Millisecond
)

// Config is what a fleet is given.
type Config struct {
	Gate         []string      // the gate's command line
	Listeners    []*os.File    // listening sockets; the caller keeps them open
	Secure       []int         // places in Listeners: what comes there is TLS
	Proxied      []int         // likewise: proxies come there that speak the PROXY protocol
	Limits       link.Limits   // for every client
	DrainTimeout time.Duration // for requests to end when their cell does
	Log          *logrus.Logger
	Groups       proc.Groups    // where cells get control groups of their own; nil is none
	Sums         *sums.Book     // of what children count; nil where nobody wants to know
	Access       *accesslog.Log // nil where there is none
	// Start starts a process, unless a test has its own: proc.Start, or for a cell a
	// spare.
	Start func(proc.Spec) (Process, error)
}

// Process is one child, started once.
type Process = spare.Process

// Fleet is all children of one daemon.
type Fleet struct {
	cfg      Config
	post     func(func()) bool
	tell     func(Event)
	cells    map[uint64]*Cell // all that were asked for and are not gone
	queue    map[bool][]*Cell // those that wait for a slot, by whether they are apart
	begun    []*Cell          // those that have one, and some that had
	gate     *gate
	listens  bool      // the gate is to accept
	secure   *link.TLS // what it is to know for handshakes; nil while there is none
	closed   bool      // nothing is started any more
	starting int       // processes that are being started
	pings    uint64
	key      []byte // of all gates, and of no cell
	spares   *spare.Pool
}

// New returns a fleet without a process. post has the owner's goroutine call a function soon, and reports whether it will; tell is called by that goroutine.
func New(cfg Config, post func(func()) bool, tell func(Event)) *Fleet {
	f := &Fleet{cfg: cfg, post: post, tell: tell, cells: make(map[uint64]*Cell), queue: make(map[bool][]*Cell), key: []byte(rand.Text())}
	f.spares = spare.New(spare.Run, func() { post(func() {}) }, func(err error) {
		cfg.Log.WithError(err).Warn("a cell that was started ahead is not used, which only takes longer: its plugin cannot be linked into its folder")
	})
	return f
}

// Uses returns what a cell's process uses. It reads files of /proc, or asks who may: any
// goroutine may call it, but for the owner's.
func (f *Fleet) Uses(pid int) (proc.Usage, error) { return f.spares.Uses(pid) }

// Event is what a child has done: one of the types below. Of a cell that was dropped there is Ended alone.
type Event any

// The events of cells.
type (
	// NotStarted: there is no process, and never was; Ended does not follow.
	NotStarted struct {
		Cell *Cell
		Err  error
	}
	// Offers: its plugins are ready, and want these patterns, by their names.
	Offers struct {
		Cell   *Cell
		Offers map[string]offer.Offer
	}
	// Refuses: it cannot load a plugin.
	Refuses struct {
		Cell    *Cell
		Refusal *refusal.Error
	}
	// Overdue: it has not become ready within its limit.
	Overdue struct {
		Cell  *Cell
		Limit time.Duration
	}
	// Acks: it has the table of that version, or of a later one.
	Acks struct {
		Cell    *Cell
		Version uint64
	}
	// Ended: its process is gone, and its output was read.
	Ended struct{ Cell *Cell }
	// Unjoined: it lost its way to the gate, and is to be joined to it again.
	Unjoined struct{ Cell *Cell }
)

// The events of the gate.
type (
	// GateStarted: a gate runs, without routes.
	GateStarted struct{}
	// GateAccepts: it takes connections.
	GateAccepts struct{}
	// GateAcks: it has the table of that version, or of a later one.
	GateAcks struct{ Version uint64 }
	// GateEnded: it is gone. Unless the fleet was closed another one comes.
	GateEnded struct{}
)

// start starts a process beside the owner's goroutine, which is then told.
func (f *Fleet) start(with func(proc.Spec) (Process, error), spec proc.Spec, started func(Process, error)) {
	if f.cfg.Start != nil {
		with = f.cfg.Start
	}
	f.starting++
	go func() {
		p, err := with(spec)
		told := f.post(func() {
			f.starting--
			started(p, err)
		})
		if !told && err == nil {
			p.Kill() // nobody is there to want it
		}
	}()
}

// later calls f soon, in the owner's goroutine.
func (f *Fleet) later(do func()) { time.AfterFunc(startAgain, func() { f.post(do) }) }

// Close ends the starting of processes, and the spares: what waits for a slot never gets one.
func (f *Fleet) Close() {
	f.closed = true
	f.spares.Close()
	for _, c := range append(f.queue[false], f.queue[true]...) {
		c.end()
	}
	clear(f.queue)
}

// Empty reports whether there is no process, and none about to be.
func (f *Fleet) Empty() bool {
	return f.gate == nil && len(f.cells) == 0 && f.starting == 0 && f.spares.Empty()
}

// Spares are the cells that wait for what they are to run.
func (f *Fleet) Spares() *spare.Pool { return f.spares }

// KillAll ends every process at once, and returns how many there were.
func (f *Fleet) KillAll() (n int) {
	f.spares.Close()
	if f.gate != nil {
		f.gate.Kill()
		n++
	}
	for _, c := range f.cells {
		c.kill()
		n++
	}
	return n
}

// Quit has every cell end within the grace.
func (f *Fleet) Quit(grace time.Duration) {
	for _, c := range f.cells {
		c.Send(link.Message{Kind: link.Quit, Grace: grace})
	}
}

// Ping asks every child for a sign of life and what it counts, and returns the
// number of the question, for Answered.
func (f *Fleet) Ping() uint64 {
	f.pings++
	m := link.Message{Kind: link.Ping, Seq: f.pings}
	for _, c := range f.cells {
		if c.process != nil {
			c.asked = f.pings
			c.Send(m)
		}
	}
	if f.gate != nil {
		f.gate.asked = f.pings
		f.SendGate(m)
	}
	return f.pings
}

// Answered reports whether all that were asked with Ping have answered, but for
// those that were dropped or are gone.
func (f *Fleet) Answered(seq uint64) bool {
	if g := f.gate; g != nil && g.asked >= seq && g.answered < seq {
		return false
	}
	for _, c := range f.cells {
		if c.process != nil && !c.dropped && c.asked >= seq && c.answered < seq {
			return false
		}
	}
	return true
}

// Watch is Ping that kills whoever owes too many answers. It counts answers, not
// time: where this process itself was stopped, nobody is blamed.
func (f *Fleet) Watch() {
	most := f.mostOwed()
	for _, c := range f.cells {
		if c.process == nil || c.dropped {
			continue
		}
		c.logs.TellDropped()
		if c.owed++; c.owed > most {
			c.Kill("it did not answer")
		}
	}
	if g := f.gate; g != nil {
		if g.owed++; g.owed > pingsOwed {
			f.cfg.Log.Error("gate does not answer: it is killed")
			g.Kill()
		}
	}
	f.Ping()
}

// mostOwed is how many answers a cell may owe now.
func (f *Fleet) mostOwed() int {
	owe := 0
	for _, c := range f.cells {
		if c.owed > 0 && !c.dropped {
			owe++
		}
	}
	if owe > few && owe > len(f.cells)/2 {
		return slowOwed
	}
	return pingsOwed
}
