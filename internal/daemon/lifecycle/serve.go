package lifecycle

import (
	"time"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/past"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
)

// promote makes a proved seat the one that has the routes.
func (h *Handler) promote(st *states.Seat, seq int64) {
	old := h.Live
	h.Live, h.Next, h.serve, h.Standing = st, nil, st.Version, states.Serving
	h.Wanting, h.Since, st.Phase = time.Time{}, h.now.Time, states.Live
	what := states.LiveAgain
	switch st.Why {
	case states.Back, states.ByHand:
		h.RolledBack = true
		what = states.RolledBack
	case states.Again:
	case states.Newest, states.Promoted:
		h.Refusal, h.RolledBack = nil, false
		h.restarts.Forget()
		h.retries.Forget()
		what = states.WentLive
	}
	h.do(Publish{what, st, old})
	newest := st.Why == states.Newest || st.Why == states.Promoted
	h.Past.Served(past.Served{Sum: st.Version.Sum, Patterns: st.Patterns, Live: h.Since, Newest: newest, Mixed: st.Mixed, Signature: st.Version.Signature}, seq)
	h.supersede(st)
	h.do(Save{})
	h.decided()
}

// denied is called when a proved seat is not granted its patterns.
func (h *Handler) denied(st *states.Seat, r *refusal.Error) {
	if h.outrun(st, r) {
		return
	}
	if h.Of != "" && st.Why == states.Newest {
		h.refuse(states.Refusal{Error: r, Retry: states.WithIncumbent})
		return
	}
	if st.Why == states.Newest {
		h.refuse(states.Refusal{Error: r, Retry: states.WhenFree, Patterns: st.Patterns, Size: st.Size})
		return
	}
	// It has served before: others have taken them since.
	h.do(Tell{What: states.NoticeNotServed, Seat: st, Refusal: r})
	h.dropNext()
	switch {
	case st.Why == states.Promoted:
		h.Failure = r.Error()
		h.decided()
	case h.Live != nil:
		h.restartLater()
	case h.Refusal != nil:
		// It is tried again when its patterns become free.
		h.Refusal.Patterns, h.Refusal.Size = st.Patterns, st.Size
	}
}

// outrun reports whether a seat that is not to serve was the newest file's, and a newer one is being admitted: what
// becomes of that is not settled with it.
func (h *Handler) outrun(st *states.Seat, r *refusal.Error) bool {
	if st.Why != states.Newest || h.Admission == states.Idle {
		return false
	}
	h.dropNext()
	h.do(Tell{What: states.NoticeRefused, Refusal: r, Seat: h.serving()})
	return true
}

// failed is called when a seat did not become ready.
func (h *Handler) failed(st *states.Seat, r states.Refusal) {
	if h.outrun(st, r.Error) {
		return
	}
	h.dropNext()
	if st.Why == states.Newest {
		h.refuse(r)
		return
	}
	h.do(Tell{What: states.NoticeNotRestarted, Seat: st, Refusal: r.Error})
	h.Failure = r.Error.Error()
	switch {
	case st.Why == states.Promoted, h.Standing == states.Serving:
		h.decided() // what serves is as well as before
	case r.Retry == states.WithCells && h.Live == nil:
		h.decided() // it comes when there is a cell for it
	case r.Retry == states.Soon, r.Retry == states.WithCells:
		h.restartLater()
	case r.Retry == states.WithTrust && h.Of == "":
		if !h.fallBack() { // to one that may run
			h.quarantine()
		}
	default:
		h.failedAgain(r.Reason)
	}
}

// died is called when the version that has the routes has died. Its requests wait
// at the gate.
func (h *Handler) died(e Died) {
	h.Standing = states.Dead
	if h.Presence == states.Leaving {
		h.Since = h.now.Time
		return // its requests wait for its heir
	}
	h.Since = h.now.Time
	if e.Shared {
		h.Restarts++
		if h.Next == nil {
			h.startAgain(states.Again)
		}
		return
	}
	h.restarts.Lived(e.Lived)
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
	if h.Presence == states.Leaving {
		return
	}
	if h.Of != "" {
		if h.Live != nil { // else it was judged already
			h.judged(canary.Verdict{Why: "it ended with " + how})
		}
		return
	}
	if h.restarts.TooOften(h.now.Time, h.rules.CrashLimit, h.rules.CrashWindow) {
		h.giveUp(how)
		return
	}
	if h.Next == nil {
		h.restartLater()
	}
}

