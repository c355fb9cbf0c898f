package lifecycle

import (
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
)

// What becomes of canaries.
type (
	// Promote: the version of its canary is to take over.
	Promote struct{ Version store.Version }
	// Judged: it was a canary, and is none any more. The verdict's sum and time are the handler's to fill in.
	Judged struct{ Verdict canary.Verdict }
	// Stranded: the handler whose canary it is serves nothing.
	Stranded struct{}
	// Agreed: an operator has set terms for its version of that sum.
	Agreed struct {
		Sum   string
		Terms canary.Terms
	}
)

func (e Promote) happen(h *Handler) {
	if h.Of == "" && h.Live != nil && h.Presence == states.Here {
		h.restarts.End()
		h.dropNext()
		h.Failure = ""
		h.start(e.Version, states.Promoted) // what is live now is started again, until it has
	}
}

// supersede takes note of the newest file, which is another one than the canary that has taken over.
func (h *Handler) supersede(st *states.Seat) {
	file := h.Content.Sum
	if st.Why != states.Promoted || file == "" || file == st.Version.Sum {
		return
	}
	h.Refusal = &states.Refusal{Error: refusal.Superseded(h.Name, store.Version{Sum: file}.Short()), Of: file, Promoted: true, File: h.Tried}
	h.Past.Supersede(file, h.Refusal.Error, h.now.Writes)
}

func (e Judged) happen(h *Handler) {
	if h.Of != "" && h.Live != nil {
		h.judged(e.Verdict)
	}
}

// judged ends a canary.
func (h *Handler) judged(v canary.Verdict) {
	v.Sum, v.At = h.Live.Version.Sum, h.now.Time
	why, notice := h.sentence(v), states.NoticeWithdrawn
	switch {
	case v.Promoted:
		notice = states.NoticePromoted
	case v.ByHand:
		notice = states.NoticeWithdrawnByHand
	}
	h.do(Tell{What: notice, Version: h.Live.Version, Refusal: why, Text: v.Why})
	h.Past.Judge(v, why, h.now.Writes)
	h.do(Save{})
	h.end(states.Refusal{Error: why, Of: v.Sum, Promoted: v.Promoted, Held: v.ByHand})
}

// sentence is how a verdict reads as the reason why a file is not served.
func (h *Handler) sentence(v canary.Verdict) *refusal.Error {
	version := store.Version{Sum: v.Sum}.Short()
	switch {
	case v.Promoted:
		return refusal.Promoted(h.Of, version)
	case v.ByHand:
		return refusal.WithdrawnByHand(h.Name, version)
	}
	return refusal.Withdrawn(h.Name, version, v.Why)
}

func (Stranded) happen(h *Handler) {
	if h.Of != "" && h.Live != nil {
		h.end(states.Refusal{Error: refusal.NoIncumbent(h.Of), Retry: states.WithIncumbent})
		h.do(Tell{What: states.NoticeRefused, Refusal: h.Refusal.Error})
	}
}

// end takes its requests from a canary. A newer one that is being started goes on.
func (h *Handler) end(r states.Refusal) {
	h.restarts.End() // of a process that has died
	h.restarts.Forget()
	if h.Next != nil && h.Next.Why != states.Newest {
		h.dropNext()
	}
	old := h.Live
	r.File = h.Tried
	h.Live, h.Standing, h.Refusal, h.Since = nil, states.None, &r, h.now.Time
	h.do(Publish{states.Retired, old, old})
	h.decided()
}

func (e Agreed) happen(h *Handler) {
	h.Record.Canary.Terms, h.Record.Canary.Sum = &e.Terms, e.Sum
	h.do(Save{})
}
