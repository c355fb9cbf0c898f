package lifecycle

import (
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/andrestc/go-plugserver/internal/store"
)

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
