package http1

// Body finds the end of a request's body. It follows net/http's chunked reader
// in what that accepts; of what it refuses the end does not matter, because
// the connection ends with it.
type Body struct {
	left  int64 // bytes of the body, or of the current chunk's data
	state bodyState
	size  int     // hexadecimal digits of the chunk's size
	line  int     // bytes of the current trailer line
	tail  int     // bytes behind the last chunk
	last  [4]byte // the last of them
}

type bodyState byte

const (
	ended     bodyState = iota
	counted             // left bytes are to come
	sizeLine            // the digits of a chunk's size
	sizeEnd             // what follows them on the line
	chunkData           // left bytes of a chunk
	chunkCR             // the line end behind a chunk
	chunkLF
	trailer // the lines behind the last chunk
	looking // the trailer has ended, with bytes to come that net/http wants to see
	lawless // net/http refuses it
)

// maxTrailer is how far net/http looks for a trailer's end, in bytes: its
// server's buffer.
const maxTrailer = 4 << 10

// NewBody returns the tracker of a body of n bytes, or Chunked.
func NewBody(n int64) Body {
	switch {
	case n == Chunked:
		return Body{state: sizeLine}
	case n == 0:
		return Body{}
	default:
		return Body{state: counted, left: n}
	}
}

// Ended reports whether the whole body was seen.
func (b *Body) Ended() bool { return b.state == ended }

// Looking reports whether the whole body was seen, and net/http has to be shown
// what follows: before it reads a trailer it looks for CR LF CR LF, which is not
// there if the trailer's last lines end with bare line feeds. It may be anywhere
// in what comes next. Then the body is as whole as any other.
func (b *Body) Looking() bool { return b.state == looking }

// Show is told, while the body is Looking, what net/http is shown of the bytes behind
// it. They are no part of the body.
func (b *Body) Show(p []byte) {
	for _, c := range p {
		b.follow(c)
		switch {
		case b.state != looking:
			return
		case b.last == blankLine:
			b.state = ended
		case b.tail >= maxTrailer:
			b.state = lawless
		}
	}
}

var blankLine = [4]byte{'\r', '\n', '\r', '\n'}

// follow notes a byte behind the last chunk.
func (b *Body) follow(c byte) {
	b.tail++
	b.last = [4]byte{b.last[1], b.last[2], b.last[3], c}
}

// Left returns how many bytes are to come, where that is known.
func (b *Body) Left() (n int64, ok bool) { return b.left, b.state == counted }

// Next returns how many bytes of p belong to the body.
func (b *Body) Next(p []byte) (n int) {
	for n < len(p) {
		switch b.state {
		case ended, looking:
			return n
		case lawless:
			return len(p)
		case counted, chunkData:
			k := min(b.left, int64(len(p)-n))
			b.left -= k
			n += int(k)
			if b.left == 0 {
				if b.state == counted {
					b.state = ended
				} else {
					b.state = chunkCR
				}
			}
		default:
			b.step(p[n])
			n++
		}
	}
	return n
}

// step takes one byte outside of a chunk's data.
func (b *Body) step(c byte) {
	switch b.state {
	case sizeLine:
		if d, ok := unhex(c); ok {
			if b.size++; b.size > 16 || b.left>>59 != 0 {
				b.state = lawless
				return
			}
			b.left = b.left<<4 | d
			return
		}
		b.state = sizeEnd
		if b.size == 0 || c != ';' && c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			b.state = lawless
			return
		}
		b.step(c)
	case sizeEnd:
		if c != '\n' {
			return
		}
		b.size = 0
		if b.state = chunkData; b.left == 0 {
			b.state, b.line, b.tail = trailer, 0, 0
		}
	case chunkCR:
		if b.state = chunkLF; c != '\r' {
			b.state = lawless
		}
	case chunkLF:
		if b.state = sizeLine; c != '\n' {
			b.state = lawless
		}
	case trailer:
		b.follow(c)
		cr := b.line > 0 && b.last[2] == '\r'
		switch {
		case c != '\n':
			b.line++
		case b.line > 1 || b.line == 1 && !cr:
			b.line = 0
		case b.tail == 2 && cr, b.last == blankLine:
			b.state = ended
		case b.tail >= maxTrailer:
			b.state = lawless
		default:
			b.state = looking
		}
	}
}

func unhex(c byte) (int64, bool) {
	switch {
	case '0' <= c && c <= '9':
		return int64(c - '0'), true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int64(c|0x20-'a') + 10, true
	}
	return 0, false
}
