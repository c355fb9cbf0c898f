package watch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A fake is a system whose inotify does as a test says.
type fake struct {
	events chan fsnotify.Event // made in the bubble
	errors chan error          // likewise

	mu     sync.Mutex
	id     identity
	fail   error // of subscribe
	opened int
	closed int
	tree   map[string]identity // the folders, by path; see folders_test.go
	added  map[string]identity // those that are watched
	refuse map[string]error    // of add, by path
	looks  int                 // at folders and for folders
}

func newFake(fail error) *fake {
	return &fake{fail: fail, tree: make(map[string]identity), added: make(map[string]identity), refuse: make(map[string]error)}
}

// set changes what the directory is and what becomes of the next subscribe.
func (f *fake) set(id identity, fail error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.id, f.fail = id, fail
}

func (f *fake) wantSubscriptions(t *testing.T, opened, closed int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.opened != opened || f.closed != closed {
		t.Errorf("%d subscriptions opened and %d closed, want %d and %d", f.opened, f.closed, opened, closed)
	}
}

func (f *fake) identify(string) (identity, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.id, nil
}

func (f *fake) subscribe(string) (*subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return nil, f.fail
	}
	f.opened++
	return &subscription{dir: f.id, events: f.events, errors: f.errors, add: f.add, remove: f.remove, close: f.close}, nil
}

func (f *fake) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
	clear(f.added)
}

// A run is a Watcher at work on a fake, in a synctest bubble.
type run struct {
	*Watcher
	t       *testing.T
	fake    *fake
	reports []string
}

const poll = 5 * time.Second

// bubble runs a test with a Watcher whose first nudge has been received.
func bubble(t *testing.T, f *fake, test func(*run)) {
	synctest.Test(t, func(t *testing.T) {
		f.events, f.errors = make(chan fsnotify.Event), make(chan error)
		r := &run{t: t, fake: f}
		r.Watcher = New("/h/", poll, func(err error) { r.reports = append(r.reports, err.Error()) })
		r.system = system{identify: f.identify, subscribe: f.subscribe, folder: f.folder, folders: f.folders}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.Run(ctx)
		}()
		r.wantNudge(0)
		time.Sleep(gap)
		test(r)
		cancel()
		<-done
		f.wantSubscriptions(t, f.opened, f.opened)
	})
}

func (r *run) wantNudge(after time.Duration) {
	r.t.Helper()
	start := time.Now()
	<-r.C()
	if got := time.Since(start); got != after {
		r.t.Errorf("nudged after %v, want %v", got, after)
	}
}

func (r *run) wantQuiet(d time.Duration) {
	r.t.Helper()
	start := time.Now()
	select {
	case <-r.C():
		r.t.Errorf("nudged after %v, want none within %v", time.Since(start), d)
	case <-time.After(d):
	}
}

func (r *run) wantReports(want ...string) {
	r.t.Helper()
	synctest.Wait()
	if strings.Join(r.reports, "\n") != strings.Join(want, "\n") {
		r.t.Errorf("reports are\n%s\nwant\n%s", strings.Join(r.reports, "\n"), strings.Join(want, "\n"))
	}
	r.reports = nil
}

func (r *run) write() { r.fake.events <- fsnotify.Event{Name: "/h/a.so", Op: fsnotify.Write} }

func TestNudgeAtOnceThenPaced(t *testing.T) {
	bubble(t, newFake(nil), func(r *run) {
		r.write()
		r.wantNudge(0) // the leading edge
		r.write()
		r.write()
		r.wantNudge(gap)
		r.wantQuiet(time.Second)

		// 100 events in 100 ms make at most a nudge each 5 ms, and one comes
		// after the last event.
		var nudges int
		var last, event time.Time
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-r.C():
					nudges, last = nudges+1, time.Now()
				case <-stop:
					return
				}
			}
		}()
		for range 100 {
			event = time.Now()
			r.write()
			time.Sleep(time.Millisecond)
		}
		time.Sleep(gap)
		close(stop)
		<-stopped
		if nudges < 20 || nudges > 21 {
			t.Errorf("%d nudges in 100 ms, want 20 or 21", nudges)
		}
		if last.Before(event) {
			t.Errorf("the last nudge came %v before the last event", event.Sub(last))
		}
		r.wantReports()
	})
}

