package fleet

import (
	"fmt"
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/belongings"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/sandbox"
	"github.com/andrestc/go-plugserver/internal/between/words"
	"github.com/andrestc/go-plugserver/internal/daemon/handlerlog"
	"github.com/andrestc/go-plugserver/internal/daemon/offer"
	"github.com/sirupsen/logrus"
)

// Limits bound what a cell may use.
type Limits = proc.Limits

// LogRate bounds what a cell may log.
type LogRate = handlerlog.Rate

// Spec says what a cell is to be.
type Spec struct {
	ID      uint64 // unlike all before
	Name    string // of the handler, or of the group: who has logged
	Title   string // what ps(1) shows
	Path    string // of the binary
	GODEBUG string // that it needs, before that in Env
	Env     []string
	Limits  Limits
	Log     LogRate
	Plugins []link.Plugin
	Sandbox *sandbox.Rules // nil is none
	Own     belongings.Belongings
	Apart   proc.Apart // zero is as a child of ours
	Served  bool       // it is to take the place of what serves, or has served
	// Unnamed says that it is not known yet which versions the plugins are: nothing that the cell
	// says is heard until Name tells.
	Unnamed bool
	// Ready is how long the plugins may take to become ready.
	Ready time.Duration
	// Fields are those of the log records of one plugin, or of the whole cell where there is none of that name.
	Fields func(plugin string) logrus.Fields
}

// Cell is the process that runs one or several plugins, from the wish for one to its end.
type Cell struct {
	ID      uint64
	Began   time.Time // to start; zero while it waits for a slot
	fleet   *Fleet
	spec    Spec
	phase   phase
	dropped bool    // it is to end, and nobody hears it any more
	cut     bool    // its link broke for want of memory or descriptors
	parted  bool    // it has no connection that could come back to the gate
	killed  string  // why it was, for what it did not do
	process Process // nil before there is one
	overdue *time.Timer
	joined  *gate // the gate that it has a way to

	named    chan struct{} // closed once what it says is heard
	logs     *handlerlog.Log
	stats    link.Stats
	asked    uint64 // the last Ping
	answered uint64
	owed     int // answers
}

// phase is how far a cell has come. It only grows.
type phase int

const (
	waits  phase = iota // for a start slot
	starts              // has a slot, until its plugins are ready
	runs                // is ready
	gone
)

// Start starts a cell as soon as there is a slot.
func (f *Fleet) Start(spec Spec) *Cell {
	c := &Cell{ID: spec.ID, fleet: f, spec: spec, named: make(chan struct{})}
	if !spec.Unnamed {
		close(c.named)
	}
	c.logs = handlerlog.New(f.cfg.Log, spec.Name, c.Fields, spec.Log)
	f.cells[c.ID] = c
	f.queue[c.apart()] = append(f.queue[c.apart()], c)
	f.dequeue()
	return c
}

// dequeue gives slots that are free to those who wait, in their turn; how many wait does not matter.
func (f *Fleet) dequeue() {
	f.begun = slices.DeleteFunc(f.begun, func(c *Cell) bool { return c.phase != starts || c.dropped })
	under := make(map[bool]int)
	for _, c := range f.begun {
		under[c.apart()]++
	}
	for apart, q := range f.queue {
		for ; len(q) > 0 && under[apart] < startSlots && !f.closed; under[apart]++ {
			f.begun = append(f.begun, q[0])
			q[0].begin()
			q[0], q = nil, q[1:]
		}
		f.queue[apart] = q
	}
}

// apart: a unit is the service manager's to start. Where that takes long, only such cells wait.
func (c *Cell) apart() bool { return c.spec.Apart != proc.Apart{} }

// begin starts the process, beside the owner's goroutine: fork(2) and execve(2) may wait for a disk.
func (c *Cell) begin() {
	f := c.fleet
	c.phase, c.Began = starts, time.Now()
	spec := proc.Spec{Path: c.spec.Path, Args: []string{c.spec.Title}, Env: proc.WithGODEBUG(c.spec.Env, c.spec.GODEBUG), Limits: c.spec.Limits, Groups: f.cfg.Groups, Sandbox: c.spec.Sandbox, Belongings: c.spec.Own, Apart: c.spec.Apart, Served: c.spec.Served, Output: c.logs.Printed}
	for _, p := range c.spec.Plugins {
		spec.Opens = append(spec.Opens, p.Path)
	}
	f.start(f.spares.Start, spec, c.started)
}

