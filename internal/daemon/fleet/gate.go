package fleet

import (
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/daemon/accesslog"
	"github.com/andrestc/go-plugserver/internal/daemon/joint"
	"github.com/andrestc/go-plugserver/internal/daemon/spare"
	"github.com/sirupsen/logrus"
)

// gate is the process that accepts.
type gate struct {
	Process
	began     time.Time
	told      bool // to accept
	accepting bool // it says that it does
	quit      bool // it was told to end
	full      bool // no descriptor was left for a way to a cell, a moment ago
	asked     uint64
	answered  uint64
	owed      int // answers
	stats     link.Stats
}

// StartGate starts a gate. One that does not start is tried again, and one that
// ends has a successor, until the fleet is closed: GateStarted is told of each.
func (f *Fleet) StartGate() {
	if f.closed {
		return
	}
	spec := proc.Spec{
		Path: f.cfg.Gate[0], Args: f.cfg.Gate[1:], Env: proc.Environ(),
		Output: func(stream, line string) { f.cfg.Log.WithField("stream", stream).Warn("gate: " + line) },
	}
	f.start(spare.Run, spec, f.gateStarted)
}

func (f *Fleet) gateStarted(p Process, err error) {
	if err != nil {
		f.cfg.Log.WithError(err).Error("gate cannot be started")
		f.later(f.StartGate)
		return
	}
	g := &gate{Process: p, began: time.Now()}
	f.gate = g
	go f.hearGate(g)
	if f.closed {
		g.Kill()
		return
	}
	f.SendGate(link.Message{Kind: link.Open, Limits: f.cfg.Limits, Key: f.key, FDs: f.cfg.Sums.OpenGate()})
	f.cfg.Access.Begin(accesslog.Gate, g.Send)
	if f.secure != nil {
		f.SendGate(link.Message{Kind: link.Secure, TLS: f.secure})
	}
	f.tell(GateStarted{})
	f.listen()
}

func (f *Fleet) hearGate(g *gate) {
	for {
		m, err := g.Recv()
		if err != nil {
			break
		}
		f.post(func() { f.heardGate(g, m) })
	}
	g.End(deafWait)
	f.post(func() { f.gateExited(g) })
}

func (f *Fleet) heardGate(g *gate, m link.Message) {
	switch m.Kind {
	case link.Ready:
		g.accepting = true
		f.tell(GateAccepts{})
	case link.Ack:
		f.tell(GateAcks{m.Version})
	case link.Unjoined:
		if c := f.cells[m.Cell]; c != nil && g == f.gate {
			c.unjoined()
		}
	case link.Unlogged:
		f.cfg.Access.Again(accesslog.Gate)
	case link.Broken:
		if c := f.cells[m.Cell]; c != nil && c.process != nil {
			c.Kill("its way to the gate has failed: " + m.Bounded().Text)
		}
	case link.Pong:
		g.owed = 0
		g.answered = max(g.answered, m.Seq)
		if m.Stats != nil {
			g.stats = *m.Stats
		}
	case link.Log:
		m = m.Bounded()
		level, err := logrus.ParseLevel(m.Level)
		if err != nil {
			level = logrus.ErrorLevel
		}
		f.cfg.Log.WithField("pid", g.PID()).Log(level, "gate: "+strings.TrimSpace(m.Text))
	}
}

// gateExited starts a new gate at once: connections that live in cells do not
// notice, new ones wait in the sockets' backlogs.
func (f *Fleet) gateExited(g *gate) {
	g.Close()
	f.cfg.Sums.CloseGate()
	f.cfg.Access.End(accesslog.Gate)
	f.gate = nil
	if !f.closed {
		f.cfg.Log.WithFields(logrus.Fields{event.Field: event.GateDied, "status": g.Status()}).Error("gate died: a new one takes over")
		if time.Since(g.began) < startAgain {
			f.later(f.StartGate)
		} else {
			f.StartGate()
		}
	}
	f.tell(GateEnded{})
}

