// Package states names the states that a handler may be in, and what they are made of:
// versions in processes, and why the newest file is not served. What leads from one to
// the next is lifecycle's.
package states

import (
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/daemon/trusted"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

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
	Newest   Why = iota // it is the handler's newest file
	Again               // it has served before, and is to again
	Back                // and an earlier one than serves now
	ByHand              // which an operator has asked for
	Promoted            // it was the handler's canary
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
	OnChange      Retry = iota // not before it changes
	Soon                       // in a while: it was refused for want of something
	WithCells                  // when there are other cells
	WhenFree                   // when a pattern becomes free
	WithSettings               // when settings are read again: no process can be started on those that there are
	WithTrust                  // when it is trusted again: it must not run
	WithIncumbent              // when the handler whose canary it is serves another version
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
	Held bool // it was given up because an operator has rolled it back, or has withdrawn it
	// Promoted says that a canary was: it is the file of that, or the one whose place it has taken.
	Promoted bool

	File handlerdir.ID // the state of the file that was refused
}

// Contested reports whether the file is tried again when patterns become free.
func (r *Refusal) Contested() bool { return r != nil && r.Patterns != nil }

// ByHand reports whether the newest file is not served because an operator has said
// so: nothing is wrong then.
func (r *Refusal) ByHand() bool { return r != nil && r.Held }

// IsPromoted reports whether it is not because a canary was promoted: nothing is wrong then, either.
func (r *Refusal) IsPromoted() bool { return r != nil && r.Promoted }

// Bars reports whether what has the routes, if anything does, is not of the newest file.
func (r *Refusal) Bars(live *Seat) bool {
	return r != nil && !r.Promoted && live != nil && r.Of != live.Version.Sum
}

// NotServed is the refusal for an error of admission or start, and when the file
// is tried again.
func NotServed(err error, wantsCell bool) (*refusal.Error, Retry) {
	switch {
	case trusted.Untrusted(err):
		return refusal.From(err), WithTrust
	case refusal.Passing(err):
		return refusal.From(err), Soon
	case wantsCell:
		return refusal.From(err), WithCells
	}
	return refusal.From(err), OnChange
}
