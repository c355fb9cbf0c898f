package spare

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/belongings"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/between/sandbox"
)

// fake is a process that answers, unless it was stopped.
type fake struct {
	Process
	pid     int
	spec    proc.Spec
	says    chan link.Message
	exited  chan struct{}
	kill    sync.Once
	stopped bool
	slow    bool // it answers when it is killed, and that takes its time
	killed  atomic.Bool
	lent    []string
	unlent  error // why nothing is lent to it
}

func (f *fake) Lend(paths []string) error { f.lent = paths; return f.unlent }

func (f *fake) PID() int { return f.pid }
func (f *fake) Send(m link.Message) error {
	if !f.stopped && (!f.slow || f.killed.Load()) && m.Kind == link.Ping {
		f.says <- link.Message{Kind: link.Pong}
	}
	return nil
}
func (f *fake) Recv() (link.Message, error) {
	select {
	case m := <-f.says:
		return m, nil
	case <-f.exited:
		return link.Message{}, errors.New("gone")
	}
}
func (f *fake) Kill() {
	f.kill.Do(func() {
		if f.slow {
			f.killed.Store(true)
			f.says <- link.Message{Kind: link.Pong}
		} else {
			close(f.exited)
		}
	})
}
func (f *fake) End(time.Duration) {
	if f.slow {
		close(f.exited)
	}
	<-f.exited
}
func (f *fake) Exited() <-chan struct{} { return f.exited }
func (f *fake) Close()                  {}

// world starts fakes.
type world struct {
	*Pool
	mu      sync.Mutex
	started []*fake
	news    chan struct{}
	unfit   []error

	upgraded atomic.Int64 // the last PID that runs libraries of before
}

func newWorld() *world {
	w := &world{news: make(chan struct{}, 100)}
	w.Pool = New(func(spec proc.Spec) (Process, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		f := &fake{pid: len(w.started) + 1, spec: spec, says: make(chan link.Message, 8), exited: make(chan struct{})}
		w.started = append(w.started, f)
		return f, nil
	}, func() { w.news <- struct{}{} }, func(err error) { w.unfit = append(w.unfit, err) })
	w.old = func(pid int) bool { return w.upgraded.Load() >= int64(pid) } // its PIDs are others' here
	return w
}

// await waits until the spares are those.
func (w *world) await(t *testing.T, pids ...int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !slices.Equal(w.PIDs(), pids); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the spares are %v, want %v", w.PIDs(), pids)
		}
	}
}

func (w *world) start(t *testing.T, spec proc.Spec) *fake {
	t.Helper()
	p, err := w.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*fake)
}

func binary(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "cell")
	if err := os.WriteFile(path, []byte("1"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// A spare comes once one was asked for, and is handed out where nothing tells it from a new
// process: what it has printed goes to whoever has it.
func TestHandOut(t *testing.T) {
	w, path := newWorld(), binary(t)
	defer w.Close()
	if f := w.start(t, proc.Spec{Path: path, Args: []string{"a"}}); f.pid != 1 || !slices.Equal(f.spec.Args, []string{"a"}) {
		t.Errorf("%+v", f.spec)
	}
	w.await(t, 2)
	w.started[1].spec.Output("stderr", "early")
	var printed []string
	f := w.start(t, proc.Spec{Path: path, Args: []string{"b"}, Output: func(stream, line string) { printed = append(printed, stream+": "+line) }})
	f.spec.Output("stdout", "late")
	if f.pid != 2 || !slices.Equal(printed, []string{"stderr: early", "stdout: late"}) {
		t.Errorf("process %d printed %q", f.pid, printed)
	}
	w.await(t, 3)
}

// No credential lies with who waits.
func TestBelongings(t *testing.T) {
	w := newWorld()
	defer w.Close()
	own := proc.Spec{Path: binary(t), Belongings: belongings.Belongings{Credentials: []belongings.Credential{{Name: "a", Content: "b"}}}}
	for pid := range 2 {
		if f := w.start(t, own); f.pid != pid+1 {
			t.Errorf("process %d", f.pid)
		}
	}
	w.start(t, proc.Spec{Path: own.Path})
	w.await(t, 4) // of that alone
}

// What differs in anything is started anew, and so is what has another binary by now.
func TestOthersStartAnew(t *testing.T) {
	path := binary(t)
	plain := proc.Spec{Path: path, Env: []string{"A=1", "B=2"}}
	for name, spec := range map[string]proc.Spec{
		"environment": {Path: path, Env: []string{"A=1", "B=3"}},
		"order":       {Path: path, Env: []string{"B=2", "A=1"}},
		"memory":      {Path: path, Env: plain.Env, Limits: proc.Limits{Memory: 1 << 30}},
		"descriptors": {Path: path, Env: plain.Env, Limits: proc.Limits{Descriptors: 100}},
		"folder":      {Path: path, Env: plain.Env, Dir: "/"},
		"binary":      {Path: binary(t), Env: plain.Env},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			defer w.Close()
			w.start(t, plain)
			w.await(t, 2)
			if f := w.start(t, spec); f.pid != 3 {
				t.Errorf("process %d", f.pid)
			}
			w.await(t, 2, 4)
		})
	}
	t.Run("replaced", func(t *testing.T) {
		w := newWorld()
		defer w.Close()
		w.start(t, plain)
		w.await(t, 2)
		if err := os.WriteFile(path, []byte("22"), 0o700); err != nil {
			t.Fatal(err)
		}
		if f := w.start(t, plain); f.pid != 3 {
			t.Errorf("process %d runs the old binary", f.pid)
		}
		w.await(t, 4)
		<-w.started[1].exited
	})
}

