package routers

import "slices"

// places is a dialect's Places. It keeps the patterns in a tree of the segments before
// their first parameter: it looks at those of the same beginning alone.
type places struct {
	dialect
	all  []*pattern
	root branch
}

// branch is where all patterns meet that begin alike.
type branch struct {
	next map[string]*branch
	here []int // patterns that end, or go on with a parameter
}

// Places implements Router.
func (d dialect) Places() Places { return &places{dialect: d} }

// Add implements Places.
func (x *places) Add(text string) { x.put(x.valid(text)) }

// valid reads a pattern, which is Valid.
func (x *places) valid(text string) *pattern {
	p, err := x.read(text)
	if err != nil {
		panic(err)
	}
	return p
}

func (x *places) put(p *pattern) {
	b := &x.root
	for _, s := range p.static() {
		next := b.next[s]
		if next == nil {
			if b.next == nil {
				b.next = make(map[string]*branch)
			}
			next = &branch{}
			b.next[s] = next
		}
		b = next
	}
	b.here = append(b.here, len(x.all))
	x.all = append(x.all, p)
}

// static are the segments before the first parameter.
func (p *pattern) static() []string {
	if i := slices.Index(p.segments, wild); i >= 0 {
		return p.segments[:i]
	}
	return p.segments
}

// beside visits the patterns that begin as p does, as far as both have no parameters.
func (x *places) beside(p *pattern, visit func(at int)) {
	see := func(at []int) {
		for _, i := range at {
			visit(i)
		}
	}
	b := &x.root
	for _, s := range p.static() {
		see(b.here)
		if b = b.next[s]; b == nil {
			return
		}
	}
	b.walk(see)
}

// walk visits all that is here and beyond.
func (b *branch) walk(see func([]int)) {
	see(b.here)
	for _, next := range b.next {
		next.walk(see)
	}
}

// Overlapping implements Places.
func (x *places) Overlapping(patterns []string) (found []int) {
	for _, text := range patterns {
		p := x.valid(text)
		x.beside(p, func(at int) {
			if !disjoint(x.all[at], p) || x.conflict(x.all[at], p) {
				found = append(found, at)
			}
		})
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// Conflicting implements Places.
func (x *places) Conflicting(patterns []string) (mine, theirs int, ok bool) {
	read := make([]*pattern, len(patterns))
	for i, text := range patterns {
		read[i] = x.valid(text)
	}
	return x.conflicting(read)
}

func (x *places) conflicting(patterns []*pattern) (mine, theirs int, ok bool) {
	for j, p := range patterns {
		x.beside(p, func(at int) {
			if x.conflict(x.all[at], p) && (!ok || at < mine) {
				mine, theirs, ok = at, j, true
			}
		})
	}
	return mine, theirs, ok
}

// sameKey is the conflict of routers that take one pattern for each path and method.
func sameKey(a, b *pattern) bool {
	return a.key == b.key && a.host == b.host && a.method == b.method
}
