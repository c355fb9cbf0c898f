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
	"time"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/daemon/backoff"
	"github.com/andrestc/go-plugserver/internal/daemon/past"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

// Rules are the operator's for every handler.
type Rules struct {
	Dir         string // the watched directory, as refusals name it
	CrashLimit  int    // crashes within CrashWindow after which a version is given up; 0 = never
	CrashWindow time.Duration
}

// Handler is what stands, or is to stand, under one name. Its fields are for
// reading: Handle alone changes them.
type Handler struct {
	Name string
	Of   string // the handler whose canary it is; "" of any other
	past.Past

	Standing  states.Standing
	Presence  states.Presence
	Admission states.Admission
	Live      *states.Seat // has the routes; nil where Standing is None
	Next      *states.Seat // is being started, in a process of its own; nil if nothing is
	Refusal   *states.Refusal

	File  string        // the newest file's name
	Tried handlerdir.ID // its state when it was tried last, or is being tried; zero where it is to be tried

	Since        time.Time // how it stands
	LeavingSince time.Time
	Wanting      time.Time // since when it wants patterns that others have; zero if it does not
	RolledBack   bool      // an earlier version is live than was
	Restarts     int       // of its versions that died
	Doing        string    // what is being done about its newest file, beyond a moment
	Failure      string    // why the last attempt to start a version again failed

	rules    Rules
	last     handlerdir.ID // Tried, where that is not to be tried again
	lay      bool          // its newest file: something else than its change has it tried
	serve    store.Version // that is to be live: it is the one started again
	restarts backoff.Restarts
	retries  backoff.Retries // of its newest file

	now  Now      // of the event that is being handled
	todo []Action // that come of it
}

// New returns a handler that has nothing yet but its past. atStart says that its
// file was there when the daemon started.
func New(name string, record store.Record, atStart bool, rules Rules, now time.Time) *Handler {
	return &Handler{Name: name, Of: canary.Of(name), Past: past.New(record, atStart), rules: rules, Since: now}
}

// Enabled says that something else than a change of its newest file has that tried.
func (h *Handler) Enabled() { h.lay = true }

// Changed is when the newest file was changed last; zero where something else has had it tried.
func (h *Handler) Changed() time.Time {
	if h.lay || h.Tried.Ctime == 0 {
		return time.Time{}
	}
	return time.Unix(0, h.Tried.Ctime)
}

// Undecided reports whether the newest file is still being tried.
func (h *Handler) Undecided() bool {
	return h.Admission != states.Idle || h.Changing() || h.Tried == handlerdir.ID{}
}

// Changing reports whether a version is being started that does not just replace
// one that died.
func (h *Handler) Changing() bool {
	return h.Next != nil && (h.Next.Why == states.Newest || h.Standing == states.None || h.Standing == states.Serving)
}

// IsProved reports whether a version is proved and waits for its patterns.
func (h *Handler) IsProved() bool { return h.Next != nil && h.Next.Phase == states.Proved }

// Serves reports whether requests are answered, by whatever version.
func (h *Handler) Serves() bool { return h.Standing == states.Serving }

// Target is past.Past's.
func (h *Handler) Target(version string) (string, error) {
	live := ""
	if h.Live != nil {
		live = h.Live.Version.Sum
	}
	return h.Past.Target(h.Name, version, live, h.Serves())
}
