package supervisor

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/transcript"
	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/daemon/fleet"
	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/roster"
	"github.com/andrestc/go-plugserver/internal/daemon/standing"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/sirupsen/logrus"
)

// A world is a supervisor whose directory, store and processes are made up, in a
// bubble of testing/synctest: its time passes when everybody waits.
type world struct {
	*Supervisor
	t       *testing.T
	log     *safeBuffer
	nudges  chan struct{}
	damaged chan string // sums of copies that are found damaged
	end     context.CancelFunc
	ended   chan error

	mu        sync.Mutex // guards the rest
	inode     uint64
	files     map[string]handlerdir.File // of the directory, by handler
	contents  map[uint64]string          // by inode
	stored    map[string]string          // contents, by sum
	processes []*process
	changed   []string      // that something has happened to since
	sure      bool          // and these are all
	unlinked  bool          // new processes fail to start
	gateTakes time.Duration // to put a table in force
}

// content is what a made-up handler's file holds: its patterns, and, behind a
// semicolon, how it behaves.
type content = string

// newWorld begins a world; slow, which may be nil, changes what its disk does.
// It ends with the test.
func newWorld(t *testing.T, cfg Config, past store.History, slow func(intake.Disk) intake.Disk) *world {
	w := &world{
		t: t, log: &safeBuffer{}, nudges: make(chan struct{}, 1), damaged: make(chan string), ended: make(chan error, 1),
		files: make(map[string]handlerdir.File), contents: make(map[uint64]string), stored: make(map[string]string),
	}
	log := logrus.New()
	log.SetOutput(w.log)
	log.SetLevel(logrus.DebugLevel)
	disk := w.disk()
	if slow != nil {
		disk = slow(disk)
	}
	if past == nil {
		past = store.History{}
	}
	cfg.Handlers, cfg.Log = "/handlers", log
	cfg.Intake = intake.On(intake.Config{Handlers: cfg.Handlers, MaxSize: 1 << 20, Log: log, Changed: w.happened}, disk, past)
	cfg.Fleet = fleet.Config{Gate: []string{"gate"}, DrainTimeout: 30 * time.Second, Log: log, Start: w.start, Sums: cfg.Fleet.Sums}
	cfg.StartTimeout = cmp.Or(cfg.StartTimeout, 10*time.Second)
	told := cfg.Report
	cfg.Report = func(r Report) {
		w.recount(r)
		if told != nil {
			told(r)
		}
	}
	w.Supervisor = New(cfg, w.nudges)
	var ctx context.Context
	ctx, w.end = context.WithCancel(context.Background())
	go func() { w.ended <- w.Run(ctx) }()
	t.Cleanup(w.stopped)
	return w
}

// stopped ends the world, and checks that nothing is left of it.
func (w *world) stopped() {
	w.end()
	if err := <-w.ended; err != nil {
		w.t.Errorf("the supervisor ended with %v", err)
	}
	time.Sleep(time.Hour) // for what the disk still does
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.processes {
		select {
		case <-p.gone:
		default:
			w.t.Errorf("process %d is left over: %v", p.pid, p.spec.Args)
		}
	}
}

// recount checks what is kept of all handlers against a look at each. The supervisor's
// goroutine calls it.
func (w *world) recount(told Report) {
	all := roster.New(maps.Clone(w.roster.History), roster.Rules{})
	all.Handlers, all.Snapshot, all.Looks = w.roster.Handlers, w.roster.Snapshot, w.roster.Looks
	view := &standing.View{Daemon: w.view.Daemon, Roster: all, Cells: w.cells, Settings: w.view.Settings, Lost: w.view.Lost, Misconfigured: w.view.Misconfigured}
	for _, h := range all.Handlers {
		view.Note(h)
	}
	type kept struct {
		Report
		quiet, failed   bool
		proved, orphans int
	}
	of := func(r *roster.Roster, n Report) kept {
		return kept{n, r.Quiet(), r.Failed(), len(r.Proved()), len(r.Orphans())}
	}
	if got, want := of(w.roster, told), of(all, view.Report()); got != want {
		w.t.Errorf("kept is   %+v\nthere are %+v", got, want)
	}
}

