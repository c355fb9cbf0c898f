package standing

import (
	"fmt"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/daemon/roster"
)

// Report says in numbers how the service stands.
type Report struct {
	Live        int // those that are rolled back among them
	RolledBack  int
	Refused     int // newest files
	Crashed     int
	Quarantined int
	Trying      int // handlers whose newest file is being tried
	Ending      int // processes that end what they began
	Problem     string
}

// count counts the handlers.
func count(r *roster.Roster) (n Report) {
	for _, h := range r.Handlers {
		state := state(h)
		switch state {
		case api.StateLive:
			n.Live++
		case api.StateRolledBack:
			n.Live++
			n.RolledBack++
		case api.StateCrashed:
			n.Crashed++
		case api.StateQuarantined:
			n.Quarantined++
		}
		if h.Refusal != nil && (h.Refusal.Of == "" || state == api.StateRefused) {
			n.Refused++
		}
		if h.Undecided() {
			n.Trying++
		}
	}
	return n
}

// String is a line for systemctl status.
func (r Report) String() string {
	plural := "handlers"
	if r.Live == 1 {
		plural = "handler"
	}
	text := fmt.Sprintf("%d %s live", r.Live, plural)
	for _, more := range []struct {
		n    int
		what string
	}{{r.RolledBack, "rolled back"}, {r.Refused, "refused"}, {r.Crashed, "crashed"}, {r.Quarantined, "quarantined"}, {r.Trying, "being tried"}, {r.Ending, "ending"}} {
		if more.n > 0 {
			text += fmt.Sprintf(", %d %s", more.n, more.what)
		}
	}
	if r.Problem != "" {
		text += "; " + r.Problem
	}
	return text
}
