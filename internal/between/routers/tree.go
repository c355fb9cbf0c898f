package routers

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// node is where all patterns of one method meet that begin alike, as httprouter keeps
// them: a redirect depends on where nodes end. None of its patterns conflict.
type node struct {
	path  string
	at    int     // of the pattern that ends here, -1 if none does
	next  []*node // what goes on with a literal; their first bytes differ
	param *node   // what goes on with a parameter: it has no path, and one in next at the most
	all   int     // of the pattern that goes on with a slash and all that remains, or -1
}

// rest is what remains of the pattern at a place.
type rest struct {
	path string
	at   int
}

// grow returns a node for what begins alike: the root, for all.
func grow(all []rest) *node {
	n := &node{at: -1, all: -1, path: literalOf(all[0].path)}
	for _, r := range all[1:] {
		text := literalOf(r.path)
		i := 0
		for i < min(len(text), len(n.path)) && text[i] == n.path[i] {
			i++
		}
		n.path = n.path[:i]
	}
	for i := range all {
		all[i].path = all[i].path[len(n.path):]
	}
	n.divide(all)
	return n
}

// literalOf is what stands before the first parameter.
func literalOf(path string) string {
	i := strings.IndexAny(path, ":*")
	switch {
	case i < 0:
		return path
	case path[i] == '*':
		i-- // the slash is part of it
	}
	return path[:i]
}

// divide hands on what is behind the node's path.
func (n *node) divide(all []rest) {
	var params []rest
	literals := make(map[byte][]rest)
	for _, r := range all {
		switch {
		case r.path == "":
			n.at = r.at
		case strings.HasPrefix(r.path, "/*"):
			n.all = r.at
		case r.path[0] == ':':
			params = append(params, rest{r.path[segment(r.path):], r.at})
		default:
			literals[r.path[0]] = append(literals[r.path[0]], r)
		}
	}
	for _, same := range literals {
		n.next = append(n.next, grow(same))
	}
	if params == nil {
		return
	}
	n.param = &node{at: -1, all: -1}
	var longer []rest
	for _, r := range params {
		if r.path == "" {
			n.param.at = r.at
		} else {
			longer = append(longer, r)
		}
	}
	if longer != nil {
		n.param.next = []*node{grow(longer)}
	}
}

// segment is how long the path's first segment is.
func segment(path string) int {
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return i
	}
	return len(path)
}

// child returns what goes on with the byte, or nil.
func (n *node) child(b byte) *node {
	for _, c := range n.next {
		if c.path != "" && c.path[0] == b {
			return c
		}
	}
	return nil
}

// find returns the place of the path's pattern, -1 if there is none, and the values of its
// parameters. slash says that httprouter redirects to the path with another end then: to
// the one without its slash, or with one. There need not be a pattern for that.
func (n *node) find(path string) (at int, values []string, slash bool) {
	for {
		if path == n.path {
			return n.at, values, n.at < 0 && n.slashed(path)
		}
		if !strings.HasPrefix(path, n.path) {
			longer := len(n.path) == len(path)+1 && n.path == path+"/"
			return -1, nil, path == "/" || longer && n.at >= 0
		}
		path = path[len(n.path):]
		if n.param == nil {
			c := n.child(path[0])
			switch {
			case c != nil:
				n = c
				continue
			case path[0] == '/' && n.all >= 0:
				return n.all, append(values, path), false
			}
			return -1, nil, path == "/" && n.at >= 0
		}
		end := segment(path)
		values = append(values, path[:end])
		n, path = n.param, path[end:]
		switch {
		case path == "" && n.at >= 0:
			return n.at, values, false
		case path == "":
			return -1, nil, n.slash() != nil
		case len(n.next) == 0:
			return -1, nil, path == "/"
		}
		n = n.next[0]
	}
}

// slashed reports whether a path that ends here, where no pattern does, is redirected.
func (n *node) slashed(path string) bool {
	return path == "/" && n.param != nil || n.all >= 0 || n.slash() != nil
}

// slash returns the node of a pattern that has a slash more, or nil.
func (n *node) slash() *node {
	if c := n.child('/'); c != nil && c.path == "/" && c.at >= 0 {
		return c
	}
	return nil
}

// fold appends the path as patterns have it whose literals differ from it in case, or by the last
// slash. rest is what remains of a rune of which a part was in the node before.
func (n *node) fold(path string, out []byte, rest [4]byte) ([]byte, bool) {
	for len(path) >= len(n.path) && (n.path == "" || strings.EqualFold(path[1:len(n.path)], n.path[1:])) {
		before, length := path, len(n.path)
		path, out = path[length:], append(out, n.path...)
		switch {
		case path == "" && n.at >= 0:
			return out, true
		case path == "":
			return append(out, '/'), n.all >= 0 || n.slash() != nil
		case n.param != nil:
			end := segment(path)
			out, path, n = append(out, path[:end]...), path[end:], n.param
			switch {
			case path == "" && n.at >= 0:
				return out, true
			case path == "":
				return append(out, '/'), n.slash() != nil
			case len(n.next) == 0:
				return out, path == "/"
			}
			n = n.next[0]
			continue
		}
		if rest = behind(rest, length); rest[0] != 0 {
			c := n.child(rest[0])
			if c == nil {
				return out, path == "/" && n.at >= 0
			}
			n = c
			continue
		}
		lower, upper, differ := cases(before, length)
		if lower[0] == '/' && n.all >= 0 {
			return append(out, path...), true
		}
		if c := n.child(lower[0]); c != nil {
			if found, ok := c.fold(path, slices.Clone(out), lower); ok {
				return found, true
			}
		}
		rest = lower
		c := n.child(upper[0])
		if !differ || c == nil {
			return out, path == "/" && n.at >= 0
		}
		n, rest = c, upper
	}
	if path == "/" {
		return out, true
	}
	longer := len(path)+1 == len(n.path) && n.path[len(path)] == '/' && strings.EqualFold(path[1:], n.path[1:len(path)])
	return append(out, n.path...), longer && n.at >= 0
}

// cases returns the bytes from at on of the rune that is there, in lower and upper case.
func cases(path string, at int) (lower, upper [4]byte, differ bool) {
	var r rune
	off := 0
	for ; off < min(at, 3); off++ { // a rune may have begun in the node before
		if utf8.RuneStart(path[at-off]) {
			r, _ = utf8.DecodeRuneInString(path[at-off:])
			break
		}
	}
	lo, up := unicode.ToLower(r), unicode.ToUpper(r)
	utf8.EncodeRune(lower[:], lo)
	utf8.EncodeRune(upper[:], up)
	return behind(lower, off), behind(upper, off), lo != up
}

// behind returns the bytes of a rune behind the first n.
func behind(r [4]byte, n int) (rest [4]byte) {
	copy(rest[:], r[min(n, 4):])
	return rest
}