// put puts a file into the directory.
func (w *world) put(name string, c content) {
	w.mu.Lock()
	w.inode++
	w.contents[w.inode] = c
	w.files[name] = handlerdir.File{Name: name, Path: "/handlers/" + name + ".so", Settled: true, ID: handlerdir.ID{Ino: w.inode, Size: int64(len(c))}}
	w.mu.Unlock()
	w.nudge()
}

func (w *world) remove(name string) {
	w.mu.Lock()
	delete(w.files, name)
	w.mu.Unlock()
	w.nudge()
}

// happened says what has, since it was called last.
func (w *world) happened() (names []string, sure bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	names, w.changed = w.changed, nil
	return names, w.sure
}

func (w *world) nudge() {
	select {
	case w.nudges <- struct{}{}:
	default:
	}
}

// settle returns once everybody waits for time to pass.
func (w *world) settle() { synctest.Wait() }

// after lets time pass, and everybody do what there is to do by then.
func (w *world) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// status is of the handler; ok says whether there is one.
func (w *world) status(name string) (h api.Handler, ok bool) {
	w.t.Helper()
	st, err := w.Status(context.Background())
	if err != nil {
		w.t.Fatalf("status: %v", err)
	}
	for _, h := range st.Handlers {
		if h.Name == name {
			return h, true
		}
	}
	return h, false
}

// is checks how the handler stands: the state, and the beginning of what serves.
func (w *world) is(name, state string, serving content) {
	w.t.Helper()
	h, _ := w.status(name)
	if want := sumOf(serving)[:12]; h.State != state || serving != "" && h.Version != want {
		w.t.Errorf("%s is %s with version %q, want %s with %q (%q)\n%s", name, h.State, h.Version, state, want, serving, w.log)
	}
}

// running are the processes of the handler that are alive, the newest last.
func (w *world) running(title string) (all []*process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.processes {
		select {
		case <-p.gone:
			continue
		default:
		}
		if len(p.spec.Args) > 0 && (p.spec.Args[0] == title || strings.HasPrefix(p.spec.Args[0], title+":")) || len(p.spec.Args) == 0 && title == "gate" {
			all = append(all, p)
		}
	}
	return all
}

// one is the only process of the handler.
func (w *world) one(title string) *process {
	w.t.Helper()
	all := w.running(title)
	if len(all) != 1 {
		w.t.Fatalf("%d processes of %s\n%s", len(all), title, w.log)
	}
	return all[0]
}

// routes is the table that the gate has: cells by pattern.
func (w *world) table() map[string]uint64 {
	p := w.one("gate")
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(p.routes)
}

func sumOf(c content) string {
	sum := sha256.Sum256([]byte(c))
	return hex.EncodeToString(sum[:])
}

// disk is the made-up one.
func (w *world) disk() intake.Disk {
	locked := func(f func()) {
		w.mu.Lock()
		defer w.mu.Unlock()
		f()
	}
	put := func(c content) (v store.Version, err error) {
		locked(func() {
			v = store.Version{Sum: sumOf(c), Path: sumOf(c), Size: int64(len(c))}
			w.stored[v.Sum] = c
		})
		return v, nil
	}
	inspect := func(path string) (*elfplug.Info, error) {
		return &elfplug.Info{GoVersion: "go1.26.0", PluginPath: path, Exports: []string{"Handler"}}, nil
	}
	return intake.Disk{
		Scan: func(prev *handlerdir.Snapshot, changed []string, sure bool) (*handlerdir.Snapshot, error) {
			snap := &handlerdir.Snapshot{Dir: handlerdir.ID{Ino: 1}}
			locked(func() {
				for _, name := range slices.Sorted(maps.Keys(w.files)) {
					snap.Files = append(snap.Files, w.files[name])
				}
			})
			return snap, nil
		},
		Copy: func(f handlerdir.File, whole func(*os.File, *elfplug.Info)) (intake.Copied, error) {
			var c content
			locked(func() { c = w.contents[f.ID.Ino] })
			v, err := put(c)
			return intake.Copied{Version: v}, err
		},
		Check: func(ctx context.Context, damaged func(sum string)) {
			for {
				select {
				case sum := <-w.damaged:
					damaged(sum)
				case <-ctx.Done():
					return
				}
			}
		},
		Put: func(path string) (store.Version, error) { return store.Version{}, errors.ErrUnsupported },
		Find: func(sum string) (v store.Version, err error) {
			locked(func() {
				c, ok := w.stored[sum]
				if v = (store.Version{Sum: sum, Path: sum, Size: int64(len(c))}); !ok {
					err = fs.ErrNotExist
				}
			})
			return v, err
		},
		Inspect: inspect, Read: inspect,
		Choose: func(*elfplug.Info) (catalogue.Binary, *refusal.Error) {
			return catalogue.Binary{Name: "cell", Path: "/cell", Info: &elfplug.Info{GoVersion: "go1.26.0"}}, nil
		},
		Cells: func() uint64 { return 1 },
		Loose: func() map[string]bool {
			all := make(map[string]bool)
			locked(func() {
				for sum := range w.stored {
					all[sum] = true
				}
			})
			return all
		},
		Delete: func(sums map[string]bool) error {
			locked(func() { maps.DeleteFunc(w.stored, func(sum string, _ content) bool { return sums[sum] }) })
			return nil
		},
		Sweep:   func(time.Duration) ([]string, error) { return nil, nil },
		Save:    func(store.Changes) error { return nil },
		Compact: func() error { return nil },
	}
}

