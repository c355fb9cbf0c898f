package http1

import (
	"bytes"
	"net/http"
	"strconv"
)

// Answer finds the end of an answer that passes, as every client finds it: it takes what
// RFC 9112 says, and nothing that clients could read in two ways. So who makes an answer
// cannot have a part of it taken for the answer to the next request.
type Answer struct {
	asked  asked
	state  answerState
	code   int
	begun  bool
	old    bool           // HTTP/1.0
	left   int64          // bytes of the body, or of the current chunk's data; below 0 where the head tells none
	chunks bool           // the body comes in them
	size   int            // of the current line
	cr     bool           // a carriage return has come, and no line feed behind it yet
	line   [mostKept]byte // its beginning
}

// mostKept is how much is kept of a line. What matters is shorter.
const mostKept = 128

// asked is what an answer's framing depends on of its request.
type asked byte

const (
	askedHead asked = 1 << iota
	askedConnect
	askedUpgrade
)

type answerState byte

const (
	statusLine answerState = iota
	fieldLine
	dataCounted // left bytes are to come
	dataChunk   // likewise, of a chunk
	chunkSize
	chunkEnd
	fieldBehind // a trailer's line
	openEnded   // all that comes until the connection ends
	tunnel      // likewise, and it is HTTP no more
	complete
	oddAnswer
)

// AnswerTo returns the Answer to r.
func AnswerTo(r *http.Request) *Answer {
	a := &Answer{left: -1}
	switch r.Method {
	case http.MethodHead:
		a.asked = askedHead
	case http.MethodConnect:
		a.asked = askedConnect
	}
	if r.Header["Upgrade"] != nil && saysUpgrade(r.Header["Connection"]) {
		a.asked |= askedUpgrade
	}
	return a
}

// Begun reports whether anything of the answer has come.
func (a *Answer) Begun() bool { return a.begun }

// Whole reports whether the answer has come to its end, which the client knows of: the
// connection can carry another.
func (a *Answer) Whole() bool { return a.state == complete && a.code != http.StatusSwitchingProtocols }

// Tunnel reports whether the connection is HTTP's no more, with the client's consent.
func (a *Answer) Tunnel() bool { return a.state == tunnel }

// Next returns how many bytes of p belong to the answer.
func (a *Answer) Next(p []byte) (n int) {
	a.begun = a.begun || len(p) > 0
	for n < len(p) {
		switch a.state {
		case complete, oddAnswer:
			return n
		case openEnded, tunnel:
			return len(p)
		case dataCounted, dataChunk:
			k := int(min(a.left, int64(len(p)-n)))
			a.left -= int64(k)
			n += k
			switch {
			case a.left > 0:
			case a.state == dataCounted:
				a.state = complete
			default:
				a.state = chunkEnd
			}
		default:
			if !a.step(p[n]) {
				a.state = oddAnswer
				return n
			}
			n++
		}
	}
	return n
}

// step takes a byte of a line. It reports false where that is no line of HTTP's.
func (a *Answer) step(c byte) bool {
	switch {
	case c == '\n' && a.cr:
		line, all := a.line[:min(a.size, mostKept)], a.size <= mostKept
		a.cr, a.size = false, 0
		return a.ended(line, all)
	case c == '\n', a.cr:
		return false
	case c == '\r':
		a.cr = true
		return true
	}
	if a.size < mostKept {
		a.line[a.size] = c
	}
	a.size = min(a.size+1, mostKept+1)
	return true
}

// ended takes a line, of which all is there or the beginning.
func (a *Answer) ended(line []byte, all bool) bool {
	switch a.state {
	case statusLine:
		return a.status(line)
	case fieldLine:
		if len(line) == 0 {
			return a.headEnded()
		}
		return a.field(line, all)
	case chunkSize:
		n, err := strconv.ParseInt(string(line), 16, 63)
		if err != nil || !all || line[0] == '+' || line[0] == '-' {
			return false
		}
		if a.left, a.state = n, dataChunk; n == 0 {
			a.state = fieldBehind
		}
	case chunkEnd:
		a.state = chunkSize
		return len(line) == 0
	case fieldBehind:
		if len(line) == 0 {
			a.state = complete
			return true
		}
		_, _, ok := cutField(line)
		return ok
	}
	return true
}

func (a *Answer) status(line []byte) bool {
	const proto = "HTTP/1."
	if len(line) < 12 || string(line[:7]) != proto || line[7] != '0' && line[7] != '1' || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return false
	}
	a.code = 0
	for _, d := range line[9:12] {
		if d < '0' || d > '9' {
			return false
		}
		a.code = 10*a.code + int(d-'0')
	}
	a.old, a.state = line[7] == '0', fieldLine
	return a.code >= 100
}

// cutField cuts a line after a field's name.
func cutField(line []byte) (name, value []byte, ok bool) {
	name, value, ok = bytes.Cut(line, []byte{':'})
	for _, c := range name {
		ok = ok && token[c]
	}
	return name, value, ok && len(name) > 0
}

// field takes a line of the head. A body has one length, told once.
func (a *Answer) field(line []byte, all bool) bool {
	name, value, ok := cutField(line)
	if !ok {
		return false
	}
	switch len(name) {
	case len("Content-Length"):
		if !equalFold(name, "content-length") {
			return true
		}
		n, err := strconv.ParseUint(string(trim(value)), 10, 63)
		if err != nil || !all || a.left >= 0 || a.chunks {
			return false
		}
		a.left = int64(n)
	case len("Transfer-Encoding"):
		if !equalFold(name, "transfer-encoding") {
			return true
		}
		if !all || a.left >= 0 || a.chunks || a.old || !bytes.EqualFold(trim(value), []byte("chunked")) {
			return false
		}
		a.chunks = true
	}
	return true
}

// headEnded decides how the body is framed (RFC 9112, section 6.3). An answer to CONNECT that
// tells a length is net/http's, which goes on with HTTP, and no tunnel's.
func (a *Answer) headEnded() bool {
	switch {
	case a.code == http.StatusSwitchingProtocols && a.asked&askedUpgrade != 0, a.code/100 == 2 && a.asked&askedConnect != 0 && a.left < 0 && !a.chunks:
		a.state = tunnel
	case a.code/100 == 1 && a.code != http.StatusSwitchingProtocols:
		a.state, a.left, a.chunks = statusLine, -1, false
	case a.code/100 == 1, a.code == http.StatusNoContent, a.code == http.StatusNotModified, a.asked&askedHead != 0, a.left == 0:
		a.state = complete
	case a.chunks:
		a.state = chunkSize
	case a.left > 0:
		a.state = dataCounted
	default:
		a.state = openEnded
	}
	return true
}
