package lifecycle

import (
	"path"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/backoff"
	"github.com/andrestc/go-plugserver/internal/daemon/past"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

// Handle takes an event and returns what is to be done, in its order.
func (h *Handler) Handle(now Now, e Event) []Action {
	h.now, h.todo = now, nil
	e.happen(h)
	return h.todo
}

func (e FileSettled) happen(h *Handler) {
	h.abandon()
	h.lay = h.lay && (h.last == e.ID || h.last == handlerdir.ID{})
	h.File, h.Tried, h.last, h.Admission = e.Name, e.ID, e.ID, states.Copying
	h.do(Admit{})
}

func (e FileRefused) happen(h *Handler) {
	h.File, h.Tried = e.Name, e.ID
	h.refuse(states.Refusal{Error: e.Refusal, Unread: true})
}

func (e FileSeen) happen(h *Handler) { h.seen(e.Missed) }
func (FileGone) happen(h *Handler)   { h.fileGone() }

func (FileOrphaned) happen(h *Handler) {
	if h.Live != nil && h.Presence != states.Leaving {
		h.Presence = states.Orphaned
	}
}

func (TryAgain) happen(h *Handler) { h.Enabled(); h.tryAgain() }

func (FallBack) happen(h *Handler) {
	if h.Live == nil && h.Next == nil {
		h.fallBack()
	}
}

func (e Delayed) happen(h *Handler)  { h.delayed(e.Doing) }
func (e Admitted) happen(h *Handler) { h.admitted(e) }

func (e Recalled) happen(h *Handler) {
	if h.starts(e.Seat, states.Recalling) {
		h.recalled(e.Version)
	}
}

func (e IsReady) happen(h *Handler) {
	if h.starts(e.Seat, states.Starting) {
		e.Seat.Phase, e.Seat.ProvedAt, e.Seat.Patterns, e.Seat.Size = states.Proved, h.now.Time, e.Patterns, e.Size
		if h.Wanting.IsZero() {
			h.Wanting = h.now.Time
		}
		h.do(Claim{e.Seat})
	}
}

func (e Granted) happen(h *Handler) {
	if h.starts(e.Seat, states.Proved) {
		h.promote(e.Seat, e.Seq)
	}
}

func (e Denied) happen(h *Handler) {
	if h.starts(e.Seat, states.Proved) {
		h.denied(e.Seat, e.Refusal)
	}
}

func (e Failed) happen(h *Handler) {
	if h.Next == e.Seat {
		h.failed(e.Seat, states.Refusal{Error: e.Refusal, Retry: e.Retry})
	}
}

func (e Died) happen(h *Handler) {
	if h.Live == e.Seat && h.Standing == states.Serving {
		h.died(e)
	}
}

func (e Gathered) happen(h *Handler) {
	if h.Next == nil && (h.Standing == states.Serving || h.Standing == states.Dead) {
		old := h.Live
		h.Live, h.Standing, e.Seat.Phase = e.Seat, states.Serving, states.Live
		h.do(Publish{states.GatheredIn, e.Seat, old})
	}
}

func (Renew) happen(h *Handler) {
	if h.Standing == states.Serving && h.Next == nil && h.Presence != states.Leaving {
		h.startAgain(states.Again)
	}
}

func (e RestartDue) happen(h *Handler) {
	if h.restarts.Is(e.pause) {
		h.restarts.End()
		if h.Next == nil && h.Standing != states.Serving {
			h.startAgain(states.Again)
		}
	}
}

func (e RetryDue) happen(h *Handler) {
	switch {
	case e.refusal == nil || h.Refusal != e.refusal:
	case h.Next != nil || h.Admission != states.Idle:
		h.do(Wake{backoff.PassingMin, e}) // not beside what is under way, and not forgotten for it
	default:
		h.tryAgain()
	}
}

func (HeirsDecided) happen(h *Handler) {
	if h.Presence == states.Leaving {
		h.do(Forget{})
		h.dropNext()
		h.do(Publish{states.Retired, h.Live, h.Live})
	}
}

func (e RollBack) happen(h *Handler) {
	h.restarts.End()
	h.dropNext()
	h.serve, h.Failure = e.Version, ""
	h.startAgain(states.ByHand)
}

func (e Hold) happen(h *Handler)  { h.hold(e.From) }
func (Release) happen(h *Handler) { h.release() }

func (Stop) happen(h *Handler) {
	h.restarts.End()
	h.abandon()
}

// starts reports whether a seat is the one that is to take over, and so far.
func (h *Handler) starts(st *states.Seat, phase states.Phase) bool {
	return h.Next == st && st.Phase == phase
}

func (h *Handler) do(a Action) { h.todo = append(h.todo, a) }

// tryAgain has the newest file tried again as soon as it was looked at.
func (h *Handler) tryAgain() {
	h.Tried = handlerdir.ID{}
	h.do(Reconsider{})
}

// abandon ends the admission that is under way; its outcome counts for nothing.
func (h *Handler) abandon() {
	if h.Admission != states.Idle {
		h.Admission, h.Doing = states.Idle, ""
		h.do(Abandon{})
	}
}

// dropNext gives up what is being started. Where a version serves, it is the one to be started again.
func (h *Handler) dropNext() {
	if h.Next != nil {
		h.do(Drop{h.Next})
		h.Next = nil
	}
	if h.Standing == states.Serving {
		h.serve = h.Live.Version
	}
}

// decided is called when the newest file was tried: juniors may wait for what it
// claims, and a version that died may wait for the outcome to be started again.
func (h *Handler) decided() {
	if h.Standing == states.Dead && h.Next == nil && !h.restarts.Pausing() {
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
	case h.Presence == states.Leaving:
	case !h.fallBack():
		h.quarantine()
	}
}

func (h *Handler) seen(missed bool) {
	was := h.Presence
	h.Presence = states.Here
	if missed {
		h.Presence = states.Missed
		if was == states.Leaving {
			h.Presence = states.Leaving // until it is there again
		}
		return
	}
	if was == states.Leaving {
		h.LeavingSince = time.Time{}
		h.tryAgain() // what was under way for it was given up
		h.decided()
	}
}

// fileGone begins the end of a handler whose file is gone.
func (h *Handler) fileGone() {
	h.abandon()
	h.dropNext()
	h.restarts.End()
	switch {
	case h.Live == nil:
		h.do(Forget{})
		h.do(Tell{What: states.NoticeGone})
		h.do(Decided{})
	case h.Of != "": // no pattern is its own
		h.do(Forget{})
		h.do(Publish{states.Retired, h.Live, h.Live})
	case h.Presence != states.Leaving:
		h.Presence, h.LeavingSince = states.Leaving, h.now.Time
		h.do(Leave{})
	}
}

// refuse records why the newest file is not served; the version that serves goes
// on.
func (h *Handler) refuse(r states.Refusal) {
	h.abandon()
	h.dropNext()
	r.File = h.Tried
	if strings.HasSuffix(h.File, ".so") && handlerdir.ValidName(h.Name) {
		r.Error = r.Named(path.Join(h.rules.Dir, h.File))
	}
	known := h.Refusal != nil && h.Refusal.Reason == r.Reason
	// It was tried once more, in vain; or what is refused for its name, or for
	// whose it is, is still being written.
	again := known && (h.Refusal.File == r.File || h.Refusal.Unread && r.Unread && h.Refusal.File.Dev == r.File.Dev && h.Refusal.File.Ino == r.File.Ino)
	h.Refusal = &r
	if r.Retry == states.Soon {
		h.do(Wake{h.retries.Next(), RetryDue{&r}})
		if known {
			h.decided()
			return
		}
	}
	switch {
	case again:
	case r.Promoted:
		h.do(Tell{What: states.NoticeSuperseded, Refusal: r.Error})
	case r.Held:
		h.do(Tell{What: states.NoticeHeld, Refusal: r.Error})
	default:
		h.do(Tell{What: states.NoticeRefused, Refusal: r.Error, Seat: h.serving()})
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
func (h *Handler) serving() *states.Seat {
	if h.Standing == states.Serving {
		return h.Live
	}
	return nil
}

// delayed is told that an admission takes longer than a moment. Meanwhile what
// served before serves, after a start of the daemon too.
func (h *Handler) delayed(doing string) {
	if h.Admission == states.Idle {
		return
	}
	h.Admission, h.Doing = states.Building, doing
	h.do(Tell{What: states.NoticeDoing, Text: doing})
	if h.Live == nil && h.Next == nil {
		h.fallBack()
	}
}

// admitted begins to prove an admitted version.
func (h *Handler) admitted(e Admitted) {
	if h.Admission == states.Idle {
		return
	}
	h.Admission, h.Doing = states.Idle, ""
	switch {
	case e.Changed:
		h.Tried = handlerdir.ID{}
		h.do(LookAgain{})
	case e.Version.Sum != "" && !h.asked(e.Content) && h.GivenUp(e.Version.Sum):
		h.staysGivenUp(e.Version)
	case e.Refusal != nil:
		if e.Retry != states.Soon {
			h.Past.Seen()
		}
		h.refuse(states.Refusal{Error: e.Refusal, Retry: e.Retry})
	case h.Live != nil && h.Live.Version.Sum == e.Version.Sum:
		// The live version again: touched, copied back, or signed anew.
		h.dropNext()
		if h.Past.Signed(e.Version) {
			h.Live.Version, h.serve = e.Version, e.Version
			h.do(Save{})
		}
		h.Refusal, h.RolledBack = nil, false
		if h.Standing == states.Quarantined {
			h.Standing = states.Dead
			h.do(Alter{}) // its requests wait again
		}
		h.decided()
	default:
		h.dropNext()
		h.Next = &states.Seat{Version: e.Version, Why: states.Newest, Mixed: e.Mixed, Phase: states.Starting}
		h.do(Start{h.Next})
	}
}

// staysGivenUp is called when the content of the handler's file is one that was
// given up, and nobody has asked for it anew: the mode of the file may have
// changed, or the daemon was started.
func (h *Handler) staysGivenUp(v store.Version) {
	r := states.Refusal{Error: h.WhyGivenUp(v.Sum), Of: v.Sum, Held: h.Record.Held == v.Sum, Promoted: h.Record.Superseded == v.Sum}
	judged := h.Record.Canary.Of(v.Sum)
	if judged != nil {
		r.Promoted, r.Held = judged.Promoted, judged.ByHand
	}
	switch {
	case r.Error != nil:
	case judged != nil:
		r.Error = h.sentence(*judged)
	case r.Promoted:
		r.Error = refusal.Superseded(h.Name, v.Short())
	case r.Held:
		r.Error = refusal.RolledBack(h.Name, v.Short())
	default:
		r.Error = h.whyBad(v)
	}
	h.RolledBack = !r.Promoted && (h.Live == nil || h.Live.Version.Sum != v.Sum)
	if h.Next != nil && h.Next.Why != states.Newest || h.Refusal != nil && h.Refusal.Reason == r.Reason {
		h.Refusal = &r // an earlier version serves, or will
		h.decided()
		return
	}
	h.refuse(r)
}

// whyBad says why a version was given up for crashing, after a restart of the daemon as far as the record tells.
func (h *Handler) whyBad(v store.Version) *refusal.Error {
	if why := h.WhyGivenUp(v.Sum); why != nil {
		return why
	}
	if why := h.Record.Why[v.Sum]; why != "" {
		return refusal.CrashedBefore(h.Name, why)
	}
	return refusal.CrashedOnce(h.Name, v.Short())
}

// asked reports whether somebody has put an admitted file into the directory
// since the last. Then it has another chance, as if it were new.
func (h *Handler) asked(now past.Content) bool {
	anew, changed := h.Past.Asked(now)
	if anew {
		h.restarts.ForgetTimes()
	}
	if changed {
		h.do(Save{})
	}
	return anew
}