// slowly has every operation of a disk take so long.
func slowly(delay time.Duration) func(intake.Disk) intake.Disk {
	return func(d intake.Disk) intake.Disk {
		v := reflect.ValueOf(&d).Elem()
		for i := range v.NumField() {
			if v.Type().Field(i).Name == "Loose" {
				continue // which is asked of no disk
			}
			do := reflect.ValueOf(v.Field(i).Interface())
			v.Field(i).Set(reflect.MakeFunc(do.Type(), func(args []reflect.Value) []reflect.Value {
				time.Sleep(delay)
				return do.Call(args)
			}))
		}
		return d
	}
}

// process is a made-up gate or cell.
type process struct {
	w    *world
	spec proc.Spec
	pid  int
	says chan link.Message
	gone chan struct{}
	once sync.Once

	// Guarded by the world's mutex.
	cell    uint64 // 0 of a gate
	named   string // the version that it was told
	routes  map[string]uint64
	beside  map[string]link.Canary
	counts  *counter.Memory // that it counts in; nil if it has none
	version uint64          // of the routes
	deaf    bool            // it answers nothing any more
	status  string
}

func (w *world) start(spec proc.Spec) (fleet.Process, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unlinked {
		return nil, fs.ErrNotExist
	}
	p := &process{w: w, spec: spec, pid: 1<<30 + len(w.processes), says: make(chan link.Message, 1000), gone: make(chan struct{})}
	w.processes = append(w.processes, p)
	return p, nil
}

func (p *process) PID() int { return p.pid }

func (p *process) Send(m link.Message) error {
	if m.Kind == link.Open && m.Cell != 0 && len(m.FDs) > 0 {
		counts, err := counter.Map(m.FDs[0], 1, true)
		if err != nil {
			return err
		}
		p.w.mu.Lock()
		p.counts = counts
		p.w.mu.Unlock()
	}
	for _, f := range m.FDs {
		f.Close()
	}
	p.w.mu.Lock()
	deaf := p.deaf
	p.w.mu.Unlock()
	if deaf {
		return nil
	}
	switch m.Kind {
	case link.Open:
		if m.Cell != 0 {
			p.w.mu.Lock()
			p.cell, p.named = m.Cell, m.Plugins[0].Version
			p.w.mu.Unlock()
			p.load(m)
		}
	case link.Named:
		p.w.mu.Lock()
		p.named = m.Plugins[0].Version
		p.w.mu.Unlock()
	case link.Listen:
		p.say(link.Message{Kind: link.Ready})
	case link.Table:
		p.w.mu.Lock()
		takes := p.w.gateTakes
		p.w.mu.Unlock()
		if p.spec.Args == nil && takes > 0 {
			go func() { time.Sleep(takes); p.take(m) }()
		} else {
			p.take(m)
		}
	case link.Ping:
		p.say(link.Message{Kind: link.Pong, Seq: m.Seq, Stats: &link.Stats{}})
	case link.Part:
		p.say(link.Message{Kind: link.Parted})
	case link.Retire, link.Quit:
		if m.Kind == link.Retire {
			p.isNeeded()
		}
		p.say(link.Message{Kind: link.Done})
		p.exit("exit status 0")
	}
	return nil
}

