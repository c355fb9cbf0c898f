package cells

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/transcript"
	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/daemon/fleet"
	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/roster"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
	"github.com/sirupsen/logrus"
)

// A world is an owner of cells whose handlers do as they are told, with made-up
// processes, in a bubble of testing/synctest.
type world struct {
	*Cells
	t        *testing.T
	settings Settings
	handlers map[string]*lifecycle.Handler
	told     []string // what the owner was told
	posted   chan func()
	log      *strings.Builder
	more     bool          // handlers are under way
	takes    time.Duration // a table

	mu        sync.Mutex // guards the rest
	processes []*process
	ways      map[string]string // how processes behave, by the path of their plugin
	failing   bool              // no process can be started
}

// process is a made-up gate, or a cell.
type process struct {
	w     *world
	args  []string
	says  chan link.Message
	gone  chan struct{}
	once  sync.Once
	heard []string // of the kinds that matter; guarded by the world's mutex
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, handlers: make(map[string]*lifecycle.Handler), posted: make(chan func(), 64), log: &strings.Builder{}, ways: make(map[string]string)}
	log := logrus.New()
	log.SetOutput(w.log)
	disk := intake.Disk{
		Read: func(path string) (*elfplug.Info, error) { return &elfplug.Info{PluginPath: path}, nil },
		Choose: func(i *elfplug.Info) (catalogue.Binary, *refusal.Error) {
			if w.way(i.PluginPath) == "has no cell" {
				return catalogue.Binary{}, &refusal.Error{Reason: "no cell"}
			}
			return catalogue.Binary{Name: "cell", Path: "/cell", Info: i}, nil
		},
		Save: func(store.Changes) error { return nil }, Compact: func() error { return nil },
	}
	in := intake.On(intake.Config{Log: log}, disk, nil)
	done := make(chan struct{})
	w.Cells = New(Config{
		Fleet: fleet.Config{Gate: []string{"gate"}, DrainTimeout: 30 * time.Second, Log: log, Start: w.start}, Intake: in, StartTimeout: 10 * time.Second,
		Log: log, Settings: func(string) Settings { return w.settings },
	}, Owner{
		Handler:  func(name string) *lifecycle.Handler { return w.handlers[name] },
		Handlers: func() iter.Seq[*lifecycle.Handler] { return maps.Values(w.handlers) },
		Tell:     w.tell,
		Claimed:  func() []string { return nil },
		Served: func(place roster.Place) []link.Route {
			time.Sleep(w.takes)
			return (&roster.Roster{Handlers: w.handlers}).Served(place, nil)
		},
		Post: func(f func()) bool {
			select {
			case w.posted <- f:
				return true
			case <-done:
				return false
			}
		},
	})
	go func() {
		for {
			select {
			case f := <-w.posted:
				f()
				w.SendTable(w.more)
				w.Announce()
			case <-done:
				return
			}
		}
	}()
	w.do(w.Fleet.StartGate)
	t.Cleanup(func() {
		w.do(func() { w.Fleet.Close(); w.Fleet.KillAll() })
		time.Sleep(time.Hour)
		close(done)
		in.Close()
	})
	return w
}

// do has the owner's goroutine do something, and returns once all waits for time to
// pass.
func (w *world) do(f func()) {
	w.posted <- f
	synctest.Wait()
}

func (w *world) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// tell is what an owner makes of events: it grants what is ready.
func (w *world) tell(h *lifecycle.Handler, e lifecycle.Event) {
	w.told = append(w.told, fmt.Sprintf("%s %s", h.Name, strings.TrimPrefix(fmt.Sprintf("%T", e), "lifecycle.")))
	switch e := e.(type) {
	case lifecycle.IsReady:
		old := h.Live
		h.Live, h.Next, h.Standing = e.Seat, nil, states.Serving
		w.Publish(h.Name, lifecycle.Publish{What: states.WentLive, Seat: h.Live, Old: old})
	case lifecycle.Gathered:
		old := h.Live
		h.Live, h.Standing = e.Seat, states.Serving
		w.Publish(h.Name, lifecycle.Publish{What: states.GatheredIn, Seat: h.Live, Old: old})
	case lifecycle.Failed:
		w.told[len(w.told)-1] += fmt.Sprintf(" %d", e.Retry)
		h.Next = nil
	case lifecycle.Died:
		h.Standing = states.Dead
	}
}

