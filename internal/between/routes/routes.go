// Package routes holds the route table: which pattern belongs to which cell.
// A table is immutable once built. Patterns and the precedence among them are
// those of net/http.ServeMux, which does all matching.
package routes

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
)

// The bounds of a handler's patterns that hold where an operator sets no others:
// their number, and the bytes of each.
const (
	MaxPatterns     = 1000
	MaxPatternBytes = 4 << 10
)

// Mux returns a ServeMux with every pattern of handlers. A pattern that is
// malformed, or that conflicts with another, is an error that names it.
func Mux(handlers map[string]http.Handler) (*http.ServeMux, error) {
	mux := http.NewServeMux()
	// In one order, so that the error is the same each time.
	for _, pattern := range slices.Sorted(maps.Keys(handlers)) {
		if err := add(mux, pattern, handlers[pattern]); err != nil {
			return nil, err
		}
	}
	return mux, nil
}

// unplaced is what ServeMux says, without where each pattern was registered:
// here, always.
func unplaced(text string) string {
	for {
		head, tail, ok := strings.Cut(text, " (registered at ")
		if !ok {
			return text
		}
		_, tail, _ = strings.Cut(tail, ")")
		text = head + tail
	}
}

// add registers h. ServeMux reports a bad pattern by a panic.
func add(mux *http.ServeMux, pattern string, h http.Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("pattern %q: %s", pattern, unplaced(fmt.Sprint(p)))
		}
	}()
	mux.Handle(pattern, h)
	return nil
}

// Valid reports what is wrong with a pattern, in ServeMux's words.
func Valid(pattern string) error {
	return add(http.NewServeMux(), pattern, http.NotFoundHandler())
}

// Beside returns those of more that ServeMux would serve beside all of base,
// and beside each other, the earlier first. All are Valid.
func Beside(base, more []string) (served []string) {
	x := NewIndex(base, func(p string) string { return p })
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
func Offered(handler string, patterns []string, most, mostBytes int) ([]string, *refusal.Error) {
	if len(patterns) == 0 {
		return nil, refusal.NoPatterns(handler)
	}
	if refused := Check(patterns, most, mostBytes); refused != nil {
		return nil, refused
	}
	patterns = slices.Clone(patterns)
	slices.Sort(patterns)
	return slices.Compact(patterns), nil
}

// Check refuses patterns that are no handler's: too many, too long, malformed,
// or such as do not come through a link unharmed. most is how many a handler may
// have, mostBytes how long each may be; 0 is any.
func Check(patterns []string, most, mostBytes int) *refusal.Error {
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
		if err := Valid(p); err != nil {
			return refusal.Pattern(err)
		}
	}
	return nil
}
