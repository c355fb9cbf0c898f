package fleet

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/between/transcript"
	"github.com/sirupsen/logrus"
)

// ward is a fleet and its owner, in a bubble of testing/synctest.
type ward struct {
	*Fleet
	t      *testing.T
	loop   chan func()
	closed chan struct{}
	events []Event // the owner's goroutine's

	fork func() error // what a start waits for
	end  func()       // of the owner
	mu   sync.Mutex
	born []*dummy
}

func newWard(t *testing.T) *ward {
	log := logrus.New()
	log.SetOutput(io.Discard)
	w := &ward{t: t, loop: make(chan func()), closed: make(chan struct{}), fork: func() error { return nil }}
	w.end = sync.OnceFunc(func() { close(w.closed) })
	w.Fleet = New(Config{Gate: []string{"gate"}, Log: log, Start: w.start}, w.post, func(e Event) { w.events = append(w.events, e) })
	go func() {
		for {
			select {
			case f := <-w.loop:
				f()
			case <-w.closed:
				return
			}
		}
	}()
	t.Cleanup(func() {
		for _, d := range w.all() {
			d.Kill()
		}
		time.Sleep(time.Minute)
		w.end()
	})
	return w
}

func (w *ward) post(f func()) bool {
	select {
	case w.loop <- f:
		return true
	case <-w.closed:
		return false
	}
}

// do does something in the owner's goroutine, and waits until all that comes of it
// at once is done.
func (w *ward) do(f func()) {
	done := make(chan struct{})
	w.post(func() { f(); close(done) })
	<-done
	synctest.Wait()
}

func (w *ward) start(proc.Spec) (Process, error) {
	if err := w.fork(); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	d := &dummy{says: make(chan link.Message, 1), gone: make(chan struct{})}
	w.born = append(w.born, d)
	return d, nil
}

func (w *ward) all() []*dummy {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.born)
}

func (w *ward) cell(id uint64) (c *Cell) {
	w.do(func() {
		c = w.Start(Spec{ID: id, Ready: time.Minute, Fields: func(string) logrus.Fields { return logrus.Fields{} }})
	})
	return c
}

// dummy is a process that does nothing until it is killed.
type dummy struct {
	says  chan link.Message
	gone  chan struct{}
	once  sync.Once
	said  []string
	broke error          // what has ended the sending
	sent  []link.Message // by the owner's goroutine
}

func (d *dummy) PID() int                        { return 7 }
func (d *dummy) Send(m link.Message) error       { d.sent = append(d.sent, m); return nil }
func (d *dummy) SendError() error                { return d.broke }
func (d *dummy) Later(func()) bool               { return false }
func (d *dummy) Lend([]string) error             { return nil }
func (d *dummy) Said(line string)                { d.said = append(d.said, line) }
func (d *dummy) Kill()                           { d.once.Do(func() { close(d.gone) }) }
func (d *dummy) End(time.Duration)               { <-d.gone }
func (d *dummy) Close()                          {}
func (d *dummy) Status() string                  { return "signal: killed" }
func (d *dummy) Exceeded() string                { return "" }
func (d *dummy) Printed() string                 { return strings.Join(d.said, " | ") }
func (d *dummy) LastWords() string               { return d.Printed() }
func (d *dummy) Uses() (u proc.Usage, err error) { return u, nil }
func (d *dummy) Exited() <-chan struct{}         { return nil }
func (d *dummy) Crash() (transcript.Crash, bool) { return transcript.Crash{}, false }

func (d *dummy) Recv() (link.Message, error) {
	select {
	case m := <-d.says:
		return m, nil
	case <-d.gone:
		return link.Message{}, io.EOF
	}
}

func (d *dummy) dead() bool {
	select {
	case <-d.gone:
		return true
	default:
		return false
	}
}

// A handler is not blamed for what was killed before it was ready, and is tried again.
func TestKilledEarly(t *testing.T) {
	for want, do := range map[string]func(*Cell, *dummy){
		"was killed before it was ready: its link broke for want of memory or descriptors; it printed nothing": func(_ *Cell, d *dummy) { d.broke = syscall.EMFILE; d.Kill() },
		"was killed before it was ready: it did not answer; it printed nothing":                                func(c *Cell, _ *dummy) { c.Kill("it did not answer") },
		"was killed before it was ready, by the kernel or by somebody (SIGKILL); it printed nothing":           func(_ *Cell, d *dummy) { d.Kill() },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWard(t)
			c := w.cell(1)
			w.do(func() { do(c, w.all()[0]) })
			w.do(func() {
				if r, passing := c.DiedEarly(); r.Reason != want || !passing || !strings.Contains(r.Mend, "tried again by itself") {
					t.Errorf("%q, passing: %t; want %q", r.Reason, passing, want)
				}
			})
		})
	}
}

