package handover

import (
	"context"
	"net/http"
)

// divided is the handler of a pattern that another process serves, too.
type divided struct {
	http.Handler
	mine func(r *http.Request, alternates bool) bool
}

// Divided returns the handler of a pattern that another process serves, too. Mine reports whether a request, of
// which the head alone is known, is this process's; its connection alternates between handlers, or does not. It is
// asked about what comes on a connection that is here: what the process that accepts has sent for this very
// request is this one's, whatever mine would say, or the two might disagree and never end.
func Divided(h http.Handler, mine func(r *http.Request, alternates bool) bool) http.Handler {
	return &divided{h, mine}
}

// ServeHTTP implements http.Handler. net/http's server is given nothing that isAnothers.
func (d *divided) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if x, ok := r.Context().(*requestContext); ok && !x.chosen && !d.mine(r, x.alternates) {
		Elsewhere.ServeHTTP(w, r)
		return
	}
	d.Handler.ServeHTTP(w, r)
}

// isAnothers reports whether the request at the front, which h would serve, is another process's.
func (c *Conn) isAnothers(h http.Handler, r *http.Request) bool {
	d, ok := h.(*divided)
	if !ok || c.isChosen() {
		return false
	}
	c.tell(r)
	return !d.mine(r, c.alternates())
}

// isChosen reports whether who accepts has sent the request at the front here.
func (c *Conn) isChosen() bool { return c.chosen && c.served == 0 || c.loan != nil }

// alternating is how often a connection has left a process for another handler's request, without
// staying long, to count as one that carries requests for several: as those of proxies do, whose requests are of
// many clients.
const alternating = 3

func (c *Conn) alternates() bool { return c.history.moves >= alternating }

type alternatesKey struct{}

// single and mixed are the contexts in which a process that accepts looks at requests.
var (
	single = context.Background()
	mixed  = context.WithValue(single, alternatesKey{}, true)
)

func (c *Conn) asking() context.Context {
	if c.alternates() {
		return mixed
	}
	return single
}

// Alternates reports, of a request that Route is asked about, whether its connection alternates between handlers.
func Alternates(r *http.Request) bool { return r.Context() == mixed }
