// Package watch merges inotify(7) and a poll into one nudge.
// Beside it counts what no look finds out: how often a file was written to.
// It watches a directory and the folders in it, at any depth. A nudge means "look again", at what Changed tells; whatever happened to the
// directory before a nudge is received, looking after it finds. The poll
// alone keeps that promise: inotify only makes it quick.
package watch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// gap is the least time between two nudges.
	gap = 5 * time.Millisecond
	// writeGap is that of nudges for writes to a file whose close is going to nudge, and for what
	// is no handler's:
	// each look takes longer, the more handlers there are.
	writeGap = 50 * time.Millisecond
	// maxChanged bounds the names that Changed returns.
	maxChanged = 1000
)

// Watcher nudges whoever receives from C when a directory may have changed.
type Watcher struct {
	// Skip says which entries of a folder in the directory are not looked at, by
	// name; nil: those that begin with a dot, which in the directory itself are
	// not in any case. It is set before Run.
	Skip func(name string, isDir bool) bool

	dir    string // clean, as fsnotify names it
	poll   time.Duration
	report func(error)
	nudges chan struct{} // capacity 1; never closed
	system system

	mu      sync.Mutex // guards the rest up to writer
	writes  map[string]uint64
	changed map[string]bool         // names in the directory to which something happened since Changed
	unsure  bool                    // there may be others
	writer  atomic.Pointer[writers] // nil where nothing is known

	// Run's own.
	watch   *subscription    // nil while inotify is not at work
	folders folders          // likewise none
	lost    bool             // and that has been reported
	pending bool             // a nudge is due once rest fires
	rest    <-chan time.Time // fires once gap has passed; nil if it has
	later   <-chan time.Time // fires when a nudge for writes is due; nil if none is
}

// New returns a Watcher of dir, which may be missing for now. It nudges every
// poll, which must be positive, whatever else happens. Run calls report when
// inotify is lost, once until it has recovered, and once when it does not watch
// all folders in dir. That dir or a folder is missing or closed to the daemon
// is not a loss: who looks finds out.
func New(dir string, poll time.Duration, report func(error)) *Watcher {
	return &Watcher{
		dir:     filepath.Clean(dir),
		poll:    poll,
		report:  report,
		nudges:  make(chan struct{}, 1),
		system:  realSystem,
		writes:  make(map[string]uint64),
		changed: make(map[string]bool),
		folders: folders{
			ids:   make(map[string]identity),
			paths: make(map[identity]string),
		},
	}
}

// C returns the channel of nudges. It holds one at most, and is never closed.
func (w *Watcher) C() <-chan struct{} { return w.nudges }

// Run watches until ctx is done. The first nudge comes when the watch is set
// up, or is known to fail; the first of a burst comes at once, the others at
// most every 5 ms, and one follows the last event. Writes to a file that stays open
// nudge every 50 ms, and so does what happens to an entry whose name begins with a dot; a file's close nudges at once. Run is called once.
func (w *Watcher) Run(ctx context.Context) {
	ticker := time.NewTicker(w.poll)
	defer ticker.Stop()
	defer w.unsubscribe()

	w.subscribe()
	w.doubt()
	w.nudge()
	for {
		var events <-chan fsnotify.Event
		var errs <-chan error
		var closed <-chan struct{}
		if w.watch != nil {
			events, errs = w.watch.events, w.watch.errors
			if w.watch.writers != nil {
				closed = w.watch.writers.closed
			}
		}
		select {
		case <-ctx.Done():
			return
		case e, ok := <-events:
			w.event(e, ok)
			switch {
			case !w.beingWritten(e) && !w.aside(e):
				w.nudge()
			case w.later == nil:
				w.later = time.After(writeGap)
			}
		case err, ok := <-errs:
			if !ok {
				err = errEnded
			}
			w.failed(err)
			w.doubt()
			w.nudge()
		case <-closed:
			w.nudge()
		case <-ticker.C:
			w.check()
			w.doubt()
			w.nudge()
		case <-w.later:
			w.nudge()
		case <-w.rest:
			w.rest = nil
			if w.pending {
				w.nudge()
			}
		}
	}
}

// Writes counts what was written to the file, or to those in the folder, of that
// name in the directory since Run began. A count of before that differs says
// that somebody wrote meanwhile, be it the same bytes: touch(1) and chmod(1)
// do not. Without inotify it counts nothing. The nudge for a write comes after
// the count. Any goroutine may call it.
func (w *Watcher) Writes(name string) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writes[name]
}

// Writing says what inotify knows of who writes to the file of that name in the
// directory. A nudge follows each change of it. Any goroutine may call it.
func (w *Watcher) Writing(name string) State {
	if writers := w.writer.Load(); writers != nil {
		return writers.writing(name)
	}
	return Unknown
}

