package lifecycle

import (
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/past"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

// Now is the moment of an event.
type Now struct {
	time.Time
	Writes uint64 // that were seen of the handler's file until now
}

// Event is what happens to a handler. Those of a seat that is not the handler's any
// more change nothing.
type Event interface{ happen(*Handler) }

// What the directory says.
type (
	// FileSettled: the newest file is complete, and not tried yet.
	FileSettled struct {
		Name string // the file's
		ID   handlerdir.ID
	}
	// FileRefused: it can be no handler.
	FileRefused struct {
		Name    string
		ID      handlerdir.ID
		Refusal *refusal.Error
	}
	// FileSeen: it is there, or missed for a moment.
	FileSeen struct{ Missed bool }
	// FileGone: it was removed.
	FileGone struct{}
	// FileOrphaned: the directory was replaced by one without it.
	FileOrphaned struct{}
	// TryAgain: what it was refused for may hold no more.
	TryAgain struct{}
	// FallBack: the directory cannot be read, or takes its time; what was live
	// before may serve.
	FallBack struct{}
)

// What the intake says of its newest file.
type (
	// Delayed: it takes longer than a moment.
	Delayed struct{ Doing string }
	// Admitted: it was copied into the store, or cannot be.
	Admitted struct {
		Version store.Version // zero where there is no copy
		Content past.Content  // of the file; its Sum is the version's
		Mixed   bool          // it may be: see Seat
		Changed bool          // the file has changed meanwhile
		Refusal *refusal.Error
		Retry   states.Retry
	}
	// Recalled: an earlier version was looked for in the store. The zero Version
	// says that none of those wanted is there.
	Recalled struct {
		Seat    *states.Seat
		Version store.Version
	}
)

// What its processes do.
type (
	// IsReady: a seat's plugin is proved, and wants its patterns.
	IsReady struct {
		Seat     *states.Seat
		Patterns []string
		Size     int
	}
	// Granted: it gets them. Seq is the seniority of a handler that has none yet.
	Granted struct {
		Seat *states.Seat
		Seq  int64
	}
	// Denied: it does not.
	Denied struct {
		Seat    *states.Seat
		Refusal *refusal.Error
	}
	// Failed: it did not become ready.
	Failed struct {
		Seat    *states.Seat
		Refusal *refusal.Error
		Retry   states.Retry
	}
	// Died: the process of the live version is gone.
	Died struct {
		Seat  *states.Seat
		How   string
		Lived time.Duration
		// Cut: its link broke for want of memory or descriptors, and it is not to
		// blame. Shared: nobody knows whose fault it was.
		Cut, Shared bool
	}
	// Gathered: a seat in a shared process takes over.
	Gathered struct{ Seat *states.Seat }
	// Renew: what its process was started with is not what is wanted now.
	Renew struct{}
)

// What the clock says, as it was asked to by Wake.
type (
	// RestartDue: the pause before a restart is over.
	RestartDue struct{ pause int }
	// RetryDue: a file that was refused for want of something may be tried again.
	RetryDue struct{ refusal *states.Refusal }
	// HeirsDecided: all that may want its patterns were tried: it may leave.
	HeirsDecided struct{}
)

// What an operator says.
type (
	// RollBack: an earlier version is to take over.
	RollBack struct{ Version store.Version }
	// Hold: it has, and the one before is not to be served by itself.
	Hold struct{ From string }
	// Release: what was given up is to be tried again.
	Release struct{}
	// Stop: the service ends, and nothing is begun any more.
	Stop struct{}
)

// Action is what is to be done for a handler.
type Action interface{ action() }

type (
	// Admit begins the admission of the newest file.
	Admit struct{}
	// Abandon gives up the one that is under way.
	Abandon struct{}
	// Recall looks for the first of the versions, by their sums, that is in the
	// store, for a seat.
	Recall struct {
		Seat *states.Seat
		Sums []string
	}
	// Start starts a seat's version in a process of its own.
	Start struct{ Seat *states.Seat }
	// Drop kills a seat's process: nobody wants it any more.
	Drop struct{ Seat *states.Seat }
	// Claim decides whether a seat gets the patterns that it wants.
	Claim struct{ Seat *states.Seat }
	// Publish puts the handler's routes in force, and tells of it. The process of
	// Old, where there is one, is not needed any more once they are.
	Publish struct {
		What states.Change
		Seat *states.Seat
		Old  *states.Seat
	}
	// Alter puts the routes in force anew: how they lead has changed.
	Alter struct{}
	// Leave says that the handler waits for its heirs.
	Leave struct{}
	// Decided says that the handler was tried: juniors may have waited for what it
	// claims.
	Decided struct{}
	// LookAgain looks at the directory, which has changed.
	LookAgain struct{}
	// Reconsider compares what was seen of the directory with what is there again.
	Reconsider struct{}
	// Save saves the record.
	Save struct{}
	// Forget takes the handler and its record out.
	Forget struct{}
	// Wake hands the event back after a time.
	Wake struct {
		After time.Duration
		Event Event
	}
	// Tell tells operators.
	Tell struct {
		What    states.Notice
		Seat    *states.Seat   // that it is about, or nil
		Refusal *refusal.Error // why, or nil
		Version store.Version  // that was given up
		Text    string
	}
)

func (Admit) action()      {}
func (Abandon) action()    {}
func (Recall) action()     {}
func (Start) action()      {}
func (Drop) action()       {}
func (Claim) action()      {}
func (Publish) action()    {}
func (Alter) action()      {}
func (Leave) action()      {}
func (Decided) action()    {}
func (LookAgain) action()  {}
func (Reconsider) action() {}
func (Save) action()       {}
func (Forget) action()     {}
func (Wake) action()       {}
func (Tell) action()       {}
