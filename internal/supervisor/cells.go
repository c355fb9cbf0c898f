package supervisor

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/handover"
	"github.com/andrestc/go-plugserver/internal/intake"
	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/andrestc/go-plugserver/internal/proc"
	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/andrestc/go-plugserver/internal/routes"
	"github.com/andrestc/go-plugserver/internal/store"
	"github.com/andrestc/go-plugserver/internal/wire"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

type state int

const (
	queued    state = iota // waits for a start slot
	recalling              // waits for its version to be found in the store
	starting               // loads and proves its plugin
	waiting                // proved; others may claim its patterns, or have to be ready for those that it gives up
	live                   // has routes
	retiring               // gives its connections back
	dropped                // killed, whatever it says now
)

// cell is one process. It runs one version of one handler, or, for a group,
// of several.
type cell struct {
	id       uint64
	name     string // of the handler, or of the group
	group    *group // nil for a cell of one handler
	seats    []*seat
	again    bool // it serves a version that has served before
	rollBack bool // and an earlier one than serves now
	byHand   bool // which an operator has asked for
	state    state
	child    *proc.Child // nil before it runs
	gone     bool        // its process was reaped
	cut      bool        // its link broke for want of memory or descriptors: it is not to blame
	began    time.Time
	provedAt time.Time
	program  intake.Program // that it runs; zero until it is prepared
	patterns []string       // of all seats
	stats    link.Stats

	logs    bucket
	overdue *time.Timer // kills it where it does not end in time
	joined  *gate       // the gate it has a socket to
	sent    []link.Route
	wants   uint64 // the table it has to acknowledge
	acked   uint64
	pinged  uint64
	ponged  uint64
	owed    int    // pings without an answer
	parted  bool   // it has no connection that could come back to the gate
	late    int    // looks at which it had not acknowledged what it wants
	killed  string // why it was, for what it did not do
}

func (c *cell) dead() bool { return c.gone }

// seat is one version of one handler in a cell.
type seat struct {
	*cell
	name     string      // the handler's
	part     intake.Part // the version
	mixed    bool        // it may be: written in place over another version, and not proved to be whole
	settings Settings
	patterns []string // once it is proved
	size     int      // of their routes in a message, in bytes
}

// send kills a cell that does not read what it is told.
func (c *cell) send(m link.Message) {
	if c.child == nil {
		return
	}
	if err := c.child.Link.Send(m); err != nil {
		c.child.Kill()
	}
}

// newSeat returns a place for a version in a cell of its own.
func (s *Supervisor) newSeat(h *handler, v store.Version) *seat {
	c := s.newCell(h.name)
	return c.seat(h.name, intake.Part{Version: v}, s.settings(h.name))
}

func (s *Supervisor) newCell(name string) *cell {
	s.lastCell++
	return &cell{id: s.lastCell, name: name, began: time.Now()}
}

func (c *cell) seat(handler string, part intake.Part, settings Settings) *seat {
	st := &seat{cell: c, name: handler, part: part, settings: settings}
	c.seats = append(c.seats, st)
	return st
}

// limits are those of all seats together; where one has none, there is none.
func (c *cell) limits() (l proc.Limits) {
	for i, st := range c.seats {
		if of := st.settings.Limits; i == 0 {
			l = of
		} else {
			l.Memory = sumOrNone(l.Memory, of.Memory)
			l.Descriptors = sumOrNone(l.Descriptors, of.Descriptors)
		}
	}
	return l
}

// logRate is what all seats may log together.
func (c *cell) logRate() (r LogRate) {
	for i, st := range c.seats {
		if of := st.settings.Log; i == 0 {
			r = of
		} else {
			r = r.and(of)
		}
	}
	return r
}

func sumOrNone[N int | int64](a, b N) N {
	if a == 0 || b == 0 {
		return 0
	}
	return a + b
}

// enqueue starts a cell as soon as there is a slot.
func (s *Supervisor) enqueue(c *cell) {
	s.cells[c.id] = c
	s.queue = append(s.queue, c)
	s.dequeue()
}

func (s *Supervisor) dequeue() {
	busy := 0
	for _, c := range s.cells {
		if c.state == starting {
			busy++
		}
	}
	for len(s.queue) > 0 && busy < startSlots && !s.stopping {
		c := s.queue[0]
		s.queue = s.queue[1:]
		if c.state != queued {
			continue
		}
		busy++
		s.start(c)
	}
}