// Changed returns the names of those entries of the directory to which anything has happened since
// it was called last, be it in a folder of that name; sure says that these are all. A nudge
// follows what happens later. Any goroutine may call it.
func (w *Watcher) Changed() (names []string, sure bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	names, sure = slices.Collect(maps.Keys(w.changed)), !w.unsure
	clear(w.changed)
	w.unsure = false
	return names, sure
}

// doubt has Changed not be sure.
func (w *Watcher) doubt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unsure = true
}

// count keeps Writes and Changed. A file that has gone is forgotten.
func (w *Watcher) count(e fsnotify.Event) {
	path, err := filepath.Rel(w.dir, e.Name)
	if err != nil {
		w.doubt()
		return
	}
	name, _, deep := strings.Cut(path, "/")
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed[name] = true; name == "." || len(w.changed) > maxChanged {
		w.unsure = true
		clear(w.changed)
	}
	switch {
	case e.Has(fsnotify.Write) || deep && e.Op != fsnotify.Chmod:
		w.writes[name]++
	case e.Has(fsnotify.Remove | fsnotify.Rename):
		delete(w.writes, name)
	}
}

// nudge sends a nudge, now or when the last one is gap ago.
func (w *Watcher) nudge() {
	w.later = nil
	if w.rest != nil {
		w.pending = true
		return
	}
	w.pending = false
	w.rest = time.After(gap)
	select {
	case w.nudges <- struct{}{}:
	default: // the one in there has not been followed yet
	}
}

// beingWritten reports whether an event is a write to a file in the directory that its
// writer has not closed yet.
func (w *Watcher) beingWritten(e fsnotify.Event) bool {
	return e.Op == fsnotify.Write && filepath.Dir(e.Name) == w.dir && w.Writing(filepath.Base(e.Name)) == Open
}

// aside reports whether an event is one of an entry that is no handler's, most often a file on
// its way: it is about to be renamed, and that nudge is not to wait for one of these. A
// handler's link may lead there, so that it nudges in the end.
func (w *Watcher) aside(e fsnotify.Event) bool {
	return filepath.Dir(e.Name) == w.dir && strings.HasPrefix(filepath.Base(e.Name), ".")
}

// event sees to the end of the watch, and to folders that come and go. Of other
// events it is enough that they happened, and to what.
func (w *Watcher) event(e fsnotify.Event, ok bool) {
	switch {
	case !ok:
		w.failed(errEnded)
		w.doubt()
	case e.Name == w.dir && (e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)):
		w.unsubscribe()
		w.subscribe()
		w.doubt()
	default:
		w.count(e)
		w.follow(e)
	}
}

var errEnded = errors.New("inotify ended")

// failed is told what inotify complains of.
func (w *Watcher) failed(err error) {
	switch {
	case errors.Is(err, fsnotify.ErrEventOverflow):
		// The watch goes on, and the nudge that follows makes up for it. What
		// became of the folders nobody knows.
		w.forgetAll()
		w.coverAll()
		w.lose(fmt.Errorf("watch %q: %w; every file is looked at instead", w.dir, err))
	case errors.Is(err, syscall.EINVAL):
		// fsnotify ends the watch of a directory that was moved, but it has
		// been removed since and its watch is gone (inotify_rm_watch(2)).
		w.unsubscribe()
		w.subscribe()
	default:
		w.unsubscribe()
		w.lose(fmt.Errorf("watch %q: %w; the directory is looked at every %v instead", w.dir, err, w.poll))
	}
}

// lose reports err unless a loss was reported and has not been made up for.
func (w *Watcher) lose(err error) {
	if !w.lost {
		w.lost = true
		w.report(err)
	}
}

// check sets the watch up again if it is missing or on a directory that is no
// longer at the path. The rest of the time all is well, again or still.
func (w *Watcher) check() {
	if w.watch != nil {
		id, err := w.system.identify(w.dir)
		if err == nil && id == w.watch.dir {
			w.lost = false
			w.recover()
			return
		}
		w.unsubscribe()
	}
	w.subscribe()
}

func (w *Watcher) unsubscribe() {
	if w.watch != nil {
		w.writer.Store(nil)
		w.watch.close()
		w.watch = nil
		clear(w.folders.ids)
		clear(w.folders.paths)
	}
}

// subscribe sets up a watch on what is at the path now. If it cannot, the next
// poll tries again.
func (w *Watcher) subscribe() {
	watch, err := w.system.subscribe(w.dir)
	if err == nil {
		w.watch, w.lost = watch, false
		w.writer.Store(watch.writers)
		w.coverAll()
		return
	}
	if errors.Is(err, errDirectory) {
		return
	}
	w.lose(fmt.Errorf("watch %q: %w; the directory is looked at every %v instead%s", w.dir, err, w.poll, limitMend(err)))
}

// limitMend says how to raise the limit of inotify that err tells of, if any.
func limitMend(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "; raise fs.inotify.max_user_watches with sysctl"
	case errors.Is(err, syscall.EMFILE):
		return "; raise fs.inotify.max_user_instances with sysctl"
	}
	return ""
}
