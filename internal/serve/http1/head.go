// Package http1 is HTTP/1 as net/http's server speaks it: where a request ends,
// and the bytes of an answer. What net/http refuses is left to net/http: this
// package only has to agree with it about what it accepts.
package http1

import (
	"bytes"
	"net/url"
	"strconv"
	"strings"
)

// Status says what a Scanner knows of a head.
type Status byte

const (
	More   Status = iota // the head goes on
	Whole                // the head is complete, and net/http may accept it
	Broken               // net/http refuses it, whatever follows
)

// Chunked is the body length of a request in chunks.
const Chunked = -1

// Scanner finds the end of a request's head as it arrives, and how its body is
// framed. Its zero value is ready for a head.
type Scanner struct {
	// Plain says that the head is of the common kind: no body, no
	// expectation, every byte within the grammar of RFC 9112. Valid once
	// the head is Whole.
	Plain bool
	// Sized says that it would be Plain, were it not for a body whose length is
	// told. Valid once Whole.
	Sized bool
	// Body is the body's length in bytes, or Chunked. Valid once Whole.
	Body int64
	// Post says that the method is POST (RFC 7230, section 3.5: such
	// clients may send a stray line end behind a body).
	Post bool

	pos     int // where the line that is to be read begins
	lines   int
	odd     bool // not plain
	old     bool // before HTTP/1.1
	hosts   int
	lengths []string
	codings []string
	into    *[]string // where a continuation line belongs, or nil
}

// Len returns the length in bytes of a head that is Whole, its blank line
// included.
func (s *Scanner) Len() int { return s.pos }

// Scan looks at b, which holds all that has arrived of the request so far.
func (s *Scanner) Scan(b []byte) Status {
	for {
		i := bytes.IndexByte(b[s.pos:], '\n')
		if i < 0 {
			return More
		}
		line := b[s.pos : s.pos+i]
		s.pos += i + 1
		if i > 0 && line[i-1] == '\r' {
			line = line[:i-1]
		} else {
			s.odd = true
		}
		s.lines++
		ok := true
		switch {
		case s.lines == 1:
			ok = s.requestLine(line)
		case len(line) == 0:
			return s.finish()
		default:
			ok = s.field(line)
		}
		if !ok {
			return Broken
		}
	}
}

func (s *Scanner) requestLine(line []byte) bool {
	i := bytes.IndexByte(line, ' ')
	if i <= 0 {
		return false
	}
	method, rest := line[:i], line[i+1:]
	i = bytes.IndexByte(rest, ' ')
	if i < 0 {
		return false
	}
	target, proto := rest[:i], rest[i+1:]
	for _, c := range method {
		if !token[c] {
			return false
		}
	}
	if len(proto) != len("HTTP/1.1") || string(proto[:7]) != "HTTP/1." || proto[7] < '0' || proto[7] > '9' {
		return false // HTTP/2's preface among them: the connection ends
	}
	s.old = proto[7] == '0'
	s.odd = s.odd || proto[7] > '1' || len(target) == 0 || target[0] != '/'
	s.Post = string(method) == "POST"
	for _, c := range target {
		if !literal[c] {
			s.odd = s.odd || c != '%'
			return validTarget(string(method), string(target))
		}
	}
	return !s.odd || validTarget(string(method), string(target))
}

// validTarget reports whether net/http takes the target, by net/url's rules.
func validTarget(method, target string) bool {
	if method == "CONNECT" && !strings.HasPrefix(target, "/") {
		target = "http://" + target
	}
	_, err := url.ParseRequestURI(target)
	return err == nil
}

func (s *Scanner) field(line []byte) bool {
	if line[0] == ' ' || line[0] == '\t' { // obsolete line folding
		if s.lines == 2 {
			return false
		}
		s.odd = true
		if s.into != nil {
			v := *s.into
			v[len(v)-1] += " " + string(trim(line))
		}
		return true
	}
	s.into = nil
	i := bytes.IndexByte(line, ':')
	if i < 0 {
		return false
	}
	key, value := line[:i], line[i+1:]
	for _, c := range key {
		if !token[c] {
			s.odd = true
			return c == ' ' // net/http reads on, and refuses it in the end
		}
	}
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			s.odd = true
			break
		}
	}
	switch len(key) {
	case 0:
		s.odd = true
	case len("Host"):
		if equalFold(key, "host") {
			s.hosts++
			for _, c := range trim(value) {
				if !host[c] {
					s.odd = true
				}
			}
		}
	case len("Expect"):
		s.odd = s.odd || equalFold(key, "expect")
	case len("Content-Length"):
		if equalFold(key, "content-length") {
			s.lengths = append(s.lengths, string(trim(value)))
			s.into = &s.lengths
		}
	case len("Transfer-Encoding"):
		if equalFold(key, "transfer-encoding") {
			s.odd = true
			s.codings = append(s.codings, string(trim(value)))
			s.into = &s.codings
		}
	}
	return true
}

// finish decides how the body is framed, by the rules of net/http's
// readTransfer.
func (s *Scanner) finish() Status {
	// A continuation may have left white space at the ends of a value.
	chunked := false
	if len(s.codings) > 0 && !s.old {
		if len(s.codings) > 1 || !strings.EqualFold(strings.Trim(s.codings[0], " \t"), "chunked") {
			return Broken
		}
		chunked = true
	}
	for _, l := range s.lengths {
		if strings.Trim(l, " \t") != strings.Trim(s.lengths[0], " \t") {
			return Broken
		}
	}
	if len(s.lengths) > 0 {
		n, err := strconv.ParseUint(strings.Trim(s.lengths[0], " \t"), 10, 63)
		if err != nil {
			return Broken
		}
		s.Body = int64(n)
	}
	if chunked {
		s.Body = Chunked
	}
	common := !s.odd && (s.hosts == 1 || s.old && s.hosts == 0)
	s.Plain = common && s.Body == 0
	s.Sized = common && s.Body > 0
	return Whole
}

func trim(b []byte) []byte { return bytes.Trim(b, " \t") }

// equalFold compares with a lower-case name of the same length.
func equalFold(b []byte, lower string) bool {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// token are the bytes of a token (RFC 9110, section 5.6.2), literal those that
// stand for themselves in a target, host those of a Host field that needs no
// second look.
var token, literal, host = class("!#$%&'*+-.^_`|~"), class("/-._~!$&'()*+,;=:@?"), class(".-_:[]")

func class(more string) (c [256]bool) {
	for b := range 256 {
		letter := 'a' <= b|0x20 && b|0x20 <= 'z'
		c[b] = letter || '0' <= b && b <= '9' || strings.IndexByte(more, byte(b)) >= 0 && b < 0x80
	}
	return c
}
