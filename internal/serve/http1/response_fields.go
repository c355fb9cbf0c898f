package http1

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// key is a header field that a response's framing depends on.
type key byte

const (
	keyOther key = iota
	keyConnection
	keyContentEncoding
	keyContentLength
	keyContentType
	keyDate
	keyTrailer
	keyTransferEncoding
	keyUpgrade
	keys
)

func keyOf(name string) key {
	switch name {
	case "Connection":
		return keyConnection
	case "Content-Encoding":
		return keyContentEncoding
	case "Content-Length":
		return keyContentLength
	case "Content-Type":
		return keyContentType
	case "Date":
		return keyDate
	case "Trailer":
		return keyTrailer
	case "Transfer-Encoding":
		return keyTransferEncoding
	case "Upgrade":
		return keyUpgrade
	}
	return keyOther
}

type headerField struct {
	name   string
	values []string
}

// headerFields is a copy of an http.Header, in the order of the wire. It is
// taken again and again without allocating.
type headerFields struct {
	list     []headerField
	backing  []string  // of the values
	at       [keys]int // in list, plus one
	prefixed bool      // a name begins with http.TrailerPrefix
}

func (f *headerFields) reset() {
	clear(f.list)
	clear(f.backing)
	*f = headerFields{list: f.list[:0], backing: f.backing[:0]}
}

func (f *headerFields) take(h http.Header) {
	f.reset()
	for name, values := range h {
		n := len(f.backing)
		f.backing = append(f.backing, values...)
		f.list = append(f.list, headerField{name, f.backing[n:]})
	}
	if len(f.list) > 1 {
		slices.SortFunc(f.list, func(a, b headerField) int { return strings.Compare(a.name, b.name) })
	}
	for i := range f.list {
		name := f.list[i].name
		if k := keyOf(name); k != keyOther {
			f.at[k] = i + 1
		} else if strings.HasPrefix(name, http.TrailerPrefix) {
			f.prefixed = true
		}
	}
}

// has reports whether the field is there, be it without a value.
func (f *headerFields) has(k key) bool { return f.at[k] > 0 }

func (f *headerFields) values(k key) []string {
	if f.at[k] == 0 {
		return nil
	}
	return f.list[f.at[k]-1].values
}

// get returns the field's first value.
func (f *headerFields) get(k key) string {
	if v := f.values(k); len(v) > 0 {
		return v[0]
	}
	return ""
}

func (f *headerFields) del(k key) {
	if f.at[k] > 0 {
		f.list[f.at[k]-1].values = nil
		f.at[k] = 0
	}
}

// append writes the fields as net/http does: a name that is none is left out
// (one with http.TrailerPrefix is none), and a value keeps to its line.
func (f *headerFields) append(b []byte) []byte {
	for i := range f.list {
		e := &f.list[i]
		if len(e.values) == 0 || !isToken(e.name) {
			continue
		}
		for _, v := range e.values {
			b = append(b, e.name...)
			b = append(b, ": "...)
			n := len(b)
			b = append(b, textproto.TrimString(v)...)
			for i := n; i < len(b); i++ {
				if b[i] == '\r' || b[i] == '\n' {
					b[i] = ' '
				}
			}
			b = append(b, "\r\n"...)
		}
	}
	return b
}

// tokenBytes are the bytes of a token (RFC 9110, section 5.6.2).
var tokenBytes = func() (set [256]bool) {
	for c := '0'; c <= 'z'; c++ {
		set[c] = c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		set[c] = true
	}
	return set
}()

func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

// trailerAllowed reports whether a canonical name may stand in a trailer. The
// names are those that net/http forbids (RFC 7230, section 4.1.2).
func trailerAllowed(name string) bool {
	switch name {
	case "Authorization", "Cache-Control", "Connection", "Content-Encoding", "Content-Length",
		"Content-Range", "Content-Type", "Expect", "Host", "Keep-Alive", "Max-Forwards", "Pragma",
		"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Range", "Realm", "Te",
		"Trailer", "Transfer-Encoding", "Www-Authenticate":
		return false
	}
	return !strings.HasPrefix(name, "If-")
}
