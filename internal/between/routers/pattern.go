package routers

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// pattern is a pattern that was read: [METHOD ][HOST]/[PATH].
type pattern struct {
	text, method, host, path string

	tokens []token
	names  []string // of the parameters, in order
	// key is the path without the names. Of two paths that match a request, the lesser
	// key's is the more specific: it consists of the path's bytes, which are UTF-8, and of
	// greater ones for parameters.
	key string

	// segments are what stands between the path's slashes, wild for what a parameter is
	// part of. Those behind one whose value may hold a slash are left out: it is open then.
	segments []string
	open     bool
}

// wild is no segment.
const wild = "\xff"

// token is one piece of a path.
type token struct {
	kind kind
	text string         // of a literal
	tail byte           // what ends a parameter, as chi sees it
	rex  *regexp.Regexp // of a parameter that has one
}

// kind is what a token is. A parameter's is a byte of keys.
type kind byte

const (
	literal kind = 0
	matched kind = 0xF8 // a parameter with a regular expression
	param   kind = 0xF9 // up to the next slash
	deep    kind = 0xFA // a parameter with a regular expression that matches slashes
	all     kind = 0xFB // all that remains
)

// split reads of a pattern what all dialects have in common.
func split(text string) (*pattern, error) {
	p := &pattern{text: text}
	rest := text
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		p.method, rest = text[:i], strings.TrimLeft(text[i:], " \t")
		if !isMethod(p.method) {
			return nil, fmt.Errorf("invalid method %q", p.method)
		}
	}
	i := strings.IndexByte(rest, '/')
	if i < 0 {
		return nil, errors.New("host/path missing /")
	}
	p.host, p.path = rest[:i], rest[i:]
	for _, b := range []byte(p.path) {
		if b < ' ' || b == 0x7f {
			return nil, fmt.Errorf("control character %q", b)
		}
	}
	return p, nil
}

// isMethod reports whether s is a method, in capitals.
func isMethod(s string) bool {
	for _, b := range []byte(s) {
		if (b < 'A' || b > 'Z') && b != '-' && b != '_' {
			return false
		}
	}
	return s != ""
}

// hasMethod reports whether the pattern has the method.
func (p *pattern) hasMethod(method string) bool { return p.method == "" || p.method == method }

// noHost refuses a host.
func (p *pattern) noHost() error {
	if p.host != "" {
		return fmt.Errorf("host %q: this router has patterns without hosts", p.host)
	}
	return nil
}

// distinct refuses a name that two parameters have.
func (p *pattern) distinct() error {
	for i, name := range p.names {
		if slices.Contains(p.names[:i], name) {
			return fmt.Errorf("duplicate parameter %q", name)
		}
	}
	return nil
}

// add adds a token; its key is what tells it from others of its kind.
func (p *pattern) add(t token, name, key string) {
	p.tokens = append(p.tokens, t)
	if len(p.segments) == 0 {
		p.segments = append(p.segments, "")
	}
	last := &p.segments[len(p.segments)-1]
	if t.kind == literal {
		p.key += t.text
		if p.open {
			return
		}
		for i, piece := range strings.Split(t.text, "/") {
			switch {
			case i > 0:
				p.segments = append(p.segments, piece)
			case *last != wild:
				*last += piece
			}
		}
		return
	}
	p.key += string([]byte{byte(t.kind)}) + key
	p.names = append(p.names, name)
	switch {
	case p.open:
	case t.kind == all, t.kind == deep, t.kind == matched && t.tail != '/':
		p.open = true
		p.segments = p.segments[:len(p.segments)-1]
	default:
		*last = wild
	}
}

// disjoint reports whether no request has both patterns, whatever its method. It may
// not find out.
func disjoint(a, b *pattern) bool {
	if a.host != b.host && a.host != "" && b.host != "" {
		return true
	}
	for i := range min(len(a.segments), len(b.segments)) {
		if x, y := a.segments[i], b.segments[i]; x != y && x != wild && y != wild {
			return true
		}
	}
	return len(a.segments) > len(b.segments) && !b.open || len(b.segments) > len(a.segments) && !a.open
}

// braces returns where the outermost braces of s begin and end, in turns.
func braces(s string) (at []int, err error) {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			if depth++; depth == 1 {
				at = append(at, i)
			}
		case '}':
			if depth--; depth == 0 {
				at = append(at, i+1)
			}
			if depth < 0 {
				return nil, errors.New("} without {")
			}
		}
	}
	if depth != 0 {
		return nil, errors.New("{ without }")
	}
	return at, nil
}

// parameter reads what stands between braces: a name, or a name and a regular expression.
func parameter(inner string) (name, expression string, err error) {
	name, expression, ok := strings.Cut(inner, ":")
	switch {
	case inner == "$" || strings.HasSuffix(inner, "..."):
		return "", "", fmt.Errorf("bad parameter {%s}: that is net/http's syntax", inner)
	case name == "" || strings.ContainsAny(name, "{}*/ "):
		return "", "", fmt.Errorf("bad parameter {%s}: it needs a name", inner)
	case ok && expression == "":
		return "", "", fmt.Errorf("bad parameter {%s}: its regular expression is empty", inner)
	}
	return name, expression, nil
}

// answer is a handler that gives a status and nothing else.
func answer(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}
