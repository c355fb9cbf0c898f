// Package routes holds the route table: which pattern belongs to which cell.
// A table is immutable once built. The syntax of patterns and the precedence among
// them are a router's: its Dialect.
package routes

import (
	"errors"
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/routers"
)

// The bounds of a handler's patterns that hold where an operator sets no others:
// their number, and the bytes of each.
const (
	MaxPatterns     = 1000
	MaxPatternBytes = 4 << 10
)

// Dialect is the router, by its name, whose patterns handlers give. All of a table are of
// one. The zero Dialect is Std.
type Dialect string

// The dialects. Each matches as that router does by default.
const (
	Std        Dialect = "std" // net/http.ServeMux
	Chi        Dialect = "chi"
	Gorilla    Dialect = "gorilla"
	HTTPRouter Dialect = "httprouter"
)

// Mux finds the handler of a request, and its pattern; it answers what has none.
type Mux = routers.Mux

// Dialects are the names of all, for who reads them.
const Dialects = "std, chi, gorilla or httprouter"

// String implements flag.Value.
func (d Dialect) String() string { return string(d) }

// Set implements flag.Value.
func (d *Dialect) Set(name string) error {
	if name == "" || known[Dialect(name)] == nil {
		return errors.New("possible are " + Dialects)
	}
	*d = Dialect(name)
	return nil
}

// known are the routers of the dialects.
var known = map[Dialect]routers.Router{Std: std{}, "": std{}, Chi: routers.Chi, Gorilla: routers.Gorilla, HTTPRouter: routers.HTTPRouter}

func (d Dialect) router() routers.Router { return known[d] }

// Mux returns a Mux with every pattern of handlers. A pattern that is malformed, or that
// conflicts with another, is an error that names it.
func (d Dialect) Mux(handlers map[string]http.Handler) (Mux, error) {
	return d.router().Mux(handlers, nil)
}

// MuxAmong is Mux for handlers some of whose requests somebody else's patterns decide:
// what no pattern matches is rest's.
func (d Dialect) MuxAmong(handlers map[string]http.Handler, rest http.Handler) (Mux, error) {
	return d.router().Mux(handlers, rest)
}

// Valid reports what is wrong with a pattern, in the router's words.
func (d Dialect) Valid(pattern string) error { return d.router().Valid(pattern) }

// Refuse is the refusal of a pattern, for what Valid or Mux says.
func (d Dialect) Refuse(err error) *refusal.Error { return refusal.Pattern(err, d.router().Syntax()) }

// Beside returns those of more that the router would serve beside all of base,
// and beside each other, the earlier first. All are Valid.
func (d Dialect) Beside(base, more []string) (served []string) {
	x := NewIndex(d, base, func(p string) string { return p })
	for _, p := range more {
		if _, _, conflicts := x.Conflicting(p); !conflicts {
			x.Add(p, p)
			served = append(served, p)
		}
	}
	return served
}

// Offered returns the patterns that a handler of that name gave, sorted and each once,
// or why they are none: plugserverd and plugserverctl check judge by it. It is foreign
// input. The bounds are Check's.
func (d Dialect) Offered(handler string, patterns []string, most, mostBytes int) ([]string, *refusal.Error) {
	if len(patterns) == 0 {
		return nil, refusal.NoPatterns(handler)
	}
	if refused := d.Check(patterns, most, mostBytes); refused != nil {
		return nil, refused
	}
	patterns = slices.Clone(patterns)
	slices.Sort(patterns)
	return slices.Compact(patterns), nil
}

// Check refuses patterns that are no handler's: too many, too long, malformed,
// or such as do not come through a link unharmed. most is how many a handler may
// have, mostBytes how long each may be; 0 is any.
func (d Dialect) Check(patterns []string, most, mostBytes int) *refusal.Error {
	if most > 0 && len(patterns) > most {
		return refusal.TooManyPatterns(len(patterns), most)
	}
	for _, p := range patterns {
		if mostBytes > 0 && len(p) > mostBytes {
			return refusal.LongPattern(p, mostBytes)
		}
		if !utf8.ValidString(p) {
			return refusal.PatternEncoding(p)
		}
		if err := d.Valid(p); err != nil {
			return d.Refuse(err)
		}
	}
	return nil
}