// What runs libraries of before an upgrade is nobody's: neither handed out, nor kept.
func TestReplacedLibraries(t *testing.T) {
	w, spec := newWorld(), proc.Spec{Path: binary(t)}
	defer w.Close()
	w.start(t, spec)
	w.await(t, 2)
	w.upgraded.Store(2)
	if f := w.start(t, spec); f.pid != 3 {
		t.Errorf("process %d runs the old libraries", f.pid)
	}
	w.await(t, 4)
	w.upgraded.Store(4)
	w.start(t, proc.Spec{Path: spec.Path, Env: []string{"A=1"}})
	w.await(t, 6, 7)
	<-w.started[3].exited
}

// Who asks what there is waits for no disk.
func TestLooksUnlocked(t *testing.T) {
	w, path := newWorld(), binary(t)
	defer w.Close()
	var states, olds atomic.Int64
	free := func(looks *atomic.Int64) {
		looks.Add(1)
		asked := make(chan struct{})
		go func() {
			w.PIDs()
			w.Empty()
			close(asked)
		}()
		select {
		case <-asked:
		case <-time.After(5 * time.Second):
			t.Error("whoever asks waits while files are looked at")
		}
	}
	state, old := w.state, w.old
	w.state = func(s proc.Spec) string { free(&states); return state(s) }
	w.old = func(pid int) bool { free(&olds); return old(pid) }
	w.start(t, proc.Spec{Path: path})
	w.await(t, 2)
	w.start(t, proc.Spec{Path: path, Env: []string{"A=1"}})
	w.await(t, 2, 4)
	if states.Load() < 5 || olds.Load() < 1 {
		t.Errorf("files were looked at %d times, and maps %d times", states.Load(), olds.Load())
	}
}

// What was looked at just now is not asked again, but where it has died since.
func TestExpect(t *testing.T) {
	w, spec := newWorld(), proc.Spec{Path: binary(t)}
	defer w.Close()
	w.start(t, spec)
	for _, pid := range []int{2, 3} {
		w.await(t, pid)
		w.Expect()
		s := w.spares[0]
		for asked := false; !asked; time.Sleep(time.Millisecond) {
			s.asked.Lock()
			asked = !s.sound.IsZero()
			s.sound = time.Now().Add(time.Hour) // however busy the machine is
			s.asked.Unlock()
		}
		w.started[pid-1].stopped = true
		if pid == 3 {
			w.started[2].Kill()
		}
		if f := w.start(t, spec); f.pid != map[int]int{2: 2, 3: 4}[pid] {
			t.Errorf("process %d", f.pid)
		}
	}
	w.await(t, 5)
	late := w.spares[0]
	handed := w.start(t, spec)
	late.sound = time.Time{}
	handed.says <- link.Message{Kind: link.Ready}
	w.expected(late) // who was to look comes when it is a handler's
	if len(handed.says) != 1 {
		t.Error("what a handler's says was heard by another")
	}
	w.await(t, 6)
	w.upgraded.Store(6)
	w.Expect()
	if f := w.start(t, spec); f.pid != 7 {
		t.Errorf("process %d runs the old libraries", f.pid)
	}
}

