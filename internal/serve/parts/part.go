package parts

import (
	"encoding/binary"
	"errors"
	"net/http"
)

// Window is how many bytes of parts may be on their way in one direction before the
// other side has granted more. A head that is larger still goes as a whole.
const Window = 64 << 10

// MaxFields bounds the fields of an answer's head, and those of its trailers, in bytes.
const MaxFields = 1 << 20

// Most is how much may have come of an answer that was not passed on: a window, a head
// and trailers beyond it, and what ends the answer.
const Most = Window + 2*MaxFields + 2*ChunkSize

// ChunkSize is how much of a body net/http's HTTP/2 server holds back.
const ChunkSize = 4 << 10

// GrantAfter is how many bytes of the window are granted anew at once.
const GrantAfter = Window / 2

// The parts of an answer, and those of a request's body.
const (
	Inform    = 'i' // an informational answer: status, fields
	Head      = 'h' // status, fields
	Data      = 'd' // bytes
	Flush     = 'f' // what came so far goes to the client
	Trailer   = 't' // fields
	End       = 'e' // nothing follows
	Abort     = 'a' // nothing follows, and the client has to see that something is missing
	Elsewhere = 'm' // the request is another process's: nothing of it was begun
	Bad       = 'b' // the body's end is missing: why
)

// Words pass beside the parts.
const (
	WordGrant  = 'g' // so many bytes more may be sent
	WordCancel = 'c' // the client has gone
	WordKill   = 'k' // the handler's time to write is up
	WordClose  = 'x' // the handler has closed the body
)

// Port leads to the other side. An error says that it is gone.
type Port interface {
	Parts(b []byte) error
	Word(word byte, n int) error
}

// ErrFlood says that more parts have come than the window has room for.
var ErrFlood = errors.New("more of an answer than was granted")

var ErrMalformed = errors.New("decode parts: malformed")

// Append appends a part of one text.
func Append(b []byte, kind byte, text []byte) []byte {
	b = append(b, kind)
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// HeaderSize is how many bytes Append adds to a text, at the Most.
const HeaderSize = 4

// AppendFields appends a part of a status and fields.
func AppendFields(b []byte, kind byte, status int, h http.Header) []byte {
	b = append(b, kind)
	b = binary.AppendUvarint(b, uint64(FieldsSize(h)+UvarintLen(uint64(status))))
	b = binary.AppendUvarint(b, uint64(status))
	return appendHeader(b, h)
}

func appendHeader(b []byte, h http.Header) []byte {
	b = binary.AppendUvarint(b, uint64(len(h)))
	for key, values := range h {
		b = appendText(b, key)
		b = binary.AppendUvarint(b, uint64(len(values)))
		for _, v := range values {
			b = appendText(b, v)
		}
	}
	return b
}

// FieldsSize is how many bytes appendHeader appends.
func FieldsSize(h http.Header) int {
	n := UvarintLen(uint64(len(h)))
	for key, values := range h {
		n += textSize(key) + UvarintLen(uint64(len(values)))
		for _, v := range values {
			n += textSize(v)
		}
	}
	return n
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func textSize(s string) int { return UvarintLen(uint64(len(s))) + len(s) }

func UvarintLen(n uint64) int {
	l := 1
	for ; n >= 0x80; n >>= 7 {
		l++
	}
	return l
}

// Next takes the first part of b.
func Next(b []byte) (kind byte, text, rest []byte, err error) {
	if len(b) == 0 {
		return 0, nil, nil, ErrMalformed
	}
	l, n := binary.Uvarint(b[1:])
	if n <= 0 || l > uint64(len(b)-1-n) {
		return 0, nil, nil, ErrMalformed
	}
	end := 1 + n + int(l)
	return b[0], b[1+n : end], b[end:], nil
}

// Reader takes texts and numbers from the front of a text.
type Reader struct {
	s  string
	ok bool
}

// NewReader returns one of text.
func NewReader(text []byte) *Reader { return &Reader{string(text), true} }

// OK reports whether everything was there so far.
func (r *Reader) OK() bool { return r.ok }

// Number reads a number.
func (r *Reader) Number() uint64 {
	var x uint64
	for i := 0; i < len(r.s) && i < binary.MaxVarintLen64; i++ {
		c := r.s[i]
		x |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.s = r.s[i+1:]
			return x
		}
	}
	r.ok = false
	return 0
}

// count is a number of things of which each has a byte at the least.
func (r *Reader) count() int {
	n := r.Number()
	if n > uint64(len(r.s)) {
		r.ok = false
		return 0
	}
	return int(n)
}

func (r *Reader) text() string {
	n := r.count()
	if !r.ok {
		return ""
	}
	s := r.s[:n]
	r.s = r.s[n:]
	return s
}

// Header reads fields into h.
func (r *Reader) Header(h http.Header) {
	for n := r.count(); n > 0 && r.ok; n-- {
		key := r.text()
		k := r.count()
		if !r.ok {
			return
		}
		values := make([]string, k)
		for i := range values {
			values[i] = r.text()
		}
		h[key] = values
	}
}

// AppendWord encodes a word, for a Port.
func AppendWord(b []byte, word byte, n int) []byte {
	return binary.AppendUvarint(append(b, word), uint64(n))
}

// DecodeWord decodes it.
func DecodeWord(b []byte) (word byte, n int, err error) {
	if len(b) == 0 {
		return 0, 0, ErrMalformed
	}
	x, l := binary.Uvarint(b[1:])
	if l != len(b)-1 || x > 1<<40 {
		return 0, 0, ErrMalformed
	}
	return b[0], int(x), nil
}
