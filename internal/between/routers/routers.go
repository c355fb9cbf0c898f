// Package routers has the dialects of patterns of routers other than net/http's: chi,
// gorilla/mux and httprouter. Each matches as the router itself does, which is no part
// of this program: the tests of package oracle hold the one to the other.
// docs/routers.md says how another is added.
package routers

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Mux finds the handler of a request, and its pattern; it answers what has none.
type Mux interface {
	http.Handler
	Handler(r *http.Request) (h http.Handler, pattern string)
}

// Router is what a router makes of patterns.
type Router interface {
	// Syntax is what its patterns look like, for those who wrote others.
	Syntax() string
	// Valid reports what is wrong with a pattern.
	Valid(pattern string) error
	// Mux returns a Mux with every pattern of handlers. What no pattern matches is
	// rest's, or, where that is nil, answered as the router does.
	Mux(handlers map[string]http.Handler, rest http.Handler) (Mux, error)
	// Places returns an index of patterns, empty.
	Places() Places
}

// Places finds patterns, each by its place: how many were added before.
type Places interface {
	// Add adds a pattern, which is valid.
	Add(pattern string)
	// Overlapping returns, sorted, those some of whose requests one of the patterns
	// matches, too, and those that are not served beside one; there may be others among them.
	Overlapping(patterns []string) []int
	// Conflicting returns the first pattern that is not served beside one of the
	// patterns, and which of these.
	Conflicting(patterns []string) (mine, theirs int, ok bool)
}

// The routers.
var (
	Chi        Router = dialect{chi{}}
	Gorilla    Router = dialect{gorilla{}}
	HTTPRouter Router = dialect{httprouter{}}
)

// grammar is a router by its patterns: what it takes to be a dialect.
type grammar interface {
	// syntax is Router's Syntax.
	syntax() string
	// parse reads a pattern: what split does not.
	parse(p *pattern) error
	// conflict reports whether two patterns are not served beside each other. Such ones
	// begin alike, up to the segment of the first parameter of one.
	conflict(a, b *pattern) bool
	// finder returns what finds the pattern of a request. The patterns are sorted: of
	// those that match a request, the first is meant. They do not conflict.
	finder(sorted []*pattern) finder
}

// finder finds the pattern of a request.
type finder interface {
	// find returns the place of the pattern that a request has, and the values of its
	// parameters; -1 if it has none.
	find(r *http.Request) (at int, values []string)
	// none answers a request that has no pattern. It serves at any time later.
	none(r *http.Request) http.Handler
}

// dialect is a grammar as a Router.
type dialect struct{ grammar }

func (d dialect) Syntax() string { return d.syntax() }

func (d dialect) Valid(text string) error {
	_, err := d.read(text)
	return err
}

// read reads a pattern.
func (d dialect) read(text string) (*pattern, error) {
	p, err := split(text)
	if err == nil {
		err = d.parse(p)
	}
	if err == nil {
		err = p.distinct()
	}
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", text, err)
	}
	return p, nil
}

func (d dialect) Mux(handlers map[string]http.Handler, rest http.Handler) (Mux, error) {
	m := &mux{rest: rest}
	// In one order, so that the error is the same each time.
	texts := slices.Sorted(maps.Keys(handlers))
	x := &places{dialect: d}
	for _, text := range texts {
		p, err := d.read(text)
		if err != nil {
			return nil, err
		}
		if i, _, ok := x.conflicting([]*pattern{p}); ok {
			return nil, fmt.Errorf("pattern %q conflicts with pattern %q", text, x.all[i].text)
		}
		x.put(p)
	}
	m.patterns = x.all
	slices.SortFunc(m.patterns, compare)
	for _, p := range m.patterns {
		m.handlers = append(m.handlers, handlers[p.text])
	}
	m.finder = d.finder(m.patterns)
	return m, nil
}

// compare puts the more specific pattern first: one with a host, then whose key is the lesser,
// then one with a method.
func compare(a, b *pattern) int {
	return cmp.Or(-cmp.Compare(min(len(a.host), 1), min(len(b.host), 1)), strings.Compare(a.key, b.key),
		strings.Compare(a.host, b.host), -strings.Compare(a.method, b.method))
}

// mux is a dialect's Mux.
type mux struct {
	finder
	patterns []*pattern
	handlers []http.Handler
	rest     http.Handler
}

// Handler implements Mux.
func (m *mux) Handler(r *http.Request) (http.Handler, string) {
	at, _ := m.find(r)
	switch {
	case at >= 0:
		return m.handlers[at], m.patterns[at].text
	case m.rest != nil:
		return m.rest, ""
	}
	return m.none(r), ""
}

// ServeHTTP implements Mux.
func (m *mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at, values := m.find(r)
	switch {
	case at >= 0:
		p := m.patterns[at]
		r.Pattern = p.text
		for i, name := range p.names {
			r.SetPathValue(name, values[i])
		}
		m.handlers[at].ServeHTTP(w, r)
	case m.rest != nil:
		m.rest.ServeHTTP(w, r)
	default:
		m.none(r).ServeHTTP(w, r)
	}
}

// Order returns valid patterns in the order in which they are tried, the more specific
// first. A router that goes by the order of registration does the same where they are
// registered in this one.
func (d dialect) Order(texts []string) []string {
	var all []*pattern
	for _, text := range texts {
		if p, err := d.read(text); err == nil {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, compare)
	sorted := make([]string, len(all))
	for i, p := range all {
		sorted[i] = p.text
	}
	return sorted
}