// Listen has the gate, and each that follows, accept.
func (f *Fleet) Listen() {
	if !f.listens {
		f.listens = true
		f.listen()
	}
}

func (f *Fleet) listen() {
	if !f.listens || f.gate == nil || f.gate.told || f.closed {
		return
	}
	var files []*os.File
	for _, l := range f.cfg.Listeners {
		fd, err := syscall.Dup(int(l.Fd()))
		if err != nil {
			f.cfg.Log.WithError(err).Error("listening socket cannot be given to the gate: it is tried again")
			closeFiles(files...)
			f.later(f.listen)
			return
		}
		syscall.CloseOnExec(fd)
		files = append(files, os.NewFile(uintptr(fd), l.Name()))
	}
	f.gate.told = true
	f.SendGate(link.Message{Kind: link.Listen, FDs: files, Secure: f.cfg.Secure, Proxied: f.cfg.Proxied})
}

// Secure has the gate, and each that follows, shake hands by t, which is not changed any
// more.
func (f *Fleet) Secure(t *link.TLS) {
	f.secure = t
	f.SendGate(link.Message{Kind: link.Secure, TLS: t})
}

// SendGate tells the gate something, if there is one. One that does not read is
// killed.
func (f *Fleet) SendGate(m link.Message) {
	if f.gate == nil {
		closeFiles(m.FDs...)
		return
	}
	if err := f.gate.Send(m); err != nil {
		f.gate.Kill()
	}
}

// QuitGate has the gate end within the grace, where it was not told so yet.
func (f *Fleet) QuitGate(grace time.Duration) {
	if f.gate != nil && !f.gate.quit {
		f.gate.quit = true
		f.SendGate(link.Message{Kind: link.Quit, Grace: grace})
	}
}

// Gate tells of the gate: whether there is one, and whether it accepts.
func (f *Fleet) Gate() (there, accepts bool) {
	return f.gate != nil, f.gate != nil && f.gate.accepting
}

// AskGate returns a function that reports whether a gate has answered a question
// that is asked as soon as there is one, and again of each that follows.
func (f *Fleet) AskGate() (answered func() bool) {
	f.pings++
	seq, asked := f.pings, (*gate)(nil)
	return func() bool {
		switch {
		case f.gate == nil:
			return false // a new one is about to start
		case f.gate != asked:
			asked = f.gate
			f.SendGate(link.Message{Kind: link.Ping, Seq: seq})
			return false
		}
		return asked.answered >= seq
	}
}

// GateState is what is shown of the gate; zeros where there is none.
func (f *Fleet) GateState() (pid int, stats link.Stats) {
	if f.gate == nil {
		return 0, link.Stats{}
	}
	return f.gate.PID(), f.gate.stats
}

// Join gives the gate and a cell a way to each other, where they have none.
func (f *Fleet) Join(c *Cell) {
	if f.gate == nil || f.gate.full || c.joined == f.gate || c.process == nil || c.phase == gone {
		return
	}
	forCell, forGate, err := joint.New()
	if err != nil { // those that were sent are closed by and by: all others wait for that, and it is told once
		f.cfg.Log.WithError(err).Error("cell cannot be joined to the gate: it is tried again")
		g := f.gate
		g.full = true
		f.later(func() { g.full = false; f.tell(Unjoined{c}) })
		return
	}
	c.joined = f.gate
	c.Send(link.Message{Kind: link.Join, FDs: forCell})
	f.SendGate(link.Message{Kind: link.Join, Cell: c.ID, FDs: forGate})
}

// unjoined makes a cell be joined to the gate anew: one of the two had no
// descriptor left. Some become free by and by.
func (c *Cell) unjoined() {
	c.joined = nil
	c.fleet.later(func() { c.fleet.tell(Unjoined{c}) })
}

func closeFiles(files ...*os.File) {
	for _, f := range files {
		f.Close() // of nil is an error, no more
	}
}