// title is what ps(1) shows of a cell: the handler, or the group and its
// handlers, as many as fit.
func (c *cell) title() string {
	if c.group == nil {
		return c.name
	}
	title := c.name + ":"
	for _, st := range c.seats {
		if title += " " + st.name; len(title) > titleMax {
			return title[:titleMax] + "..."
		}
	}
	return title
}

const titleMax = 400 // bytes

// start starts a cell once what it runs is found.
func (s *Supervisor) start(c *cell) {
	c.state, c.began = starting, time.Now()
	parts := make([]intake.Part, len(c.seats))
	for i, st := range c.seats {
		parts[i] = st.part
	}
	s.intake.Prepare(parts, func(p intake.Prepared) { s.post(func() { s.prepared(c, p) }) })
}

func (s *Supervisor) prepared(c *cell, p intake.Prepared) {
	if c.state != starting || s.stopping {
		delete(s.cells, c.id)
		return // it is not wanted any more
	}
	err := p.Err
	if err == nil {
		c.program = p.Program
		for i, st := range c.seats {
			st.part = p.Parts[i]
		}
		err = s.run(c)
	}
	if err != nil {
		delete(s.cells, c.id)
		c.gone = true
		r := notServed(err)
		r.celled = p.Err != nil
		s.failed(c, r)
	}
}

