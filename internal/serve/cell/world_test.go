//go:build go1.26

// The source of a cell comes with its tests, and is built by older releases, without the gate and the supervisor.

package cell

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/access"
	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/wire"
	"github.com/andrestc/go-plugserver/internal/daemon/joint"
	"github.com/andrestc/go-plugserver/internal/daemon/table"
	"github.com/andrestc/go-plugserver/internal/serve/gate"
)

// The test binary is a gate, or a cell with handlers for the patterns in PLAYS.
func TestMain(m *testing.M) {
	plays := os.Getenv("PLAYS")
	if plays == "" {
		os.Exit(m.Run())
	}
	lc, err := link.New(os.NewFile(link.ChildFD, "link"))
	if err != nil {
		panic(err)
	}
	if plays == "gate" {
		err = gate.Run(lc)
	} else {
		err = play(lc, strings.Fields(plays))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// play is Run for a cell without a plugin.
func play(lc *link.Conn, patterns []string) error {
	c := &Cell{link: lc, joined: make(chan struct{}), opened: make(chan struct{}), ended: make(chan error, 1), owners: make(map[string]*own)}
	m, err := lc.Recv()
	if err != nil || m.Kind != link.Open {
		return errors.Join(errors.New("the first message is no Open"), err)
	}
	c.listen(m)
	l := &loaded{name: m.Name, version: new(atomic.Pointer[string]), contract: &contract{}, counts: new(counter.Handler)}
	l.version.Store(&m.Name)
	c.plugins = []*loaded{l}
	for _, p := range patterns {
		c.owners[p] = &own{c, l, p, tells(m.Name)}
	}
	c.apply(nil)
	close(c.opened)
	go c.server.Run()
	lc.Send(link.Message{Kind: link.Ready})
	go c.hear(lc)
	return <-c.ended
}

// tells says who answers, and what came; as much more as is asked for; or never, as long as there is a client.
func tells(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if r.URL.Query().Get("never") == name {
			<-r.Context().Done()
		}
		more, _ := strconv.Atoi(r.URL.Query().Get("more"))
		fmt.Fprintf(w, "%s %s %s %s %d%s", name, r.Method, r.URL.RequestURI(), r.Proto, len(body), strings.Repeat(".", more))
	}
}

// child is a process of the world's.
type child struct {
	id       uint64
	patterns []string
	cmd      *exec.Cmd
	out      bytes.Buffer
	link     *link.Conn
	heard    chan link.Message // but for logs
}

// world is a supervisor, for tests: one gate, and cells whose versions answer with their names.
type world struct {
	t       testing.TB
	limits  link.Limits
	gate    *child
	cells   map[uint64]*child
	serves  []table.Serves
	table   table.Table
	address string
	last    uint64
}

func newWorld(t testing.TB, lim link.Limits) *world {
	t.Helper()
	w := &world{t: t, limits: lim, cells: make(map[uint64]*child)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	w.address = l.Addr().String()
	l.Close()
	w.gate = w.start("gate", link.Message{Kind: link.Open, Key: []byte("key"), Limits: lim})
	w.gate.link.Send(link.Message{Kind: link.Listen, FDs: []*os.File{f}})
	w.await(w.gate, link.Ready)
	t.Cleanup(w.end)
	return w
}

func (w *world) start(plays string, open link.Message) *child {
	w.t.Helper()
	ours, theirs, err := wire.Pair()
	if err != nil {
		w.t.Fatal(err)
	}
	c := &child{id: open.Cell, cmd: exec.Command(os.Args[0]), heard: make(chan link.Message, 1000)}
	c.cmd.Env = append(os.Environ(), "PLAYS="+plays, "GORACE=atexit_sleep_ms=0") // else each ends a second later
	c.cmd.ExtraFiles = []*os.File{theirs}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	err = c.cmd.Start()
	theirs.Close()
	if err == nil {
		c.link, err = link.New(ours)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(c.heard)
		for {
			m, err := c.link.Recv()
			if err != nil {
				return
			}
			if m.Kind != link.Log {
				c.heard <- m
			} else if m.Level != "debug" {
				w.t.Logf("%s: %s", plays, m.Line())
			}
		}
	}()
	c.link.Send(open)
	return c
}

// log gives a child a file for its access log, and returns what counts the lines there.
func (w *world) log(c *child) (lines func() int) {
	w.t.Helper()
	f, err := os.CreateTemp(w.t.TempDir(), "")
	if err != nil {
		w.t.Fatal(err)
	}
	path := f.Name()
	c.link.Send(link.Message{Kind: link.Access, Format: string(access.JSON), FDs: []*os.File{f}})
	return func() int {
		b, err := os.ReadFile(path)
		if err != nil {
			w.t.Error(err)
		}
		return bytes.Count(b, []byte("\n"))
	}
}

// await waits for a word of a child's. There is no other but acknowledgements.
func (w *world) await(c *child, kind link.Kind) link.Message {
	w.t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case m, ok := <-c.heard:
			switch {
			case !ok:
				c.cmd.Wait()
				w.t.Fatalf("cell %d has ended, %s was awaited: %s", c.id, kind, c.out.String())
			case m.Kind == kind:
				return m
			case m.Kind != link.Ack:
				w.t.Fatalf("cell %d says %+v, %s was awaited", c.id, m, kind)
			}
		case <-late:
			w.t.Fatalf("cell %d does not say %s", c.id, kind)
		}
	}
}