// The owner waits for no fork; a cell that is not wanted any more by the time that
// it runs is killed, and nothing but its end is told.
func TestDropWhileItIsStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		forked := make(chan struct{})
		w.fork = func() error { <-forked; return nil }
		c := w.cell(1)
		w.do(c.Drop)
		w.do(func() {
			if w.Empty() || c.Gone() {
				t.Error("what is being started is taken for gone")
			}
		})
		close(forked)
		synctest.Wait()
		w.do(func() {
			if len(w.events) != 1 || w.events[0] != (Ended{c}) || !w.Empty() {
				t.Errorf("told %v", w.events)
			}
		})
		if !w.all()[0].dead() {
			t.Error("it runs")
		}
	})
}

// A process that comes after the owner has gone does not stay.
func TestNobodyWantsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.fork = func() error { time.Sleep(2 * time.Minute); return nil }
		w.cell(1)
		w.end()
		time.Sleep(time.Hour)
		if !w.all()[0].dead() {
			t.Error("it runs")
		}
	})
}

// What cannot be started takes no slot, and what waits for one and is dropped is gone
// at once.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.fork = func() error { return errors.New("no") }
		for id := range uint64(2 * startSlots) {
			w.cell(id)
		}
		w.do(func() {
			for _, e := range w.events {
				if e, ok := e.(NotStarted); !ok || e.Err == nil || !e.Cell.Gone() {
					t.Errorf("told %+v", e)
				}
			}
			if len(w.events) != 2*startSlots || !w.Empty() {
				t.Errorf("%d events", len(w.events))
			}
			w.events = nil
		})
		w.fork = func() error { return nil }
		var cells []*Cell
		for id := range uint64(startSlots + 2) {
			cells = append(cells, w.cell(100+id))
		}
		if n := len(w.all()); n != startSlots {
			t.Errorf("%d start at a time", n)
		}
		waits := cells[startSlots]
		w.do(waits.Drop)
		w.do(func() {
			if !waits.Gone() || len(w.events) != 0 {
				t.Errorf("gone %v, told %v", waits.Gone(), w.events)
			}
		})
		w.do(cells[0].Drop)
		if n := len(w.all()); n != startSlots+1 {
			t.Errorf("%d were started once there was a slot", n)
		}
		w.do(w.Close)
		w.do(cells[1].Drop)
		if n := len(w.all()); n != startSlots+1 {
			t.Errorf("%d were started after the end", n)
		}
	})
}

// Cells in units, which the service manager may be long to start, keep only each other waiting.
func TestSlotsOfUnits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		hang := make(chan struct{})
		w.fork = func() error { <-hang; return nil }
		for id := range uint64(2 * startSlots) {
			w.do(func() {
				w.Start(Spec{ID: id, Apart: proc.Apart{Socket: "s"}, Ready: time.Minute, Fields: func(string) logrus.Fields { return logrus.Fields{} }})
			})
		}
		w.do(func() { w.fork = func() error { return nil } })
		for id := range uint64(startSlots + 1) {
			w.cell(100 + id)
		}
		if n := len(w.all()); n != startSlots {
			t.Errorf("beside units that do not come %d cells were started, want %d", n, startSlots)
		}
		close(hang)
		synctest.Wait()
		if n := len(w.all()); n != 2*startSlots {
			t.Errorf("%d were started, want %d", n, 2*startSlots)
		}
		w.do(w.Close)
	})
}

// A gate that ends has a successor, at once or, where it did not live, a little
// later; a fleet that is closed needs none.
func TestGateComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.do(w.StartGate)
		time.Sleep(time.Second)
		w.all()[0].Kill()
		synctest.Wait()
		if n := len(w.all()); n != 2 {
			t.Fatalf("%d gates were started", n)
		}
		w.all()[1].Kill()
		synctest.Wait()
		if n := len(w.all()); n != 2 {
			t.Error("a gate that dies at once is started again at once")
		}
		time.Sleep(2 * startAgain)
		if n := len(w.all()); n != 3 {
			t.Fatalf("%d gates were started", n)
		}
		w.do(w.Close)
		w.all()[2].Kill()
		time.Sleep(time.Minute)
		w.do(func() {
			if len(w.all()) != 3 || !w.Empty() || w.events[len(w.events)-1] != (GateEnded{}) {
				t.Errorf("%d gates, told %v", len(w.all()), w.events)
			}
		})
	})
}