// restartLater starts the version that is to be live again: at once the first
// time, then after a pause that doubles.
func (h *Handler) restartLater() {
	if h.Presence == states.Leaving {
		return
	}
	h.Restarts++
	pause, number := h.restarts.Begin()
	h.do(Wake{pause, RestartDue{number}})
}

// giveUp ends the attempts at the version that is to be live.
func (h *Handler) giveUp(how string) {
	bad := h.serve
	why := refusal.Crashed(h.Name, bad.Short(), h.restarts.Failures(), h.rules.CrashWindow, how)
	h.restarts.Forget()
	if h.Refusal == nil || h.Refusal.Promoted {
		h.Refusal = &states.Refusal{Error: why, Of: bad.Sum}
	}
	if h.Past.GiveUp(bad.Sum, why, h.now.Writes) {
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
	if h.Standing != states.Dead {
		return // it has no routes to be answered for
	}
	h.Standing, h.Since = states.Quarantined, h.now.Time
	why := h.WhyGivenUp(h.serve.Sum)
	if why == nil && h.IsBad(h.serve.Sum) {
		why = h.whyBad(h.serve)
	}
	h.do(Tell{What: states.NoticeQuarantined, Version: h.serve, Refusal: why})
	h.do(Alter{})
}

// fallBack starts the version that served last, or else the newest in the store
// that is not bad. It reports false where the record has none.
func (h *Handler) fallBack() bool {
	sums := h.Past.Fallbacks()
	if len(sums) == 0 || h.Of != "" { // what a canary was before is nothing to go back to
		return false
	}
	why := states.Again
	if h.Live != nil {
		why = states.Back
	}
	h.Next = &states.Seat{Why: why, Phase: states.Recalling}
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
	h.serve, h.Next.Version, h.Next.Phase = v, v, states.Starting
	h.do(Start{h.Next})
}

// startAgain starts the version that is to be live.
func (h *Handler) startAgain(why states.Why) { h.start(h.serve, why) }

func (h *Handler) start(v store.Version, why states.Why) {
	h.Next = &states.Seat{Version: v, Why: why, Phase: states.Starting}
	h.do(Start{h.Next})
}

// release forgets that the newest file crashed too often, and tries it again.
func (h *Handler) release() {
	h.Past.Forgive()
	h.do(Save{})
	h.restarts.Forget()
	if h.Standing == states.Quarantined {
		h.Standing = states.Dead
	}
	h.Enabled()
	h.tryAgain()
}

// hold remembers that an operator has rolled the version from back. Rolled back
// further, it is still the newest.
func (h *Handler) hold(from string) {
	switch {
	case h.Live == nil:
		return
	case h.Record.Held == h.Live.Version.Sum: // forth again
		h.Past.Unhold()
		h.RolledBack = false
		if !h.refusedFile() {
			h.Refusal = nil
		}
	case h.Record.Held == "":
		why := refusal.RolledBack(h.Name, store.Version{Sum: from}.Short())
		if !h.refusedFile() {
			h.Refusal = &states.Refusal{Error: why, Of: from, Held: true}
		}
		h.Past.Hold(from, why, h.now.Writes)
	}
	h.do(Save{})
}

// refusedFile reports whether the newest file is refused for itself, and not since its version was given up.
func (h *Handler) refusedFile() bool { return h.Refusal != nil && h.Refusal.Of == "" }

// GaveWay is why an earlier version serves than the last that did, nil where it does not, or where Refusal says so.
func (h *Handler) GaveWay() *refusal.Error {
	if !h.refusedFile() || h.Live == nil || len(h.Record.Versions) == 0 {
		return nil
	}
	last := store.Version{Sum: h.Record.Versions[len(h.Record.Versions)-1].Sum}
	switch {
	case last.Sum == h.Live.Version.Sum:
	case h.Record.Held == last.Sum:
		return refusal.GaveWay(h.Name, last.Short(), refusal.RolledBack(h.Name, last.Short()).Reason)
	case h.IsBad(last.Sum):
		return refusal.GaveWay(h.Name, last.Short(), h.whyBad(last).Reason)
	}
	return nil
}
