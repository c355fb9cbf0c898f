// Package lifecycle decides for one handler: which version of it is to be served,
// when one that died is started again, when it is given up, and what follows. It is
// pure: what happens goes in as an Event, with the time; what is to be done comes
// out as Actions, in their order. Whether a version gets the patterns that it wants
// is between handlers, and not decided here (plan).
//
// A handler stands in four ways at once, each with a few states of its own: what has
// its routes (Standing), where its file is (Presence), what becomes of its newest
// file (Admission), and what is being started to take over (Next, with its Phase).
package lifecycle

import (
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/andrestc/go-plugserver/internal/store"
)

const (
	// restartMin and restartMax bound the pause before a version that died is
	// started again; the first restart comes at once. One that lived for
	// restartReset starts the count anew.
	restartMin   = 100 * time.Millisecond
	restartMax   = 10 * time.Second
	restartReset = time.Minute
	// passingMin and passingMax bound the pause before a file is tried again
	// that was refused for want of memory, descriptors or room.
	passingMin = time.Second
	passingMax = 30 * time.Second
	// livedTime is for how long a version has to serve to be history where the
	// next one was written over it in place: it may have been a part of that.
	livedTime = 10 * time.Second
	// badKept bounds the versions that are remembered as bad.
	badKept = 8
)

// Rules are the operator's for every handler.
type Rules struct {
	Dir         string // the watched directory, as refusals name it
	CrashLimit  int    // crashes within CrashWindow after which a version is given up; 0 = never
	CrashWindow time.Duration
}

// Standing is what has the handler's routes.
type Standing int

const (
	None        Standing = iota // nothing: it has no routes
	Serving                     // Live, which answers
	Dead                        // Live, which has died and is started again
	Quarantined                 // Live, which has died too often and is not
)

// Presence is where the handler's file is.
type Presence int

const (
	Here     Presence = iota
	Missed            // it was not there when last looked at, but may be again in a moment
	Orphaned          // the directory was replaced by one without it: nobody has removed it
	Leaving           // it is gone: what serves does so until its heirs can
)

// Admission is what becomes of the handler's newest file.
type Admission int

const (
	Idle     Admission = iota // it was tried, or waits to be
	Copying                   // it is being admitted
	Building                  // that takes longer than a moment
)

// Phase is how far a seat has come.
type Phase int

const (
	Recalling Phase = iota // its version is being found in the store
	Starting               // its process loads and proves it, or waits for its turn to
	Proved                 // it waits for its patterns
	Live                   // it has the routes
)

// Why is why a version is started.
type Why int

const (
	Newest Why = iota // it is the handler's newest file
	Again             // it has served before, and is to again
	Back              // and an earlier one than serves now
	ByHand            // which an operator has asked for
)

// Seat is one version of the handler in a process.
type Seat struct {
	Version  store.Version // zero while it is Recalling
	Why      Why
	Mixed    bool // it may be: written in place over another version, and not proved to be whole
	Phase    Phase
	ProvedAt time.Time
	Patterns []string // once it is Proved
	Size     int      // of their routes in a message, in bytes
	Place    any      // the owner's: where it runs
}

// Retry is when a refused file is tried again, other than when it changes.
type Retry int

const (
	OnChange  Retry = iota // not before it changes
	Soon                   // in a while: it was refused for want of something
	WithCells              // when there are other cells
	WhenFree               // when a pattern becomes free
)

// Refusal is why the newest file is not served.
type Refusal struct {
	*refusal.Error
	Retry  Retry
	Unread bool // it was refused in the directory, before it was admitted
	// Patterns are those that it wants, or that an earlier version did, where they
	// are another's: it is tried again when they may be free. Size is that of their
	// routes in a message, in bytes.
	Patterns []string
	Size     int
	// Of is the sum of the version that was given up, whatever the newest file is;
	// else empty.
	Of   string
	Held bool // it was given up because an operator has rolled it back

	file handlerdir.ID // the state of the file that was refused
}

