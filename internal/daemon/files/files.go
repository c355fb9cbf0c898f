// Package files has the intake do for handlers what concerns files: their newest ones
// are admitted, earlier versions found again, the history saved, and copies deleted
// that nobody needs any more. What comes of it, it tells the handlers.
//
// Its methods are called by one goroutine, the owner's, and never wait.
package files

import (
	"errors"
	"fmt"
	"time"

	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/past"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/sirupsen/logrus"
)

// passingPause is the pause before what failed for want of descriptors or memory
// is tried again.
const passingPause = 100 * time.Millisecond

// rest is how long nobody needs a copy before it is deleted: it is not to be looked for one after each step of a change.
const rest = 100 * time.Millisecond

// Owner is who decides. Its functions are called by its own goroutine, but for Post.
type Owner struct {
	// Has reports whether a handler is still there, and is to be served.
	Has  func(*lifecycle.Handler) bool
	Tell func(*lifecycle.Handler, lifecycle.Event)
	// Ahead starts what a handler is likely to be told that it is admitted, which Expect has announced; Forgo ends that where it
	// was not.
	Expect func()
	Ahead  func(*lifecycle.Handler, intake.Prepared)
	Forgo  func(*lifecycle.Handler)
	// Record is what is known of a handler's past, whether it is still there or not.
	Record func(handler string) store.Record
	// Writes counts what was written to the file of that name.
	Writes func(file string) uint64
	// Needed takes the sums of the versions that may be served now or later out of those of copies.
	Needed func(sums map[string]bool)
	// Post has its goroutine call Handle soon. Any goroutine may call it.
	Post func(Event) bool
}

// Files are those of all handlers.
type Files struct {
	intake *intake.Intake
	owner  Owner
	log    *logrus.Logger

	work      map[*lifecycle.Handler]work
	admitting int           // admissions under way, but for those that
	building  int           // take long
	unsaved   store.Changes // of the history; nil where there are none
	garbage   bool          // the store may hold copies that nobody needs
	ripe      bool          // and does since rest ago
	cleaning  bool          // they are being deleted
}

// work is what is under way for a handler.
type work struct {
	admission *admission  // of its newest file; nil where none is under way
	part      intake.Part // the version that was started last: it need not be inspected again
}

// admission is a file of a handler on its way into the store.
type admission struct {
	*intake.Admission
	handler *lifecycle.Handler
	long    bool // it builds something, and is waited for by nobody
}

// search is for an earlier version, the first of those that is in the store, for a
// seat that waits for it.
type search struct {
	handler *lifecycle.Handler
	seat    *states.Seat
	sums    []string
}

// Event is what the intake has done.
type Event interface{ event() }

type (
	// delayed: an admission takes longer than a moment.
	delayed struct {
		of    *admission
		doing string
	}
	// ahead: the copy is whole, and its sum is still being made.
	ahead struct {
		of   *admission
		with intake.Prepared
	}
	// admitted: an admission has ended.
	admitted struct {
		of  *admission
		got intake.Admitted
	}
	// recalled: a search has ended.
	recalled struct {
		search search
		got    intake.Recalled
	}
	// searchDue: one that could not be made is to be made again.
	searchDue struct{ search search }
	// saved: the history is on disk. There may be garbage now.
	saved struct{}
	// rested: there may be garbage since rest ago.
	rested struct{}
	// cleaned: copies that nobody needs are deleted.
	cleaned struct{}
)

func (delayed) event()   {}
func (ahead) event()     {}
func (admitted) event()  {}
func (recalled) event()  {}
func (searchDue) event() {}
func (saved) event()     {}
func (rested) event()    {}
func (cleaned) event()   {}

// New returns no files.
func New(in *intake.Intake, owner Owner, log *logrus.Logger) *Files {
	return &Files{intake: in, owner: owner, log: log, work: make(map[*lifecycle.Handler]work)}
}

// Handle does what comes of an event.
func (fs *Files) Handle(e Event) {
	switch e := e.(type) {
	case delayed:
		fs.delayed(e.of, e.doing)
	case ahead:
		if fs.work[e.of.handler].admission == e.of {
			fs.owner.Ahead(e.of.handler, e.with)
		} else {
			fs.intake.Unlead(e.with.Parts[0].Version.Path)
		}
	case admitted:
		fs.admitted(e.of, e.got)
	case recalled:
		fs.recalled(e.search, e.got)
	case searchDue:
		if e.search.handler.Next == e.search.seat {
			fs.search(e.search)
		}
	case saved:
	case rested:
		fs.ripe = true
	case cleaned:
		fs.cleaning = false
	default:
		panic(fmt.Sprintf("files: unknown event %T", e))
	}
}

// Admit begins the admission of a handler's newest file.
func (fs *Files) Admit(h *lifecycle.Handler, newest handlerdir.File) {
	a := &admission{handler: h}
	fs.work[h] = work{a, fs.work[h].part}
	fs.admitting++
	asks := intake.Asks{Long: func(doing string) { fs.owner.Post(delayed{a, doing}) }, Newest: past.Newest(h.Record)}
	if h.Of != "" { // it is signed for its incumbent, and may become it: what that has served counts, too
		asks.Newest = past.Newest(h.Record, fs.owner.Record(h.Of))
	}
	if h.Live != nil {
		asks.Live = h.Live.Version.Path
	}
	if !h.HasGivenUp() { // what was is not run again before it is known
		asks.Ahead = func(p intake.Prepared) { fs.owner.Post(ahead{a, p}) }
		fs.owner.Expect()
	}
	a.Admission = fs.intake.Admit(newest, asks, func(got intake.Admitted) { fs.owner.Post(admitted{a, got}) })
}

