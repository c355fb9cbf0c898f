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

// conflict is what ServeMux says, without where each pattern was registered:
// here, always.
func conflict(text string) string {
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
			err = fmt.Errorf("pattern %q: %s", pattern, conflict(fmt.Sprint(p)))
		}
	}()
	mux.Handle(pattern, h)
	return nil
}

// Valid reports what is wrong with a pattern, in ServeMux's words.
func Valid(pattern string) error {
	return add(http.NewServeMux(), pattern, http.NotFoundHandler())
}

// Conflict reports whether ServeMux would refuse to serve both patterns: they
// match a request in common and neither is the more specific.
func Conflict(a, b string) bool {
	mux := http.NewServeMux()
	return add(mux, a, http.NotFoundHandler()) == nil && add(mux, b, http.NotFoundHandler()) != nil
}

// Beside returns those of more that ServeMux would serve beside all of base,
// and beside each other, the earlier first.
func Beside(base, more []string) (served []string) {
	mux := http.NewServeMux()
	for _, p := range base {
		add(mux, p, http.NotFoundHandler())
	}
	for _, p := range more {
		if add(mux, p, http.NotFoundHandler()) == nil {
			served = append(served, p)
		}
	}
	return served
}

// MayOverlap reports whether some request could match both patterns. It errs
// on the side of true: it compares hosts and first path segments alone.
func MayOverlap(a, b string) bool {
	ha, sa := parse(a)
	hb, sb := parse(b)
	if ha != "" && hb != "" && ha != hb {
		return false
	}
	return sa == "" || sb == "" || sa == sb
}

// Index finds the items whose patterns may overlap with given ones, without
// comparing each with each.
type Index[T any] struct {
	items   []T
	pattern func(T) string
	segment map[string][]int // ascending, by first path segment
}

// NewIndex returns an index of items, in whose order it answers.
func NewIndex[T any](items []T, pattern func(T) string) *Index[T] {
	x := &Index[T]{items, pattern, make(map[string][]int)}
	for i, item := range items {
		_, segment := parse(pattern(item))
		x.segment[segment] = append(x.segment[segment], i)
	}
	return x
}

// Overlapping returns the items that MayOverlap with one of the patterns.
func (x *Index[T]) Overlapping(patterns []string) (found []T) {
	seen := make(map[int]bool)
	for _, p := range patterns {
		_, segment := parse(p)
		if segment == "" {
			for i, item := range x.items {
				seen[i] = seen[i] || MayOverlap(p, x.pattern(item))
			}
			continue
		}
		for _, i := range slices.Concat(x.segment[segment], x.segment[""]) {
			seen[i] = seen[i] || MayOverlap(p, x.pattern(x.items[i]))
		}
	}
	for _, i := range slices.Sorted(maps.Keys(seen)) {
		if seen[i] {
			found = append(found, x.items[i])
		}
	}
	return found
}

// parse returns the pattern's host and its path's first segment, which is
// empty where the segment is a wildcard or the root.
func parse(pattern string) (host, segment string) {
	if i := strings.IndexAny(pattern, " \t"); i >= 0 {
		pattern = strings.TrimLeft(pattern[i:], " \t")
	}
	host, path, _ := strings.Cut(pattern, "/")
	segment, _, _ = strings.Cut(path, "/")
	if strings.ContainsAny(segment, "{%") {
		segment = ""
	}
	return host, segment
}
