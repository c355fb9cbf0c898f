package lifecycle

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/andrestc/go-plugserver/internal/store"
)

// Handle takes an event and returns what is to be done, in its order.
func (h *Handler) Handle(now Now, e Event) []Action {
	h.now, h.todo = now, nil
	if !h.onDirectory(e) && !h.onIntake(e) && !h.onProcess(e) && !h.onClock(e) && !h.onOperator(e) {
		panic(fmt.Sprintf("lifecycle: unknown event %T", e))
	}
	return h.todo
}

// onDirectory handles what the directory says, and reports whether e is that.
func (h *Handler) onDirectory(e Event) bool {
	switch e := e.(type) {
	case FileSettled:
		h.abandon()
		h.File, h.Tried, h.Admission = e.Name, e.ID, Copying
		h.do(Admit{})
	case FileRefused:
		h.File, h.Tried = e.Name, e.ID
		h.refuse(Refusal{Error: e.Refusal, Unread: true})
	case FileSeen:
		h.seen(e.Missed)
	case FileGone:
		h.fileGone()
	case FileOrphaned:
		if h.Live != nil && h.Presence != Leaving {
			h.Presence = Orphaned
		}
	case TryAgain:
		h.tryAgain()
	case FallBack:
		if h.Live == nil && h.Next == nil {
			h.fallBack()
		}
	default:
		return false
	}
	return true
}

// onIntake handles what the intake says.
func (h *Handler) onIntake(e Event) bool {
	switch e := e.(type) {
	case Delayed:
		h.delayed(e.Doing)
	case Admitted:
		h.admitted(e)
	case Recalled:
		if h.Next == e.Seat && e.Seat.Phase == Recalling {
			h.recalled(e.Version)
		}
	default:
		return false
	}
	return true
}

// onProcess handles what the processes do.
func (h *Handler) onProcess(e Event) bool {
	switch e := e.(type) {
	case IsReady:
		if h.Next == e.Seat && e.Seat.Phase == Starting {
			e.Seat.Phase, e.Seat.ProvedAt, e.Seat.Patterns, e.Seat.Size = Proved, h.now.Time, e.Patterns, e.Size
			if h.Wanting.IsZero() {
				h.Wanting = h.now.Time
			}
			h.do(Claim{e.Seat})
		}
	case Granted:
		if h.Next == e.Seat && e.Seat.Phase == Proved {
			h.promote(e.Seat, e.Seq)
		}
	case Denied:
		if h.Next == e.Seat && e.Seat.Phase == Proved {
			h.denied(e.Seat, e.Refusal)
		}
	case Failed:
		if h.Next == e.Seat {
			h.failed(e.Seat, Refusal{Error: e.Refusal, Retry: e.Retry})
		}
	case Died:
		if h.Live == e.Seat && h.Standing == Serving {
			h.died(e)
		}
	case Gathered:
		if h.Next == nil && (h.Standing == Serving || h.Standing == Dead) {
			old := h.Live
			h.Live, h.Standing, e.Seat.Phase = e.Seat, Serving, Live
			h.do(Publish{GatheredIn, e.Seat, old})
		}
	case Renew:
		if h.Standing == Serving && h.Next == nil && h.Presence != Leaving {
			h.startAgain(Again)
		}
	default:
		return false
	}
	return true
}

// onClock handles what was asked for with Wake.
func (h *Handler) onClock(e Event) bool {
	switch e := e.(type) {
	case RestartDue:
		if e.pause == h.pause && h.pause != 0 {
			h.pause = 0
			if h.Next == nil && h.Standing != Serving {
				h.startAgain(Again)
			}
		}
	case RetryDue:
		switch {
		case e.refusal == nil || h.Refusal != e.refusal:
		case h.Next != nil || h.Admission != Idle:
			h.do(Wake{passingMin, e}) // not beside what is under way, and not forgotten for it
		default:
			h.tryAgain()
		}
	case HeirsDecided:
		if h.Presence == Leaving {
			h.do(Forget{})
			h.dropNext()
			h.do(Publish{Retired, h.Live, h.Live})
		}
	default:
		return false
	}
	return true
}

// onOperator handles what an operator says.
func (h *Handler) onOperator(e Event) bool {
	switch e := e.(type) {
	case RollBack:
		h.pause = 0
		h.dropNext()
		h.serve, h.Failure = e.Version, ""
		h.startAgain(ByHand)
	case Hold:
		h.hold(e.From)
	case Release:
		h.release()
	case Stop:
		h.pause = 0
		h.abandon()
	default:
		return false
	}
	return true
}

func (h *Handler) do(a Action) { h.todo = append(h.todo, a) }

// tryAgain has the newest file tried again as soon as it was looked at.
func (h *Handler) tryAgain() {
	h.Tried = handlerdir.ID{}
	h.do(Reconsider{})
}

// abandon ends the admission that is under way; its outcome counts for nothing.
func (h *Handler) abandon() {
	if h.Admission != Idle {
		h.Admission, h.Doing = Idle, ""
		h.do(Abandon{})
	}
}

// dropNext gives up what is being started.
func (h *Handler) dropNext() {
	if h.Next != nil {
		h.do(Drop{h.Next})
		h.Next = nil
	}
}

// decided is called when the newest file was tried: juniors may wait for what it
// claims, and a version that died may wait for the outcome to be started again.
func (h *Handler) decided() {
	if h.Standing == Dead && h.Next == nil && h.pause == 0 {
		h.comeBack()
	}
	h.do(Decided{})
}