func (c *Cell) started(p Process, err error) {
	f := c.fleet
	if err != nil {
		c.end()
		if c.dropped {
			f.tell(Ended{c})
		} else {
			f.tell(NotStarted{c, fmt.Errorf("start a cell: %w", err)})
		}
		f.dequeue()
		return
	}
	c.process = p
	go c.hear(p)
	if c.dropped || f.closed {
		p.Kill()
		return
	}
	c.Send(link.Message{Kind: link.Open, Name: c.spec.Title, Cell: c.ID, Limits: f.cfg.Limits, Plugins: c.spec.Plugins, FDs: f.cfg.Sums.Open(c.ID, c.spec.Plugins)})
	f.cfg.Access.Begin(c.ID, p.Send)
	c.overdue = time.AfterFunc(c.spec.Ready, func() {
		f.post(func() {
			if c.phase == starts && !c.dropped {
				f.tell(Overdue{c, c.spec.Ready})
			}
		})
	})
}

// Name says which versions the plugins are of a cell that was started without.
func (c *Cell) Name(plugins []link.Plugin) {
	c.spec.Plugins = plugins
	c.Send(link.Message{Kind: link.Named, Plugins: plugins})
	c.listen()
}

// listen has what an unnamed cell says be heard.
func (c *Cell) listen() {
	if c.spec.Unnamed {
		c.spec.Unnamed = false
		close(c.named)
	}
}

// hear hears what a cell says until it ends. One that says nothing for now has no goroutine.
func (c *Cell) hear(p Process) {
	f := c.fleet
	<-c.named
	for {
		m, err := p.Recv()
		if err != nil {
			if refusal.Passing(err) || refusal.Passing(p.SendError()) {
				f.post(func() { c.cut = true })
			}
			break
		}
		var offers map[string]offer.Offer
		if m.Kind == link.Ready {
			offers = offer.Examine(m.Plugins, f.cfg.Limits)
		}
		f.post(func() { c.heard(m, offers) })
		if p.Later(func() { c.hear(p) }) {
			return
		}
	}
	p.End(deafWait)
	f.post(c.exited)
}

// heard takes what a cell says; offers are what a Ready holds.
func (c *Cell) heard(m link.Message, offers map[string]offer.Offer) {
	f := c.fleet
	switch m.Kind {
	case link.Ready:
		if c.phase == starts && !c.dropped {
			c.phase = runs
			c.overdue.Stop()
			f.tell(Offers{c, offers})
			f.dequeue()
		}
	case link.Refused:
		if c.phase == starts && !c.dropped && m.Refusal != nil {
			f.tell(Refuses{c, m.Refusal.Bounded()})
		}
	case link.Ack:
		f.tell(Acks{c, m.Version})
	case link.Unjoined:
		c.unjoined()
	case link.Unlogged:
		f.cfg.Access.Again(c.ID)
	case link.Pong:
		c.owed = 0
		c.answered = max(c.answered, m.Seq)
		if m.Stats != nil {
			c.counted(*m.Stats)
		}
	case link.Log:
		m = m.Bounded() // whatever the process is
		if m.Level != "debug" && !handlerlog.Recovered(m) {
			c.process.Said(m.Line()) // it may be its last word
		}
		c.logs.Record(m)
	case link.Parted:
		c.parted = true
	case link.Done:
		if m.Stats != nil {
			c.counted(*m.Stats)
		}
		f.cfg.Log.WithFields(c.Fields("")).Debug("cell is done")
	}
}

// exited is called once the process is gone and its output was read.
func (c *Cell) exited() {
	c.process.Close()
	c.fleet.SendGate(link.Message{Kind: link.Gone, Cell: c.ID})
	c.logs.TellDropped()
	c.end()
	c.fleet.tell(Ended{c})
	c.fleet.dequeue()
}

// counted takes what a cell counts.
func (c *Cell) counted(stats link.Stats) {
	c.logs.Unsent(stats.Dropped)
	c.stats = stats
}

