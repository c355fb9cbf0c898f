// Package split says which of two versions of a handler has a request: the incumbent or its canary.
//
// Most often that follows from the request and the time, by a hash of what its client is known by. So the
// gate, the incumbent's cell and the canary's come to the same, without a word between them: a connection moves to the cell of
// its version, stays there, and leaves it with the first request that is the other's. What is the canary's
// stays the canary's where its weight grows.
package split

import (
	"math/bits"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/textproto"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/serve/proxied"
)

// Choice is whose a request is.
type Choice byte

const (
	Incumbent Choice = iota
	Canary
	Each // the gate draws, for each request anew: nothing tells the clients of a connection apart
)

// turn is for how long a connection that nothing is known by has one version. Then it is chosen anew: where
// connections are few and stay, each version has its part of the requests nonetheless. A move
// costs next to nothing beside what is served in a second.
const turn = time.Second

// Rule divides the requests of a pattern. It never changes.
type Rule struct {
	// Mirrors says that the gate has to see every request: the canary gets copies of the incumbent's.
	Mirrors bool

	weight, mirror uint64 // of link.Whole
	sticky         link.Sticky
	field          string
	seed           uint64
	proxies        *proxied.Trusted
}

// New returns the rule of a canary, where what the proxies say of clients is believed.
func New(c link.Canary, proxies *proxied.Trusted) *Rule {
	s := &Rule{
		Mirrors: c.Mirror > 0, weight: part(c.Weight), mirror: part(c.Mirror),
		sticky: c.Sticky, field: c.Field, seed: c.Seed, proxies: proxies,
	}
	if s.sticky == link.StickyHeader {
		s.field = textproto.CanonicalMIMEHeaderKey(s.field)
	}
	return s
}

func part(n int) uint64 { return uint64(min(max(n, 0), link.Whole)) }

// Of returns whose r is. Its RemoteAddr is that of its connection, which, alternates says, carries requests for
// several handlers, as those of proxies do.
func (s *Rule) Of(r *http.Request, alternates bool) Choice {
	return s.at(time.Now, r, alternates)
}

// at is Of at a time, which is asked for where it matters.
func (s *Rule) at(now func() time.Time, r *http.Request, alternates bool) Choice {
	switch s.weight {
	case 0:
		return Incumbent
	case link.Whole:
		return Canary
	}
	switch s.sticky {
	case link.StickyNone:
		_, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || alternates || r.ProtoMajor == 2 || s.proxies.Proxy(r.RemoteAddr) {
			return Each
		}
		return chosen(s.inTurn(r.RemoteAddr, now()), s.weight)
	case link.StickyCookie:
		if c, err := r.Cookie(s.field); err == nil && c.Value != "" {
			return s.by(c.Value)
		}
	case link.StickyHeader:
		v := r.Header.Get(s.field)
		if s.field == "Host" {
			v = r.Host
		}
		if v != "" {
			return s.by(v)
		}
	}
	client, err := netip.ParseAddrPort(s.proxies.Client(r))
	if err != nil {
		return Each // of a Unix socket
	}
	is := client.Addr().As16()
	return s.by(string(is[:]))
}

// Stay returns what reports whether a request is the canary's, or the incumbent's, without
// anybody having to ask the gate.
func (s *Rule) Stay(canarys bool) func(r *http.Request, alternates bool) bool {
	here := Incumbent
	if canarys {
		here = Canary
	}
	return func(r *http.Request, alternates bool) bool {
		return s.Of(r, alternates) == here && (canarys || !s.Mirrors)
	}
}

// Draw decides what is Each.
func (s *Rule) Draw() Choice { return chosen(rand.Uint64(), s.weight) }

// Copies reports, of a request that is the incumbent's and may be copied, whether it is to be.
func (s *Rule) Copies() bool { return s.Mirrors && chosen(rand.Uint64(), s.mirror) == Canary }

// by chooses for good by what is evenly spread: whoever has the value, and wherever.
func (s *Rule) by(value string) Choice { return chosen(hash(s.seed, value), s.weight) }

// inTurn is a number for each turn of a connection. Turns of different ones end at different times.
func (s *Rule) inTurn(remote string, now time.Time) uint64 {
	h := hash(s.seed, remote)
	n := (uint64(now.UnixNano()) + h%uint64(turn)) / uint64(turn)
	return spread(h + n*0x9e3779b97f4a7c15) // SplitMix64
}

func chosen(n, weight uint64) Choice {
	if place, _ := bits.Mul64(n, link.Whole); place < weight {
		return Canary
	}
	return Incumbent
}

// hash is FNV-1a, and then spread over all bits (MurmurHash3's finalizer). It is the same in every
// build: clients keep their version over restarts and updates.
func hash(seed uint64, value string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range 8 {
		h = (h ^ (seed >> (8 * i) & 0xff)) * prime
	}
	for i := range len(value) {
		h = (h ^ uint64(value[i])) * prime
	}
	return spread(h)
}

func spread(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