// comeBack has a handler that died served again: by the version that did, unless it
// was given up, and what was to take its place did not.
func (h *Handler) comeBack() {
	switch {
	case !h.IsBad(h.serve.Sum):
		h.restartLater()
	case h.Presence == Leaving:
	case !h.fallBack():
		h.quarantine()
	}
}

func (h *Handler) seen(missed bool) {
	was := h.Presence
	h.Presence = Here
	if missed {
		h.Presence = Missed
		if was == Leaving {
			h.Presence = Leaving // until it is there again
		}
		return
	}
	if was == Leaving {
		h.LeavingSince = time.Time{}
		h.tryAgain() // what was under way for it was given up
		h.decided()
	}
}

// fileGone begins the end of a handler whose file is gone.
func (h *Handler) fileGone() {
	h.abandon()
	h.dropNext()
	h.pause = 0
	switch {
	case h.Live == nil:
		h.do(Forget{})
		h.do(Tell{What: NoticeGone})
		h.do(Decided{})
	case h.Presence != Leaving:
		h.Presence, h.LeavingSince = Leaving, h.now.Time
		h.do(Leave{})
	}
}

// refuse records why the newest file is not served; the version that serves goes
// on.
func (h *Handler) refuse(r Refusal) {
	h.abandon()
	h.dropNext()
	r.file = h.Tried
	if strings.HasSuffix(h.File, ".so") && handlerdir.ValidName(h.Name) {
		r.Error = r.Named(path.Join(h.rules.Dir, h.File))
	}
	known := h.Refusal != nil && h.Refusal.Reason == r.Reason
	// It was tried once more, in vain; or what is refused for its name, or for
	// whose it is, is still being written.
	again := known && (h.Refusal.file == r.file || h.Refusal.Unread && r.Unread && h.Refusal.file.Dev == r.file.Dev && h.Refusal.file.Ino == r.file.Ino)
	h.Refusal = &r
	if r.Retry == Soon {
		h.do(Wake{min(passingMin<<min(h.passes, 20), passingMax), RetryDue{&r}})
		h.passes++
		if known {
			h.decided()
			return
		}
	}
	switch {
	case again:
	case r.Held:
		h.do(Tell{What: NoticeHeld, Refusal: r.Error})
	default:
		h.do(Tell{What: NoticeRefused, Refusal: r.Error, Seat: h.serving()})
	}
	if h.Live == nil {
		if !again {
			h.Since = h.now.Time
		}
		h.fallBack() // to what the daemon before had live
	}
	h.decided()
}

// serving is the seat that answers requests, nil if none does.
func (h *Handler) serving() *Seat {
	if h.Standing == Serving {
		return h.Live
	}
	return nil
}

// delayed is told that an admission takes longer than a moment. Meanwhile what
// served before serves, after a start of the daemon too.
func (h *Handler) delayed(doing string) {
	if h.Admission == Idle {
		return
	}
	h.Admission, h.Doing = Building, doing
	h.do(Tell{What: NoticeDoing, Text: doing})
	if h.Live == nil && h.Next == nil {
		h.fallBack()
	}
}

// admitted begins to prove an admitted version.
func (h *Handler) admitted(e Admitted) {
	if h.Admission == Idle {
		return
	}
	h.Admission, h.Doing = Idle, ""
	switch {
	case e.Changed:
		h.Tried = handlerdir.ID{}
		h.do(LookAgain{})
	case e.Version.Sum != "" && !h.asked(e.Content) && h.GivenUp(e.Version.Sum):
		h.staysGivenUp(e.Version)
	case e.Refusal != nil:
		h.atStart = h.atStart && e.Retry == Soon // what it was is known
		h.refuse(Refusal{Error: e.Refusal, Retry: e.Retry})
	case h.Live != nil && h.Live.Version.Sum == e.Version.Sum:
		// The live version again: touched, or copied back.
		h.dropNext()
		h.Refusal, h.RolledBack = nil, false
		if h.Standing == Quarantined {
			h.Standing = Dead
			h.do(Alter{}) // its requests wait again
		}
		h.decided()
	default:
		h.dropNext()
		h.Next = &Seat{Version: e.Version, Why: Newest, Mixed: e.Mixed, Phase: Starting}
		h.do(Start{h.Next})
	}
}

// staysGivenUp is called when the content of the handler's file is one that was
// given up, and nobody has asked for it anew: the mode of the file may have
// changed, or the daemon was started.
func (h *Handler) staysGivenUp(v store.Version) {
	r := Refusal{Error: h.given[v.Sum], Of: v.Sum, Held: h.Record.Held == v.Sum}
	switch {
	case r.Error != nil:
	case r.Held:
		r.Error = refusal.RolledBack(h.Name, v.Short())
	default:
		r.Error = refusal.Crashed(h.Name, v.Short(), h.rules.CrashLimit, h.rules.CrashWindow, "see the log of that time")
	}
	h.RolledBack = h.Live == nil || h.Live.Version.Sum != v.Sum
	if h.Next != nil && h.Next.Why != Newest || h.Refusal != nil && h.Refusal.Reason == r.Reason {
		h.Refusal = &r // an earlier version serves, or will
		h.decided()
		return
	}
	h.refuse(r)
}
