package routes

import (
	"slices"

	"github.com/andrestc/go-plugserver/internal/between/routers"
)

// Index finds the items whose patterns some request could match that matches a
// given pattern, too.
type Index[T any] struct {
	items  []T
	places routers.Places // of their patterns
}

// NewIndex returns an index of items, in whose order it answers. Their patterns are of
// the dialect.
func NewIndex[T any](d Dialect, items []T, pattern func(T) string) *Index[T] {
	x := &Index[T]{places: d.router().Places()}
	for _, item := range items {
		x.Add(item, pattern(item))
	}
	return x
}

// Add adds an item and its pattern, which is Valid.
func (x *Index[T]) Add(item T, pattern string) {
	x.items = append(x.items, item)
	x.places.Add(pattern)
}

// Overlapping returns the items some of whose requests one of the patterns
// matches, too, whatever the method, and those that Conflicting might. There may be others among them.
func (x *Index[T]) Overlapping(patterns []string) (found []T) {
	for _, i := range x.places.Overlapping(patterns) {
		found = append(found, x.items[i])
	}
	return found
}

// Conflicting returns the first item beside whose pattern the router would not
// serve one of the patterns, and the first such one.
func (x *Index[T]) Conflicting(patterns ...string) (item T, pattern string, ok bool) {
	i, j, ok := x.places.Conflicting(patterns)
	if !ok {
		return item, "", false
	}
	return x.items[i], patterns[j], true
}

// tree is the places of ServeMux's patterns. It keeps them in trees of segments, so
// that it looks at little more than what it finds.
type tree struct {
	methods []string         // of the patterns
	hosts   map[string]*node // the trees, by host
}

// treeOf returns the places of the patterns.
func treeOf(patterns []string) *tree {
	x := &tree{hosts: make(map[string]*node)}
	for _, p := range patterns {
		x.Add(p)
	}
	return x
}

// node is where all patterns of a tree meet that begin alike.
type node struct {
	literals map[string]*node
	wild     *node
	ends     []int // patterns that end here
	multis   []int // patterns that go on with a multi wildcard
}

func (x *tree) Add(text string) {
	p := parse(text)
	n := x.hosts[p.host]
	if n == nil {
		n = &node{}
		x.hosts[p.host] = n
	}
	at := len(x.methods)
	x.methods = append(x.methods, p.method)
	for _, s := range p.segments {
		switch {
		case s.multi:
			n.multis = append(n.multis, at)
			return // it is the last
		case s.wild:
			if n.wild == nil {
				n.wild = &node{}
			}
			n = n.wild
		default:
			if n.literals == nil {
				n.literals = make(map[string]*node)
			}
			next := n.literals[s.literal]
			if next == nil {
				next = &node{}
				n.literals[s.literal] = next
			}
			n = next
		}
	}
	n.ends = append(n.ends, at)
}

func (x *tree) Overlapping(patterns []string) (at []int) {
	take := func(items, others []int, _ relation) {
		if len(others) > 0 {
			at = append(at, items...)
		}
	}
	y := treeOf(patterns)
	for host, theirs := range y.hosts {
		for of, mine := range x.hosts {
			if host == "" || of == "" || host == of {
				meet(mine, theirs, 0, take)
			}
		}
	}
	slices.Sort(at)
	return slices.Compact(at)
}

func (x *tree) Conflicting(patterns []string) (mine, theirs int, ok bool) {
	y := treeOf(patterns)
	first := [2]int{-1, -1}
	for host, theirs := range y.hosts {
		mine := x.hosts[host] // one with a host wins over one without
		if mine == nil {
			continue
		}
		meet(mine, theirs, 0, func(items, others []int, r relation) {
			for _, i := range items {
				for _, j := range others {
					m, both := methods(x.methods[i], y.methods[j])
					pair := [2]int{i, j}
					if both && (r | m).conflict() && (!ok || slices.Compare(pair[:], first[:]) < 0) {
						first, ok = pair, true
					}
				}
			}
		})
	}
	return first[0], first[1], ok
}

// meet visits the items of two trees whose paths have one in common, and tells
// how a's stand to b's. It walks both at once, r so far, and only where both go on:
// two trees of thousands of wildcards have few paths in common.
func meet(a, b *node, r relation, visit func(as, bs []int, r relation)) {
	visit(a.ends, b.ends, r)
	visit(a.multis, b.multis, r)
	if len(a.multis) > 0 {
		b.below(func(items []int) { visit(a.multis, items, r|general) })
	}
	if len(b.multis) > 0 {
		a.below(func(items []int) { visit(items, b.multis, r|specific) })
	}
	if len(a.literals) <= len(b.literals) {
		for literal, next := range a.literals {
			if other := b.literals[literal]; other != nil {
				meet(next, other, r, visit)
			}
		}
	} else {
		for literal, next := range b.literals {
			if other := a.literals[literal]; other != nil {
				meet(other, next, r, visit)
			}
		}
	}
	// A wildcard stands for no path that ends in a slash, which is the literal "/".
	if b.wild != nil {
		for literal, next := range a.literals {
			if literal != "/" {
				meet(next, b.wild, r|literalWild(literal), visit)
			}
		}
	}
	if a.wild != nil {
		for literal, next := range b.literals {
			if literal != "/" {
				meet(a.wild, next, r|wildLiteral(literal), visit)
			}
		}
		if b.wild != nil {
			meet(a.wild, b.wild, r, visit)
		}
	}
}

// below visits all items beyond this node.
func (n *node) below(visit func(items []int)) {
	each := func(next *node) {
		visit(next.ends)
		visit(next.multis)
		next.below(visit)
	}
	for _, next := range n.literals {
		each(next)
	}
	if n.wild != nil {
		each(n.wild)
	}
}
