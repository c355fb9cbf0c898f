package standing

import (
	"fmt"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
)

// Report says in numbers how the service stands.
type Report struct {
	Live        int // those that are rolled back among them
	RolledBack  int
	Refused     int // newest files
	Crashed     int
	Quarantined int
	Trying      int // handlers whose newest file is being tried
	Canaries    int // that have a part of a handler's requests
	Ending      int // processes that end what they began
	Problem     string
}

// count is what one handler adds.
func count(h *lifecycle.Handler) (n Report) {
	state := state(h)
	switch state {
	case api.StateLive:
		n.Live = 1
	case api.StateRolledBack:
		n.Live, n.RolledBack = 1, 1
	case api.StateCanary:
		n.Canaries = 1
	case api.StateCrashed:
		n.Crashed = 1
	case api.StateQuarantined:
		n.Quarantined = 1
	}
	if h.Refusal != nil && (h.Refusal.Of == "" || state == api.StateRefused || state == api.StateWithdrawn) {
		n.Refused = 1
	}
	if h.Undecided() {
		n.Trying = 1
	}
	return n
}

// add adds what handlers have added.
func (r *Report) add(o Report, times int) {
	r.Live += times * o.Live
	r.Canaries += times * o.Canaries
	r.RolledBack += times * o.RolledBack
	r.Refused += times * o.Refused
	r.Crashed += times * o.Crashed
	r.Quarantined += times * o.Quarantined
	r.Trying += times * o.Trying
}

// String is a line for systemctl status.
func (r Report) String() string {
	plural := "handlers"
	if r.Live == 1 {
		plural = "handler"
	}
	text := fmt.Sprintf("%d %s live", r.Live, plural)
	canaries := "canaries"
	if r.Canaries == 1 {
		canaries = "canary"
	}
	for _, more := range []struct {
		n    int
		what string
	}{{r.Canaries, canaries}, {r.RolledBack, "rolled back"}, {r.Refused, "refused"}, {r.Crashed, "crashed"}, {r.Quarantined, "quarantined"}, {r.Trying, "being tried"}, {r.Ending, "ending"}} {
		if more.n > 0 {
			text += fmt.Sprintf(", %d %s", more.n, more.what)
		}
	}
	if r.Problem != "" {
		text += "; " + r.Problem
	}
	return text
}