// What happens to a file on its way nudges seldom, and does not hold up the nudge for its
// rename.
func TestFileOnItsWay(t *testing.T) {
	bubble(t, newFake(nil), func(r *run) {
		send := func(name string, op fsnotify.Op) { r.fake.events <- fsnotify.Event{Name: "/h/" + name, Op: op} }
		for range 3 {
			send(".new", fsnotify.Create)
			send(".new", fsnotify.Write)
			send(".new", fsnotify.Rename)
			send("a.so", fsnotify.Create)
			r.wantNudge(0)
			r.wantQuiet(2 * gap)
		}
		send(".link", fsnotify.Create) // a handler may be behind it
		r.wantNudge(writeGap)
	})
}

func TestNudgesDoNotPileUp(t *testing.T) {
	bubble(t, newFake(nil), func(r *run) {
		for range 50 {
			r.write()
			time.Sleep(gap)
		}
		r.wantNudge(0)
		r.wantQuiet(time.Second)
	})
}

func TestPollAlone(t *testing.T) {
	f := newFake(syscall.ENOSYS)
	bubble(t, f, func(r *run) {
		r.wantReports(`watch "/h": function not implemented; the directory is looked at every 5s instead`)
		r.wantNudge(poll - gap)
		for range 10 {
			r.wantNudge(poll)
		}
		r.wantReports() // once, however often it is tried

		f.set(identity{}, nil) // recovers
		r.wantNudge(poll)
		r.write()
		r.wantNudge(gap)
		r.wantReports()
	})
}

func TestLossIsReportedOncePerLoss(t *testing.T) {
	f := newFake(nil)
	bubble(t, f, func(r *run) {
		for range 2 {
			f.set(identity{}, syscall.EMFILE)
			r.fake.errors <- syscall.EBADF
			r.wantNudge(0)
			r.wantReports(`watch "/h": bad file descriptor; the directory is looked at every 5s instead`)
			time.Sleep(3 * poll)
			r.wantReports()
			f.set(identity{}, nil)
			time.Sleep(2 * poll)
			<-r.C()
			r.wantReports()
		}

		close(r.fake.events)
		r.wantNudge(0)
		r.wantReports(`watch "/h": inotify ended; the directory is looked at every 5s instead`)
	})
}

func TestLimitsTellTheirMend(t *testing.T) {
	for err, want := range map[error]string{
		syscall.ENOSPC: `watch "/h": no space left on device; the directory is looked at every 5s instead; raise fs.inotify.max_user_watches with sysctl`,
		syscall.EMFILE: `watch "/h": too many open files; the directory is looked at every 5s instead; raise fs.inotify.max_user_instances with sysctl`,
	} {
		bubble(t, newFake(err), func(r *run) { r.wantReports(want) })
	}
}

func TestOverflow(t *testing.T) {
	f := newFake(nil)
	bubble(t, f, func(r *run) {
		const report = `watch "/h": fsnotify: queue or buffer overflow; every file is looked at instead`
		for range 2 {
			r.fake.errors <- fsnotify.ErrEventOverflow
			r.fake.errors <- fsnotify.ErrEventOverflow
			r.wantNudge(0)
			r.wantReports(report)
			r.wantNudge(gap)
			time.Sleep(poll) // all was well for a poll
			r.wantNudge(0)
			time.Sleep(gap)
		}
		f.wantSubscriptions(t, 1, 0) // an overflow does not end it
	})
}

func TestMovedAndRemovedDirectoryIsNoLoss(t *testing.T) {
	f := newFake(nil)
	bubble(t, f, func(r *run) {
		r.fake.errors <- syscall.EINVAL
		r.wantNudge(0)
		r.wantReports()
		f.wantSubscriptions(t, 2, 1)
	})
}

func TestPollNoticesReplacedDirectory(t *testing.T) {
	f := newFake(nil)
	f.set(identity{1, 2}, nil)
	bubble(t, f, func(r *run) {
		r.wantNudge(poll - gap)
		f.set(identity{1, 3}, nil)
		r.wantNudge(poll)
		f.wantSubscriptions(t, 2, 1)
		f.set(identity{}, errDirectory) // gone altogether: not inotify's loss
		r.wantNudge(poll)
		f.wantSubscriptions(t, 2, 2)
		r.wantReports()
	})
}

// real runs a Watcher on a real directory; the first nudge has been received.
func real(t *testing.T, dir string, poll time.Duration) *Watcher {
	t.Helper()
	w := New(dir, poll, func(err error) { t.Errorf("reported: %v", err) })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	await(t, w)
	return w
}

func await(t *testing.T, w *Watcher) {
	t.Helper()
	select {
	case <-w.C():
	case <-time.After(10 * time.Second):
		t.Fatal("no nudge")
	}
}

