package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// answer parses one answer, which may come in any number of pieces.
type answer struct {
	state   state
	left    int // bytes of the body or the chunk that are to come
	matched int // bytes of the body that came and were right
}

type state uint8

const (
	inHead state = iota
	inBody
	inChunkSize
	inChunk
	afterChunk
	inTrailer
)

var (
	blank   = []byte("\r\n\r\n")
	newline = []byte("\r\n")
	length  = []byte("\r\nContent-Length: ")
)

// feed takes what it can of b and reports how much that was, and whether the
// answer is complete. What it leaves is to be there again in the next call.
func (a *answer) feed(b, want []byte, fresh bool) (used int, done bool, err error) {
	for {
		rest := b[used:]
		switch a.state {
		case inHead:
			end := bytes.Index(rest, blank)
			if end < 0 {
				return used, false, nil
			}
			if err := a.head(rest[:end+2], fresh); err != nil {
				return used, false, err
			}
			used += end + 4
		case inBody, inChunk:
			n := min(a.left, len(rest))
			if len(want)-a.matched < n || !bytes.Equal(rest[:n], want[a.matched:a.matched+n]) {
				return used, false, fmt.Errorf("a wrong body: %q instead of %q", cut(rest[:n]), cut(want[min(a.matched, len(want)):]))
			}
			used, a.left, a.matched = used+n, a.left-n, a.matched+n
			if a.left > 0 {
				return used, false, nil
			}
			if a.state == inBody {
				return used, true, a.whole(want)
			}
			a.state = afterChunk
		default:
			end := bytes.Index(rest, newline)
			if end < 0 {
				return used, false, nil
			}
			line := rest[:end]
			used += end + 2
			switch {
			case a.state == afterChunk && end == 0:
				a.state = inChunkSize
			case a.state == inTrailer && end == 0:
				return used, true, a.whole(want)
			case a.state == inChunkSize:
				n, err := strconv.ParseUint(string(line), 16, 31)
				if err != nil {
					return used, false, fmt.Errorf("a wrong chunk: %q", cut(line))
				}
				a.state, a.left = inChunk, int(n)
				if n == 0 {
					a.state = inTrailer
				}
			case a.state == afterChunk:
				return used, false, fmt.Errorf("no end of a chunk: %q", cut(line))
			}
		}
	}
}

// head takes a head, without the blank line.
func (a *answer) head(h []byte, fresh bool) error {
	if !bytes.HasPrefix(h, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("not 200: %q", cut(h))
	}
	// The servers write the names as net/http does, but may do else.
	at := bytes.Index(h, length)
	if at < 0 {
		h = bytes.ToLower(h)
		at = bytes.Index(h, bytes.ToLower(length))
	}
	if !fresh && (bytes.Contains(h, []byte("\r\nConnection: close\r\n")) || bytes.Contains(h, []byte("\r\nconnection: close\r\n"))) {
		return errors.New("the server closes the connection")
	}
	if at < 0 {
		if !bytes.Contains(h, []byte("\r\ntransfer-encoding: chunked\r\n")) {
			return fmt.Errorf("neither a length nor chunks: %q", cut(h))
		}
		a.state = inChunkSize
		return nil
	}
	n := 0
	for _, d := range h[at+len(length):] {
		if d < '0' || d > '9' {
			break
		}
		n = 10*n + int(d-'0')
	}
	a.state, a.left = inBody, n
	return nil
}

func (a *answer) whole(want []byte) error {
	if a.matched != len(want) {
		return fmt.Errorf("a body of %d bytes instead of %d", a.matched, len(want))
	}
	return nil
}

// frame is feed for a message that is echoed in one frame of less than 126
// bytes.
func frame(b, want []byte) (used int, done bool, err error) {
	if len(b) < 2+len(want) {
		return 0, false, nil
	}
	if b[0] != 0x81 || int(b[1]) != len(want) || !bytes.Equal(b[2:2+len(want)], want) {
		return 0, false, fmt.Errorf("a wrong frame: %q instead of %q", cut(b), cut(want))
	}
	return 2 + len(want), true, nil
}

// cut shortens what an error quotes.
func cut(b []byte) []byte { return b[:min(len(b), 100)] }

// upgraded takes the answer to the request for a WebSocket.
func (l *loop) upgraded(c *conn, b []byte) (used int, done bool, err error) {
	end := bytes.Index(b, blank)
	if end < 0 {
		return 0, false, nil
	}
	if !bytes.HasPrefix(b, []byte("HTTP/1.1 101 ")) {
		return 0, false, fmt.Errorf("not 101: %q", cut(b))
	}
	c.open = true
	return end + 4, true, nil
}
