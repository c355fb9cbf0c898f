package routers

import (
	"slices"
	"strings"
)

// ranked finds, of sorted patterns, the first that matches. It looks at those whose
// path begins with what the request's begins with, segment by segment.
type ranked struct {
	patterns []*pattern
	exact    map[string][]int // without parameters, by path
	begin    map[string][]int // others, by what stands before the segment of the first
}

func rank(sorted []*pattern) *ranked {
	x := &ranked{patterns: sorted, exact: make(map[string][]int), begin: make(map[string][]int)}
	for at, p := range sorted {
		if len(p.names) == 0 {
			x.exact[p.path] = append(x.exact[p.path], at)
			continue
		}
		before := p.tokens[0].text
		before = before[:strings.LastIndexByte(before, '/')+1]
		x.begin[before] = append(x.begin[before], at)
	}
	return x
}

// first returns the place of the first pattern for which match is true, -1 if there is
// none. Those that have other beginnings than the path are not tried.
func (x *ranked) first(path string, match func(p *pattern) bool) int {
	best := -1
	look := func(at []int) {
		for _, i := range at {
			if best >= 0 && i > best {
				return
			}
			if match(x.patterns[i]) {
				best = i
				return
			}
		}
	}
	look(x.exact[path])
	for end := len(path); end > 0; {
		if end = strings.LastIndexByte(path[:end], '/'); end < 0 {
			break
		}
		look(x.begin[path[:end+1]])
	}
	return best
}

// each visits, in order, all that first would try.
func (x *ranked) each(path string, visit func(p *pattern)) {
	var all []int
	all = append(all, x.exact[path]...)
	for i := range len(path) {
		if path[i] == '/' {
			all = append(all, x.begin[path[:i+1]]...)
		}
	}
	slices.Sort(all)
	for _, i := range all {
		visit(x.patterns[i])
	}
}