// run starts the cell's process, and has it load its plugins.
func (s *Supervisor) run(c *cell) error {
	c.logs.bound(c.logRate())
	child, err := proc.Start(proc.Spec{
		Path:   c.program.Path,
		Args:   []string{c.title()},
		Env:    c.environ(),
		Limits: c.limits(),
		Output: func(stream, line string) {
			level := logrus.InfoLevel
			if stream == "stderr" {
				level = logrus.WarnLevel
			}
			if s.mayLog(c) {
				s.log.WithFields(logrus.Fields{"handler": c.name, "stream": stream}).Log(level, line)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("start a cell: %w", err)
	}
	c.child = child
	open := link.Message{Kind: link.Open, Cell: c.id, Limits: s.cfg.Limits}
	for _, st := range c.seats {
		open.Plugins = append(open.Plugins, link.Plugin{Name: st.name, Path: st.part.Version.Path})
	}
	c.send(open)
	// The n-th plugin of a process takes longer than the first.
	limit := s.cfg.StartTimeout * time.Duration(len(c.seats))
	c.overdue = time.AfterFunc(limit, func() {
		s.post(func() {
			if c.state == starting && !c.gone {
				s.failed(c, refusalOf{Error: refusal.Hung(limit, c.child.Printed())})
			}
		})
	})
	go s.listenTo(c)
	return nil
}

// listenTo hears what a cell says until it ends.
func (s *Supervisor) listenTo(c *cell) {
	for {
		m, err := c.child.Link.Recv()
		if err != nil {
			if refusal.Passing(err) || refusal.Passing(c.child.Link.Err()) {
				s.post(func() { c.cut = true })
			}
			break
		}
		var offers map[string]offer
		if m.Kind == link.Ready {
			offers = examine(m.Plugins, s.cfg.Limits)
		}
		s.post(func() { s.heard(c, m, offers) })
	}
	c.child.End(deafWait)
	s.post(func() { s.exited(c) })
}

// environ is the cell's environment: the daemon's, and what its plugins have
// for defaults of GODEBUG.
func (c *cell) environ() []string {
	env := cleanEnv(os.Environ())
	if c.program.GODEBUG != "" {
		env = append(env, "GODEBUG="+c.program.GODEBUG)
	}
	return env
}

// cleanEnv is the environment of the children: the daemon's own, less what
// systemd means for the daemon alone.
func cleanEnv(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		for _, p := range []string{"NOTIFY_SOCKET=", "LISTEN_", "WATCHDOG_", "JOURNAL_STREAM=", "PLUGSERVER_"} {
			if strings.HasPrefix(kv, p) {
				return true
			}
		}
		return false
	})
}

// offer is what a cell says of one plugin.
type offer struct {
	patterns []string // sorted, each once
	size     int      // of their routes in a message, in bytes
	refused  *refusal.Error
}

// examine checks what a cell offers, by the names of its plugins. It is foreign
// input, and may be much: this is done beside the loop.
func examine(plugins []link.Plugin, lim link.Limits) map[string]offer {
	offers := make(map[string]offer, len(plugins))
	for _, p := range plugins {
		o := offer{refused: routes.Check(p.Patterns, lim.MaxPatterns, lim.MaxPatternBytes)}
		if o.refused == nil {
			slices.Sort(p.Patterns)
			o.patterns = slices.Compact(p.Patterns)
			for _, pattern := range o.patterns {
				o.size += link.RouteSize(pattern)
			}
		}
		offers[p.Name] = o
	}
	return offers
}

// heard handles what a cell says; offers are what a Ready holds.
func (s *Supervisor) heard(c *cell, m link.Message, offers map[string]offer) {
	switch m.Kind {
	case link.Ready:
		s.proved(c, offers)
	case link.Refused:
		if c.state == starting && m.Refusal != nil {
			s.failed(c, refusalOf{Error: m.Refusal.Bounded()})
		}
	case link.Ack:
		c.acked = max(c.acked, min(m.Version, s.table))
	case link.Unjoined:
		s.unjoined(c)
	case link.Pong:
		c.owed = 0
		c.ponged = m.Seq
		if m.Stats != nil {
			s.counted(c, *m.Stats)
		}
	case link.Log:
		s.record(c, m)
	case link.Parted:
		c.parted = true
	case link.Done:
		if m.Stats != nil {
			s.counted(c, *m.Stats)
		}
		s.log.WithFields(s.fields(c)).Debug("cell is done")
	}
}

// proved is called when a cell reports its plugins' patterns.
func (s *Supervisor) proved(c *cell, offers map[string]offer) {
	if c.state != starting {
		return
	}
	c.overdue.Stop()
	for _, st := range c.seats {
		o := offers[st.name]
		switch {
		case o.refused != nil:
			s.failed(c, refusalOf{Error: o.refused})
			return
		case len(o.patterns) == 0:
			s.failed(c, refusalOf{Error: refusal.NoPatterns(st.name)})
			return
		}
		st.patterns, st.size = o.patterns, o.size
		c.patterns = append(c.patterns, st.patterns...)
	}
	c.state, c.provedAt = waiting, time.Now()
	if c.group != nil {
		s.gathered(c)
	} else {
		s.claim(c.seats[0])
	}
	s.dequeue()
}

// retire makes a cell that has no route any more end.
func (s *Supervisor) retire(c *cell) {
	if c.gone || c.state == dropped || c.state == retiring {
		return
	}
	c.state = retiring
	c.send(link.Message{Kind: link.Retire, Grace: s.cfg.DrainTimeout})
	c.overdue = time.AfterFunc(s.cfg.DrainTimeout+killWait, c.child.Kill)
}

// joinCell gives the gate and a cell a socket to each other.
func (s *Supervisor) joinCell(c *cell) {
	if c.joined == s.gate || c.child == nil || c.gone {
		return
	}
	forCell, forGate, err := joint()
	if err != nil {
		s.log.WithError(err).Error("cell cannot be joined to the gate: it is tried again")
		s.later(s.alter)
		return
	}
	c.joined = s.gate
	c.send(link.Message{Kind: link.Join, FDs: forCell})
	s.gate.send(link.Message{Kind: link.Join, Cell: c.id, FDs: forGate})
}

// unjoined makes a cell be joined to the gate anew, by the next table: one of the
// two had no descriptor left. Some become free by and by.
func (s *Supervisor) unjoined(c *cell) {
	c.joined = nil
	s.later(s.alter)
}

// joint returns what two processes need to hand connections to each other: for
// each an end of a socket, and the page of memory in which they count.
func joint() (one, other []*os.File, err error) {
	a, b, err := wire.Pair()
	if err != nil {
		return nil, nil, err
	}
	var pages [2]*os.File
	fd, err := unix.MemfdCreate("hand-over", unix.MFD_CLOEXEC)
	if err == nil {
		pages[0] = os.NewFile(uintptr(fd), "page")
		if err = pages[0].Truncate(handover.PageSize); err == nil {
			fd, err = unix.FcntlInt(pages[0].Fd(), unix.F_DUPFD_CLOEXEC, 0)
			pages[1] = os.NewFile(uintptr(fd), "page")
		}
	}
	if err != nil {
		closeFiles(a, b, pages[0])
		return nil, nil, err
	}
	return []*os.File{a, pages[0]}, []*os.File{b, pages[1]}, nil
}

func closeFiles(files ...*os.File) {
	for _, f := range files {
		f.Close() // of nil is an error, no more
	}
}