// Abandon gives up the one that is under way for a handler.
func (fs *Files) Abandon(h *lifecycle.Handler) {
	w := fs.work[h]
	w.admission.Cancel()
	fs.work[h] = work{nil, w.part}
	fs.owner.Forgo(h)
}

// Forget forgets a handler for which nothing is under way.
func (fs *Files) Forget(h *lifecycle.Handler) { delete(fs.work, h) }

// Part is what is known of the version of a handler that was admitted last.
func (fs *Files) Part(h *lifecycle.Handler) intake.Part { return fs.work[h].part }

// Admitting reports whether there is an admission that is over in a moment.
func (fs *Files) Admitting() bool { return fs.admitting > 0 }

func (fs *Files) delayed(a *admission, doing string) {
	if !a.long {
		a.long = true
		fs.admitting--
		fs.building++
	}
	if fs.work[a.handler].admission == a {
		fs.owner.Tell(a.handler, lifecycle.Delayed{Doing: doing})
	}
}

func (fs *Files) admitted(a *admission, got intake.Admitted) {
	if a.long {
		fs.building--
	} else {
		fs.admitting--
	}
	fs.litter()
	h := a.handler
	if fs.work[h].admission != a {
		return // the file has changed or gone meanwhile
	}
	fs.work[h] = work{nil, intake.Part{Handler: h.Name, Version: got.Version, Info: got.Info, Led: got.Led}}
	e := lifecycle.Admitted{
		Version: got.Version,
		Content: past.Content{Sum: got.Version.Sum, Dev: a.File.ID.Dev, Ino: a.File.ID.Ino, Writes: fs.owner.Writes(h.File)},
		Mixed:   got.Mixed,
		Changed: errors.Is(got.Err, handlerdir.ErrChanged),
	}
	if got.Err != nil {
		e.Refusal, e.Retry = states.NotServed(got.Err, got.WantsCell)
	}
	fs.owner.Tell(h, e)
	fs.owner.Forgo(h)
}

// Recall looks for the first of the versions, by their sums, that is in the store, for
// a seat.
func (fs *Files) Recall(h *lifecycle.Handler, seat *states.Seat, sums []string) {
	fs.search(search{h, seat, sums})
}

func (fs *Files) search(s search) {
	fs.intake.Recall(s.handler.Name, s.handler.Record.Find(s.sums...), func(got intake.Recalled) { fs.owner.Post(recalled{s, got}) })
}

func (fs *Files) recalled(s search, got intake.Recalled) {
	switch {
	case !fs.owner.Has(s.handler) || s.handler.Next != s.seat:
		return
	case got.Passing:
		time.AfterFunc(passingPause, func() { fs.owner.Post(searchDue{s}) })
		return
	}
	for _, err := range got.Lost {
		fs.log.WithError(err).WithField("handler", s.handler.Name).Warn("an earlier version cannot be served")
	}
	fs.owner.Tell(s.handler, lifecycle.Recalled{Seat: s.seat, Version: got.Version})
}

// Changed says that a handler's record is to be saved, or is no more where it is nil;
// SaveNow and Turn save it.
func (fs *Files) Changed(handler string, r *store.Record) {
	if fs.unsaved == nil {
		fs.unsaved = make(store.Changes)
	}
	fs.unsaved[handler] = r
	fs.litter()
}

// Left says that the process of a version has ended.
func (fs *Files) Left() { fs.litter() }

// litter says that the store may hold copies that nobody needs.
func (fs *Files) litter() {
	if !fs.garbage {
		fs.garbage = true
		time.AfterFunc(rest, func() { fs.owner.Post(rested{}) })
	}
}

// Turn does what becomes possible after an event: it saves the history, and deletes
// the copies that no cell has and no history names, neither the one on disk.
func (fs *Files) Turn() {
	fs.SaveNow()
	if !fs.ripe || fs.cleaning || fs.admitting+fs.building > 0 || !fs.intake.Saved() {
		return
	}
	fs.garbage, fs.ripe, fs.cleaning = false, false, true
	unneeded := fs.intake.Loose()
	fs.owner.Needed(unneeded)
	fs.intake.Clean(unneeded, func() { fs.owner.Post(cleaned{}) })
}

// SaveNow begins to save the history, if it has changed.
func (fs *Files) SaveNow() {
	if fs.unsaved != nil {
		fs.intake.Save(fs.unsaved, func() { fs.owner.Post(saved{}) })
		fs.unsaved = nil
	}
}

// Sweep deletes the cells that came by themselves, longer than age ago, and that no
// version in the store needs.
func (fs *Files) Sweep(age time.Duration) {
	if fs.admitting+fs.building == 0 {
		fs.intake.Sweep(age)
	}
}