// cell starts a version that serves the patterns.
func (w *world) cell(name string, patterns ...string) uint64 {
	w.t.Helper()
	w.last++
	id := w.last
	c := w.start(strings.Join(patterns, " "), link.Message{Kind: link.Open, Cell: id, Name: name, Limits: w.limits})
	w.await(c, link.Ready)
	w.cells[id], c.patterns = c, patterns
	return id
}

// join has a cell be one that serves.
func (w *world) join(c *child) {
	w.t.Helper()
	ours, theirs, err := joint.New()
	if err != nil {
		w.t.Fatal(err)
	}
	w.gate.link.Send(link.Message{Kind: link.Join, Cell: c.id, FDs: ours})
	c.link.Send(link.Message{Kind: link.Join, FDs: theirs})
	w.serves = append(w.serves, table.Serves{Cell: c.id, Patterns: c.patterns})
}

// tell puts routes in force, at the gate and at every cell.
func (w *world) tell(all ...link.Route) {
	w.t.Helper()
	for _, r := range all {
		for _, id := range [...]uint64{r.Cell, r.Canary.Cell} {
			if c := w.cells[id]; c != nil && !slices.ContainsFunc(w.serves, func(s table.Serves) bool { return s.Cell == id }) {
				w.join(c)
			}
		}
	}
	w.table.Change()
	g, told := w.table.Tell(table.Route("", all, nil, link.Route{}), w.serves)
	for _, to := range told {
		w.cells[to.Cell].link.Send(link.Message{Kind: link.Table, Version: to.Version, Routes: to.Routes})
	}
	w.gate.link.Send(link.Message{Kind: link.Table, Version: g.Version, Since: g.Since, Routes: g.Routes, Gone: g.Gone})
	w.acks(w.gate, g.Version)
	for _, to := range told {
		w.acks(w.cells[to.Cell], to.Version)
	}
}

func (w *world) acks(c *child, version uint64) {
	w.t.Helper()
	for w.await(c, link.Ack).Version != version {
	}
}

// retire ends a cell that has no route any more.
func (w *world) retire(id uint64) {
	w.t.Helper()
	c := w.cells[id]
	c.link.Send(link.Message{Kind: link.Retire, Grace: 20 * time.Second})
	w.await(c, link.Done)
	w.gone(id)
}

// kill is a crash.
func (w *world) kill(id uint64) {
	w.cells[id].cmd.Process.Kill()
	w.gone(id)
}

func (w *world) gone(id uint64) {
	c := w.cells[id]
	c.cmd.Wait()
	c.link.Close()
	w.gate.link.Send(link.Message{Kind: link.Gone, Cell: id})
	w.table.Forget(id)
	delete(w.cells, id)
	w.serves = slices.DeleteFunc(w.serves, func(s table.Serves) bool { return s.Cell == id })
}

// conns is how many connections a child has.
func (w *world) conns(c *child) int {
	c.link.Send(link.Message{Kind: link.Ping})
	return w.await(c, link.Pong).Stats.Conns
}

func (w *world) end() {
	for _, c := range slices.AppendSeq([]*child{w.gate}, maps.Values(w.cells)) {
		c.link.Send(link.Message{Kind: link.Quit})
		w.await(c, link.Done)
		if err := c.cmd.Wait(); err != nil || c.out.Len() > 0 {
			w.t.Errorf("cell %d ended: %v\n%s", c.id, err, c.out.String())
		}
		c.link.Close()
	}
}

// stop has a child stand still, all of it.
func (w *world) stop(c *child) {
	w.t.Helper()
	c.cmd.Process.Signal(syscall.SIGSTOP)
	if _, err := syscall.Wait4(c.cmd.Process.Pid, nil, syscall.WUNTRACED, nil); err != nil {
		w.t.Fatal(err)
	}
}