// change changes the directory and awaits a nudge after which it is settled:
// none is left over for the next change.
func change(t *testing.T, w *Watcher, f func() error) {
	t.Helper()
	if err := f(); err != nil {
		t.Fatal(err)
	}
	await(t, w)
	for {
		select {
		case <-w.C():
		case <-time.After(4 * gap):
			return
		}
	}
}

func TestRealEvents(t *testing.T) {
	dir := t.TempDir()
	w := real(t, dir, time.Hour)
	file, other := filepath.Join(dir, "a.so"), filepath.Join(t.TempDir(), "b")
	for _, f := range []func() error{
		func() error { return os.WriteFile(file, []byte("1"), 0o600) },
		func() error { return os.WriteFile(file, []byte("2"), 0o600) },
		func() error { return os.Chmod(file, 0o644) },
		func() error { return os.Rename(file, other) },
		func() error { return os.Rename(other, file) },
		func() error { return os.Symlink("a.so", filepath.Join(dir, "l.so")) },
		func() error { return os.Remove(file) },
	} {
		change(t, w, f)
	}
}

func TestRealDirectoryRecreated(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "handlers")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	watched := make(chan identity, 100)
	w := New(dir, 20*time.Millisecond, func(err error) { t.Errorf("reported: %v", err) })
	w.system.subscribe = func(dir string) (*subscription, error) {
		s, err := subscribe(dir)
		if err == nil {
			watched <- s.dir
		}
		return s, err
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	wantWatched := func(after string) {
		t.Helper()
		want, err := identify(dir)
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.After(10 * time.Second); ; {
			select {
			case got := <-watched:
				if got == want {
					return
				}
			case <-deadline:
				t.Fatalf("%s: the new directory is not watched", after)
			}
		}
	}
	wantWatched("start")
	aside := filepath.Join(filepath.Dir(dir), "aside")
	for _, tt := range []struct {
		name  string
		empty func() error // takes the directory away
	}{
		// The inode number may well be used again at once.
		{"remove", func() error { return os.Remove(dir) }},
		{"move", func() error { return os.Rename(dir, aside) }},
		{"move and remove", func() error { return errors.Join(os.Remove(aside), os.Rename(dir, aside), os.Remove(aside)) }},
	} {
		if err := errors.Join(tt.empty(), os.Mkdir(dir, 0o700)); err != nil {
			t.Fatal(err)
		}
		wantWatched(tt.name)
	}
	cancel()
	<-done
}

func TestRealPollAlone(t *testing.T) {
	dir := t.TempDir()
	reports := make(chan error, 1)
	w := New(dir, 20*time.Millisecond, func(err error) { reports <- err })
	w.system.subscribe = func(string) (*subscription, error) { return nil, syscall.EMFILE }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	for range 3 {
		await(t, w)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.so"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, w)
	cancel()
	<-done
	if err := <-reports; !errors.Is(err, syscall.EMFILE) {
		t.Errorf("reported %v", err)
	}
}

func TestSubscribeTellsWhoseErrorItIs(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(dir, "missing")} {
		if s, err := subscribe(path); !errors.Is(err, errDirectory) {
			t.Errorf("subscribe(%q) = %v, %v", path, s, err)
		}
	}
}

// What is written counts, and nothing else that happens to a file.
func TestWrites(t *testing.T) {
	dir := t.TempDir()
	w := New(dir, time.Hour, func(err error) { t.Error(err) })
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { defer close(done); w.Run(ctx) }()
	defer func() { cancel(); <-done }()
	<-w.C()
	path, marker := filepath.Join(dir, "a.so"), 0
	// seen returns the count once all that happened before has been seen.
	seen := func() uint64 {
		t.Helper()
		marker++
		name := "marker" + strings.Repeat("x", marker)
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		for w.Writes(name) == 0 {
			<-w.C()
		}
		return w.Writes("a.so")
	}
	write := func() error { return os.WriteFile(path, []byte("content"), 0o600) }
	last := uint64(0)
	for _, step := range []struct {
		what   string
		do     func() error
		writes bool
	}{
		{"create", write, true},
		{"chmod", func() error { return os.Chmod(path, 0o640) }, false},
		{"touch", func() error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			return errors.Join(err, os.Chtimes(path, time.Now(), time.Now()), f.Close())
		}, false},
		{"the same again", write, true},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if n := seen(); (n != last) != step.writes {
			t.Errorf("%s: the count is %d after %d", step.what, n, last)
		} else {
			last = n
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if n := seen(); n != 0 {
		t.Errorf("removed: the count is %d", n)
	}
}