// take puts a table in force.
func (p *process) take(m link.Message) {
	p.w.mu.Lock()
	if m.Version >= p.version {
		if m.Since == 0 {
			p.routes, p.beside = make(map[string]uint64), make(map[string]link.Canary)
		} else if m.Since != p.version {
			p.w.t.Errorf("told what is other than in table %d, it has %d", m.Since, p.version)
		}
		p.version = m.Version
		for _, pattern := range m.Gone {
			delete(p.routes, pattern)
			delete(p.beside, pattern)
		}
		for _, r := range m.Routes {
			p.routes[r.Pattern], p.beside[r.Pattern] = r.Cell, r.Canary
		}
	}
	p.w.mu.Unlock()
	p.say(link.Message{Kind: link.Ack, Version: m.Version})
}

// isNeeded checks that no gate leads to a cell that is to end: what is live serves until
// its successor does.
func (p *process) isNeeded() {
	for _, gate := range p.w.running("gate") {
		p.w.mu.Lock()
		for pattern, cell := range gate.routes {
			if cell == p.cell || gate.beside[pattern].Cell == p.cell {
				p.w.t.Errorf("cell %d is to end, and the gate leads %s to it", cell, pattern)
			}
		}
		p.w.mu.Unlock()
	}
}

// load has a cell do what its contents say.
func (p *process) load(m link.Message) {
	ready := link.Message{Kind: link.Ready}
	for _, plugin := range m.Plugins {
		p.w.mu.Lock()
		c := p.w.stored[plugin.Path]
		p.w.mu.Unlock()
		patterns, how, _ := strings.Cut(c, ";")
		switch {
		case strings.HasPrefix(how, "hangs"):
			return
		case how == "takes 5s":
			time.Sleep(5 * time.Second)
		case how == "wants A" && slices.Contains(p.spec.Env, "A=1"):
		case strings.HasPrefix(how, "refuses"), how == "wants A":
			p.say(link.Message{Kind: link.Refused, Refusal: &refusal.Error{Reason: how}})
			return
		case strings.HasPrefix(how, "dies"):
			p.exit("exit status 2")
			return
		}
		ready.Plugins = append(ready.Plugins, link.Plugin{Name: plugin.Name, Patterns: strings.Fields(patterns)})
	}
	p.say(ready)
}

func (p *process) say(m link.Message) {
	select {
	case <-p.gone:
	case p.says <- m:
	}
}

// exit ends the process by itself.
func (p *process) exit(status string) {
	p.once.Do(func() {
		p.w.mu.Lock()
		p.status = status
		p.w.mu.Unlock()
		close(p.gone)
	})
}

func (p *process) setDeaf() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.deaf = true
}

func (p *process) Recv() (link.Message, error) {
	select {
	case m := <-p.says:
		return m, nil
	default:
	}
	select {
	case m := <-p.says:
		return m, nil
	case <-p.gone:
		return link.Message{}, io.EOF
	}
}

func (p *process) End(grace time.Duration) {
	select {
	case <-p.gone:
	case <-time.After(grace):
		p.Kill()
	}
}

func (p *process) Kill()                           { p.exit("signal: killed") }
func (p *process) SendError() error                { return nil }
func (p *process) Later(func()) bool               { return false }
func (p *process) Lend([]string) error             { return nil }
func (p *process) Said(string)                     {}
func (p *process) Close()                          {}
func (p *process) Exceeded() string                { return "" }
func (p *process) Printed() string                 { return "" }
func (p *process) LastWords() string               { return "" }
func (p *process) Exited() <-chan struct{}         { return nil }
func (p *process) Uses() (u proc.Usage, err error) { return u, nil }
func (p *process) Crash() (transcript.Crash, bool) { return transcript.Crash{}, false }
func (p *process) Status() string {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.status
}

// safeBuffer is written to by many goroutines.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// told is how many lines of the log hold the text.
func (w *world) told(text string) (n int) {
	for line := range strings.Lines(w.log.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}