func (c *Cell) end() {
	c.phase = gone
	if c.overdue != nil {
		c.overdue.Stop()
	}
	delete(c.fleet.cells, c.ID)
	c.fleet.cfg.Sums.Close(c.ID)
	c.fleet.cfg.Access.End(c.ID)
}

// Drop ends a cell that nobody wants any more: at once, and whatever it says now. One that is not Gone then has yet to end.
func (c *Cell) Drop() {
	if c.dropped || c.phase == gone {
		return
	}
	c.dropped = true
	c.listen()
	if c.overdue != nil {
		c.overdue.Stop()
	}
	if c.phase == waits {
		c.fleet.queue[c.apart()] = slices.DeleteFunc(c.fleet.queue[c.apart()], func(o *Cell) bool { return o == c })
		c.end()
		return
	}
	c.kill()
	c.fleet.dequeue()
}

func (c *Cell) kill() {
	if c.process != nil {
		c.process.Kill()
	} else {
		c.dropped = true // as soon as there is one
	}
}

// Kill ends a cell that does not do what it has to.
func (c *Cell) Kill(why string) {
	if c.killed == "" {
		c.killed = why
		c.fleet.cfg.Log.WithFields(c.Fields("")).WithField("reason", why).Error("killed: " + c.spec.Name)
	}
	c.kill()
}

// Retire has a cell give its connections back, end what it began within the grace, and exit. It is killed where it does not.
func (c *Cell) Retire(grace time.Duration) {
	c.Send(link.Message{Kind: link.Retire, Grace: grace})
	c.overdue = time.AfterFunc(grace+KillWait, c.process.Kill)
}

// Send tells a cell something. One that does not read is killed.
func (c *Cell) Send(m link.Message) {
	if c.process == nil {
		return
	}
	if err := c.process.Send(m); err != nil {
		c.process.Kill()
	}
}

// Bound puts another bound on what it may log in force.
func (c *Cell) Bound(r LogRate) { c.logs.Bound(r) }

// Gone reports whether there is no process any more, or never was.
func (c *Cell) Gone() bool { return c.phase == gone }

// Cut reports whether its link broke for want of memory or descriptors: it is not
// to blame for its end.
func (c *Cell) Cut() bool { return c.cut }

// Parted reports whether it has, since it was told to part, no connection left that could come back to the gate.
func (c *Cell) Parted() bool { return c.parted }

// PID is its process's; 0 where there is none, or none any more.
func (c *Cell) PID() int {
	if c.process == nil || c.phase == gone {
		return 0
	}
	return c.process.PID()
}

// Stats are what it counted when it was asked last.
func (c *Cell) Stats() link.Stats { return c.stats }

// LogDropped is how many of its log records were dropped.
func (c *Cell) LogDropped() int64 { return c.logs.Dropped() }

// Fields are those of a log record about one of its plugins, or about the cell.
func (c *Cell) Fields(plugin string) logrus.Fields {
	fields := c.spec.Fields(plugin)
	if c.process != nil {
		fields["pid"] = c.process.PID()
	}
	return fields
}

// Printed is the end of what it printed or said.
func (c *Cell) Printed() string {
	if c.process == nil {
		return ""
	}
	return c.process.Printed()
}

// Status says how it has ended.
func (c *Cell) Status() string { return c.process.Status() }

// DiedEarly is why a cell is not served that ended before it was ready, and whether the same start may succeed later.
func (c *Cell) DiedEarly() (r *refusal.Error, passing bool) {
	if why := c.process.Exceeded(); why != "" {
		return refusal.Exceeded(c.spec.Name, why), false
	}
	crash, _ := c.process.Crash()
	return refusal.DiedEarly(refusal.End{Status: c.process.Status(), Killed: c.killed, Cut: c.cut, Crash: crash.Words, Tail: c.process.Printed()})
}

// Died says how a cell has ended, and what it printed of that.
func (c *Cell) Died() string {
	if c.killed != "" {
		return c.process.Status() + ": " + c.killed
	}
	if t := c.process.LastWords(); t != "" && c.process.Exceeded() == "" {
		return c.process.Status() + "; it printed: " + words.Last(t)
	}
	return c.process.Status()
}

// Frames names the handler's frames on the stack that a cell died with, the
// innermost first; "" if there are none.
func (c *Cell) Frames() string {
	crash, _ := c.process.Crash()
	return crash.Frames()
}