// One that has died, or does not answer, is no handler's.
func TestBadSpares(t *testing.T) {
	w, spec := newWorld(), proc.Spec{Path: binary(t)}
	defer w.Close()
	w.start(t, spec)
	w.await(t, 2)
	w.started[1].Kill()
	w.await(t)
	if f := w.start(t, spec); f.pid != 3 {
		t.Errorf("process %d", f.pid)
	}
	w.await(t, 4)
	w.started[3].stopped = true
	if f := w.start(t, spec); f.pid != 5 {
		t.Errorf("process %d", f.pid)
	}
	<-w.started[3].exited
	w.await(t, 6)
	w.started[5].slow = true
	w.expected(w.spares[0])
	if f := w.start(t, spec); f.pid != 7 {
		t.Errorf("process %d, which was killed for its silence", f.pid)
	}
}

// One in a sandbox is lent what it is to open, which tells no process from another; the rules do, and what
// they were made of.
func TestSandboxed(t *testing.T) {
	w, path, dir := newWorld(), binary(t), t.TempDir()
	defer w.Close()
	rules := sandbox.Rules{Hide: []string{filepath.Join(dir, "hidden")}, Shelf: dir}
	in := func(r sandbox.Rules, opens string) proc.Spec {
		return proc.Spec{Path: path, Sandbox: &r, Opens: []string{opens}}
	}
	if f := w.start(t, in(rules, "/a")); f.spec.Ahead || !slices.Equal(f.spec.Opens, []string{"/a"}) {
		t.Errorf("%+v", f.spec)
	}
	w.await(t, 2)
	if f := w.started[1]; !f.spec.Ahead || f.spec.Opens != nil || f.spec.Sandbox == nil {
		t.Errorf("%+v", f.spec)
	}
	if f := w.start(t, in(rules, "/b")); f.pid != 2 || !slices.Equal(f.lent, []string{"/b"}) {
		t.Errorf("process %d, lent %q", f.pid, f.lent)
	}
	w.await(t, 3)
	w.started[2].unlent = errors.New("no room")
	if f := w.start(t, in(rules, "/c")); f.pid != 4 || !slices.Equal(f.spec.Opens, []string{"/c"}) || len(w.unfit) != 1 {
		t.Errorf("process %d opens %q; told: %v", f.pid, f.spec.Opens, w.unfit)
	}
	<-w.started[2].exited
	w.await(t, 5)
	more := rules
	more.Write = []string{dir}
	if f := w.start(t, in(more, "/d")); f.pid != 6 {
		t.Errorf("process %d has other rules", f.pid)
	}
	w.await(t, 5, 7)
	if err := os.Mkdir(filepath.Join(dir, "later"), 0o700); err != nil {
		t.Fatal(err)
	}
	if f := w.start(t, in(rules, "/e")); f.pid != 8 {
		t.Errorf("process %d does not know what was made since", f.pid)
	}
	w.await(t, 9)
	<-w.started[4].exited
	rules.Shelf = ""
	if wayOf(in(rules, "/f")) != "" {
		t.Error("one waits that nothing can be lent to")
	}
}

// There are as many as were asked for last, and none once the pool is closed.
func TestBounds(t *testing.T) {
	w := newWorld()
	for range most + 1 {
		w.start(t, proc.Spec{Path: binary(t)})
	}
	for len(w.PIDs()) < most {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(2 * calm)
	if n := len(w.PIDs()); n != most {
		t.Errorf("there are %d", n)
	}
	if w.Empty() {
		t.Error("it is empty")
	}
	w.Close()
	for !w.Empty() {
		<-w.news
	}
	if pids := w.PIDs(); len(pids) > 0 {
		t.Errorf("there are %v", pids)
	}
	if w.start(t, proc.Spec{Path: binary(t)}); !w.Empty() {
		t.Error("there are spares of a closed pool")
	}
}
