package lifecycle

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/andrestc/go-plugserver/internal/store"
)

// Handle takes an event and returns what is to be done, in its order.
func (h *Handler) Handle(now Now, e Event) []Action {
	h.now, h.todo = now, nil
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
	case Delayed:
		h.delayed(e.Doing)
	case Admitted:
		h.admitted(e)
	case Recalled:
		if h.Next == e.Seat && e.Seat.Phase == Recalling {
			h.recalled(e.Version)
		}
	case IsReady:
		if h.Next == e.Seat && e.Seat.Phase == Starting {
			e.Seat.Phase, e.Seat.ProvedAt, e.Seat.Patterns, e.Seat.Size = Proved, now.Time, e.Patterns, e.Size
			if h.Wanting.IsZero() {
				h.Wanting = now.Time
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
		panic(fmt.Sprintf("lifecycle: unknown event %T", e))
	}
	return h.todo
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

// promote makes a proved seat the one that has the routes.
func (h *Handler) promote(st *Seat, seq int64) {
	old := h.Live
	h.Live, h.Next, h.serve, h.Standing = st, nil, st.Version, Serving
	h.Wanting, h.Since, st.Phase = time.Time{}, h.now.Time, Live
	what := LiveAgain
	switch st.Why {
	case Back, ByHand:
		h.RolledBack = true
		what = RolledBack
	case Again:
	case Newest:
		h.Refusal, h.crashes, h.crashTimes, h.passes = nil, 0, nil, 0
		h.RolledBack = false
		h.Record.Held = ""
		what = WentLive
	}
	h.do(Publish{what, st, old})
	h.served(seq)
	h.decided()
}

// denied is called when a proved seat is not granted its patterns.
func (h *Handler) denied(st *Seat, r *refusal.Error) {
	if st.Why == Newest {
		h.refuse(Refusal{Error: r, Retry: WhenFree, Patterns: st.Patterns, Size: st.Size})
		return
	}
	// It has served before: others have taken them since.
	h.do(Tell{What: NoticeNotServed, Seat: st, Refusal: r})
	h.dropNext()
	switch {
	case h.Live != nil:
		h.restartLater()
	case h.Refusal != nil:
		// It is tried again when its patterns become free.
		h.Refusal.Patterns, h.Refusal.Size = st.Patterns, st.Size
	}
}

// failed is called when a seat did not become ready.
func (h *Handler) failed(st *Seat, r Refusal) {
	h.dropNext()
	if st.Why == Newest {
		h.refuse(r)
		return
	}
	h.do(Tell{What: NoticeNotRestarted, Seat: st, Refusal: r.Error})
	h.Failure = r.Reason
	switch {
	case h.Standing == Serving:
		h.serve = h.Live.Version // which is as well as before
		h.decided()
	case r.Retry == WithCells && h.Live == nil:
		h.decided() // it comes when there is a cell for it
	case r.Retry == Soon, r.Retry == WithCells:
		h.restartLater()
	default:
		h.failedAgain(r.Reason)
	}
}

// died is called when the version that has the routes has died. Its requests wait
// at the gate.
func (h *Handler) died(e Died) {
	h.Standing = Dead
	if h.Presence == Leaving {
		h.Since = h.now.Time
		return // its requests wait for its heir
	}
	h.Since = h.now.Time
	if e.Shared {
		h.Restarts++
		if h.Next == nil {
			h.startAgain(Again)
		}
		return
	}
	if e.Lived > restartReset {
		h.crashes = 0
	}
	if e.Cut {
		h.restartLater()
		return
	}
	h.failedAgain(e.How)
}

// failedAgain is called when the version that is to be live has died, or has
// not started again. It is started again, until it has failed too often: then
// an earlier version takes over, and where there is none the handler is
// quarantined.
func (h *Handler) failedAgain(how string) {
	if h.Presence == Leaving {
		return
	}
	if h.rules.CrashLimit > 0 {
		h.crashTimes = slices.DeleteFunc(h.crashTimes, func(t time.Time) bool { return h.now.Sub(t) > h.rules.CrashWindow })
		h.crashTimes = append(h.crashTimes, h.now.Time)
		if len(h.crashTimes) >= h.rules.CrashLimit {
			h.giveUp(how)
			return
		}
	}
	if h.Next == nil {
		h.restartLater()
	}
}

// restartLater starts the version that is to be live again: at once the first
// time, then after a pause that doubles.
func (h *Handler) restartLater() {
	if h.Presence == Leaving {
		return
	}
	pause := time.Duration(0)
	if h.crashes > 0 {
		pause = min(restartMin<<min(h.crashes-1, 20), restartMax)
	}
	h.crashes++
	h.Restarts++
	h.pauses++
	h.pause = h.pauses
	h.do(Wake{pause, RestartDue{h.pause}})
}

// giveUp ends the attempts at the version that is to be live.
func (h *Handler) giveUp(how string) {
	bad := h.serve
	why := refusal.Crashed(h.Name, bad.Short(), len(h.crashTimes), h.rules.CrashWindow, how)
	h.crashTimes, h.crashes = nil, 0
	if h.Refusal == nil {
		h.Refusal = &Refusal{Error: why, Of: bad.Sum}
	}
	h.give(bad.Sum, why)
	if r := &h.Record; !slices.Contains(r.Bad, bad.Sum) {
		r.Bad = append(r.Bad[:len(r.Bad):len(r.Bad)], bad.Sum)
		r.Bad = r.Bad[max(0, len(r.Bad)-badKept):]
		h.do(Save{})
	}
	if h.Next != nil {
		return // a newer file is being tried already
	}
	if !h.fallBack() {
		h.quarantine()
	}
}

// quarantine leaves a handler dead: the version that was given up was the last.
func (h *Handler) quarantine() {
	if h.Standing != Dead {
		return // it has no routes to be answered for
	}
	h.Standing, h.Since = Quarantined, h.now.Time
	h.do(Tell{What: NoticeQuarantined, Version: h.serve, Refusal: h.given[h.serve.Sum]})
	h.do(Alter{})
}

// fallBack starts the version that served last, or else the newest in the store
// that is not bad. It reports false where the record has none.
func (h *Handler) fallBack() bool {
	sums := h.earlier()
	if len(sums) == 0 {
		return false
	}
	why := Again
	if h.Live != nil {
		why = Back
	}
	h.Next = &Seat{Why: why, Phase: Recalling}
	h.do(Recall{h.Next, sums})
	return true
}

// recalled starts an earlier version that was found, if one was.
func (h *Handler) recalled(v store.Version) {
	if v.Sum == "" {
		h.dropNext()
		h.quarantine()
		h.decided()
		return
	}
	h.serve, h.Next.Version, h.Next.Phase = v, v, Starting
	h.do(Start{h.Next})
}

// startAgain starts the version that is to be live.
func (h *Handler) startAgain(why Why) {
	h.Next = &Seat{Version: h.serve, Why: why, Phase: Starting}
	h.do(Start{h.Next})
}

// release forgets that the newest file crashed too often, and tries it again.
func (h *Handler) release() {
	h.Record.Bad, h.Record.Held = nil, ""
	h.do(Save{})
	h.crashTimes, h.crashes = nil, 0
	if h.Standing == Quarantined {
		h.Standing = Dead
	}
	h.atStart = false
	h.tryAgain()
}