// Contested reports whether the file is tried again when patterns become free.
func (r *Refusal) Contested() bool { return r != nil && r.Patterns != nil }

// Handler is what stands, or is to stand, under one name. Its fields are for
// reading: Handle alone changes them.
type Handler struct {
	Name   string
	Record store.Record // its past

	Standing  Standing
	Presence  Presence
	Admission Admission
	Live      *Seat // has the routes; nil where Standing is None
	Next      *Seat // is being started, in a process of its own; nil if nothing is
	Refusal   *Refusal

	File    string        // the newest file's name
	Tried   handlerdir.ID // its state when it was tried last, or is being tried; zero where it is to be tried
	Content Content       // what was admitted last

	Since        time.Time // how it stands
	LeavingSince time.Time
	Wanting      time.Time // since when it wants patterns that others have; zero if it does not
	RolledBack   bool      // an earlier version is live than was
	Restarts     int       // of its versions that died
	Doing        string    // what is being done about its newest file, beyond a moment
	Failure      string    // why the last attempt to start a version again failed

	rules      Rules
	serve      store.Version             // that is to be live: it is the one started again
	atStart    bool                      // its file was there when the daemon started, and is not known yet
	origin     origin                    // of the newest version that was live
	given      map[string]*refusal.Error // why versions were given up, by sum; of those in the record's Bad and Held
	crashes    int                       // in a row
	crashTimes []time.Time               // within the window
	passes     int                       // refusals that passed, in a row
	pause      int                       // the number of the pause before a restart that is under way; 0 if none is
	pauses     int                       // that have begun

	now  Now      // of the event that is being handled
	todo []Action // that come of it
}

// New returns a handler that has nothing yet but its past. atStart says that its
// file was there when the daemon started.
func New(name string, past store.Record, atStart bool, rules Rules, now time.Time) *Handler {
	return &Handler{Name: name, Record: past, atStart: atStart, rules: rules, Since: now}
}

// Undecided reports whether the newest file is still being tried.
func (h *Handler) Undecided() bool {
	return h.Admission != Idle || h.Changing() || h.Tried == handlerdir.ID{}
}

// Changing reports whether a version is being started that does not just replace
// one that died.
func (h *Handler) Changing() bool {
	return h.Next != nil && (h.Next.Why == Newest || h.Standing == None || h.Standing == Serving)
}

// IsProved reports whether a version is proved and waits for its patterns.
func (h *Handler) IsProved() bool { return h.Next != nil && h.Next.Phase == Proved }

// Serves reports whether requests are answered, by whatever version.
func (h *Handler) Serves() bool { return h.Standing == Serving }

// Earlier reports whether the version that has the routes is not the one of the
// newest file.
func (h *Handler) Earlier() bool {
	return h.Live != nil && h.Refusal != nil && h.Refusal.Of != h.Live.Version.Sum
}

// Held reports whether the newest file is not served because an operator has said
// so: nothing is wrong then.
func (h *Handler) Held() bool { return h.Refusal != nil && h.Refusal.Held }

// IsBad reports whether a version has crashed too often.
func (h *Handler) IsBad(sum string) bool { return slices.Contains(h.Record.Bad, sum) }

// GivenUp reports whether a version is not to be served by itself: it crashed
// too often, or an operator has rolled it back.
func (h *Handler) GivenUp(sum string) bool { return h.IsBad(sum) || h.Record.Held == sum }

// State is how a handler stands, in one word.
type State int

const (
	StateStarting State = iota
	StateRefused
	StateLive
	StateRolledBack
	StateCrashed
	StateQuarantined
)

// State returns it.
func (h *Handler) State() State {
	switch h.Standing {
	case Quarantined:
		return StateQuarantined
	case Dead:
		return StateCrashed
	case Serving:
		if h.RolledBack {
			return StateRolledBack
		}
		return StateLive
	case None:
		if h.Refusal != nil {
			return StateRefused
		}
	}
	return StateStarting
}