// What a gate is to know for handshakes each gate learns before it accepts, and no cell
// ever does.
func TestSecureIsTheGatesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		first, second := &link.TLS{MinVersion: 1}, &link.TLS{MinVersion: 2}
		w.do(func() { w.Secure(first) })
		w.do(func() { w.StartGate(); w.Listen() })
		w.do(func() { w.Secure(second) })
		w.all()[0].Kill()
		time.Sleep(time.Minute)
		synctest.Wait()
		var got []uint16
		for _, d := range w.all() {
			listens := false
			for _, m := range d.sent {
				listens = listens || m.Kind == link.Listen
				if m.Kind == link.Secure {
					got = append(got, m.TLS.MinVersion)
					if listens && m.TLS != second {
						t.Error("a gate accepts before it knows its certificates")
					}
				}
			}
		}
		if !slices.Equal(got, []uint16{1, 2, 2}) {
			t.Errorf("gates were told %v", got)
		}
		w.do(w.Close)
	})
}

// Until it is known what a cell runs, nothing is heard of it: what it logs would be nobody's.
func TestUnnamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		var log strings.Builder // by one goroutine at a time
		w.cfg.Log.SetOutput(&log)
		version := ""
		start := func(id uint64) (c *Cell) {
			w.do(func() {
				c = w.Start(Spec{
					ID: id, Unnamed: true, Ready: time.Minute, Plugins: []link.Plugin{{Name: "a"}},
					Log:    LogRate{Burst: 10, Interval: time.Second},
					Fields: func(string) logrus.Fields { return logrus.Fields{"version": version} },
				})
			})
			return c
		}
		c := start(1)
		d := w.all()[0]
		d.says <- link.Message{Kind: link.Log, Text: "hello"}
		synctest.Wait()
		if len(w.events) > 0 || log.Len() > 0 {
			t.Errorf("told %v, logged %s", w.events, log.String())
		}
		w.do(func() {
			version = "v1"
			c.Name([]link.Plugin{{Name: "a", Version: "v1"}})
		})
		w.do(func() {
			if text := log.String(); !strings.Contains(text, "hello") || !strings.Contains(text, "version=v1") {
				t.Errorf("told %v, logged %s", w.events, log.String())
			}
			if last := d.sent[len(d.sent)-1]; last.Kind != link.Named || last.Plugins[0].Version != "v1" {
				t.Errorf("sent %+v", last)
			}
		})
		d.Kill()
		synctest.Wait()
		w.do(func() {
			if len(w.events) != 1 || w.events[0] != (Ended{c}) {
				t.Errorf("told %v", w.events)
			}
		})
		// One that is named before it runs learns that with all else.
		forked := make(chan struct{})
		w.fork = func() error { <-forked; return nil }
		c = start(2)
		w.do(func() { c.Name([]link.Plugin{{Name: "a", Version: "v2"}}) })
		close(forked)
		synctest.Wait()
		w.do(func() {
			if sent := w.all()[1].sent; len(sent) != 1 || sent[0].Kind != link.Open || sent[0].Plugins[0].Version != "v2" {
				t.Errorf("sent %+v", sent)
			}
		})
		// And one that nobody wants ends.
		c = start(3)
		w.do(c.Drop)
		w.do(func() {
			if !c.Gone() {
				t.Error("it is not gone")
			}
		})
	})
}

// One that owes answers is killed, but not as soon where most do: the machine is slow then.
func TestMostOwe(t *testing.T) {
	const cells = 20
	for mute, want := range map[int]int{2: 4, few: 4, cells: 13} {
		synctest.Test(t, func(t *testing.T) {
			w := newWard(t)
			for id := range uint64(cells) {
				c := w.cell(id)
				w.do(func() { c.phase = runs; w.dequeue() })
			}
			killed := func() (n int) {
				for _, d := range w.all() {
					select {
					case <-d.gone:
						n++
					default:
					}
				}
				return n
			}
			watches := 0
			for ; killed() == 0; watches++ {
				if watches > 20 {
					t.Fatal("none is killed")
				}
				w.do(w.Watch)
				for _, d := range w.all()[mute:] {
					d.says <- link.Message{Kind: link.Pong, Seq: w.pings}
				}
				synctest.Wait()
			}
			if watches != want || killed() != mute {
				t.Errorf("of %d, %d of which do not answer, %d were killed once they were looked at %d times, want %d", cells, mute, killed(), watches, want)
			}
		})
	}
}