// begin starts a version of a handler, with a pattern of its name.
func (w *world) begin(name, version string) {
	w.do(func() {
		h := w.handlers[name]
		if h == nil {
			h = &lifecycle.Handler{Name: name}
			w.handlers[name] = h
		}
		h.Next = &states.Seat{Version: store.Version{Sum: strings.Repeat(version, 64), Path: version}}
		w.Start(h, h.Next, intake.Part{})
	})
}

// running are the processes whose title begins so.
func (w *world) running(title string) (all []*process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.processes {
		select {
		case <-p.gone:
		default:
			if strings.HasPrefix(strings.Join(p.args, " "), title) && (title != "" || len(p.args) == 0) {
				all = append(all, p)
			}
		}
	}
	return all
}

func (w *world) gate() *process { return w.running("")[0] }

// did is what a process was told, of what matters.
func (p *process) did() string {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return strings.Join(p.heard, ", ")
}

func (w *world) way(path string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ways[path]
}

func (w *world) start(spec proc.Spec) (fleet.Process, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failing {
		return nil, errors.New("no process")
	}
	p := &process{w: w, args: spec.Args, says: make(chan link.Message, 100), gone: make(chan struct{})}
	w.processes = append(w.processes, p)
	return p, nil
}

func (p *process) Send(m link.Message) error {
	for _, f := range m.FDs {
		f.Close()
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	switch m.Kind {
	case link.Open:
		ready := link.Message{Kind: link.Ready}
		for _, plugin := range m.Plugins {
			switch p.w.ways[plugin.Path] {
			case "hangs":
				return nil
			case "refuses":
				p.says <- link.Message{Kind: link.Refused, Refusal: &refusal.Error{Reason: "it refuses"}}
				return nil
			case "dies":
				p.Kill()
				return nil
			case "says nothing of itself":
				continue
			case "is another in company":
				if len(m.Plugins) > 1 {
					ready.Plugins = append(ready.Plugins, link.Plugin{Name: plugin.Name, Patterns: []string{"/other"}})
					continue
				}
			}
			ready.Plugins = append(ready.Plugins, link.Plugin{Name: plugin.Name, Patterns: []string{"/" + plugin.Name}})
		}
		if m.Cell != 0 {
			p.says <- ready
		}
	case link.Table:
		var patterns []string
		for _, r := range m.Routes {
			if r.Hold != 0 {
				r.Pattern += fmt.Sprint(" held ", r.Hold)
			}
			patterns = append(patterns, r.Pattern)
		}
		slices.Sort(patterns)
		p.heard = append(p.heard, fmt.Sprint(patterns))
		if p.w.ways["acks"] != "never" {
			p.says <- link.Message{Kind: link.Ack, Version: m.Version}
		}
	case link.Retire:
		p.heard = append(p.heard, "retire")
		p.Kill()
	case link.Part, link.Quit:
		p.heard = append(p.heard, string(m.Kind))
		if m.Kind == link.Part {
			p.says <- link.Message{Kind: link.Parted}
		} else {
			p.Kill()
		}
	}
	return nil
}

func (p *process) Recv() (link.Message, error) {
	select {
	case m := <-p.says:
		return m, nil
	case <-p.gone:
		return link.Message{}, io.EOF
	}
}

func (p *process) PID() int                        { return 1 << 30 }
func (p *process) Kill()                           { p.once.Do(func() { close(p.gone) }) }
func (p *process) End(time.Duration)               { <-p.gone }
func (p *process) SendError() error                { return nil }
func (p *process) Later(func()) bool               { return false }
func (p *process) Lend([]string) error             { return nil }
func (p *process) Said(string)                     {}
func (p *process) Close()                          {}
func (p *process) Status() string                  { return "signal: killed" }
func (p *process) Exceeded() string                { return "" }
func (p *process) Printed() string                 { return "" }
func (p *process) LastWords() string               { return "" }
func (p *process) Exited() <-chan struct{}         { return nil }
func (p *process) Uses() (u proc.Usage, err error) { return u, nil }
func (p *process) Crash() (transcript.Crash, bool) { return transcript.Crash{}, false }
