package routes

import (
	"net/url"
	"strings"
)

// pattern is a parsed pattern, as net/http keeps it (its pattern.go): a path
// that ends in a slash ends in a multi wildcard, {$} is the literal "/".
type pattern struct {
	method, host string
	segments     []segment
}

// segment is one piece of a pattern's path.
type segment struct {
	literal string // of one that is no wildcard
	wild    bool
	multi   bool // a wildcard for all that remains
}

// parse takes a pattern apart. What is not Valid comes out as anything.
func parse(text string) (p pattern) {
	rest := text
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		p.method, rest = text[:i], strings.TrimLeft(text[i:], " \t")
	}
	p.host, rest, _ = strings.Cut(rest, "/")
	p.segments = make([]segment, 0, 1+strings.Count(rest, "/"))
	for {
		piece, more, inner := strings.Cut(rest, "/")
		name, wild := strings.CutPrefix(piece, "{")
		switch {
		case piece == "" && !inner:
			p.segments = append(p.segments, segment{wild: true, multi: true})
		case piece == "{$}":
			p.segments = append(p.segments, segment{literal: "/"})
		case wild:
			p.segments = append(p.segments, segment{wild: true, multi: strings.HasSuffix(name, "...}")})
		default:
			if unescaped, err := url.PathUnescape(piece); err == nil {
				piece = unescaped
			}
			p.segments = append(p.segments, segment{literal: piece})
		}
		if !inner {
			return p
		}
		rest = more
	}
}

// relation says how one pattern stands to another that some request could match
// too: in which way it is the more general. Both ways is an overlap, no way is
// to match the same requests; ServeMux serves neither of these two.
type relation uint8

const (
	apart relation = 1 << iota // ServeMux keeps them in different places
	moreGeneral
	moreSpecific

	general  = moreGeneral | apart
	specific = moreSpecific | apart
)

// conflict reports whether ServeMux would refuse to serve both.
func (r relation) conflict() bool {
	return (r&moreGeneral != 0) == (r&moreSpecific != 0) || r&apart == 0
}

// literalWild is how a literal segment stands to a wildcard: ServeMux keeps an
// empty one, as of "//", where it keeps wildcards.
func literalWild(literal string) relation {
	if literal == "" {
		return moreSpecific
	}
	return specific
}

func wildLiteral(literal string) relation {
	if literal == "" {
		return moreGeneral
	}
	return general
}

// methods compares two methods; ok says that some request has both.
func methods(a, b string) (r relation, ok bool) {
	switch {
	case a == b:
		return 0, true
	case a == "" || a == "GET" && b == "HEAD":
		return general, true
	case b == "" || b == "GET" && a == "HEAD":
		return specific, true
	}
	return 0, false
}
