package link

// Canary is a second cell that serves a route's pattern, and which of the requests it has: the
// others, and all where it has none, are those of the route's own cell, the incumbent. The zero
// Canary is none.
//
// A request's cell follows from the request, whichever process looks at it; where it does not, the
// gate decides (package split).
type Canary struct {
	// Cell is 0 while the canary is being started: its requests are the incumbent's then, and
	// none of them waits. In what the incumbent's cell is told it is 0, too.
	Cell   uint64 `json:"cell,omitempty"`
	Weight int    `json:"weight,omitempty"` // the canary's of Whole requests
	Sticky Sticky `json:"sticky,omitempty"`
	Field  string `json:"field,omitempty"` // the name of the cookie, or of the header field
	// Seed has the clients of one canary be others than those of the next. All routes of a
	// handler have the same, so that a client has one version of it.
	Seed uint64 `json:"seed,omitempty"`
	// Mirror is of how many of Whole safe requests the canary gets a copy which are the
	// incumbent's. Its answer to that is dropped.
	Mirror int `json:"mirror,omitempty"`
}

// Whole is all requests, of which a Canary's numbers are parts.
const Whole = 10_000

// Sticky is by what a client is known whose requests all go to the same version. A request that
// has no such cookie or field goes by its client's address.
type Sticky string

const (
	StickyNone   Sticky = "" // connections, and where many clients share one, requests
	StickyIP     Sticky = "ip"
	StickyCookie Sticky = "cookie"
	StickyHeader Sticky = "header"
)

// Divides reports whether some of a route's requests, or copies of them, may be the canary's.
func (c Canary) Divides() bool { return c.Weight > 0 || c.Mirror > 0 }

// Size is how many bytes of a message c takes beside its route's RouteSize, at the most.
func (c Canary) Size() int {
	if c == (Canary{}) {
		return 0
	}
	return 160 + RouteSize(c.Field) // the words around it, and its numbers
}
