package handover

import (
	"bytes"
	"errors"
	"net"
)

// preface is what a client of HTTP/2 with prior knowledge begins with (RFC 9113, section
// 3.4).
var preface = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

// errPreface says that the connection speaks HTTP/2.
var errPreface = errors.New("HTTP/2's preface")

// beginsHTTP2 looks for the preface in what can be no head of HTTP/1. Where it reports
// more, that has come in part.
func (c *Conn) beginsHTTP2() (is, more bool) {
	if c.server.HTTP2 == nil || c.history.begun {
		return false, false
	}
	b := c.pending()
	switch n := min(len(b), len(preface)); {
	case !bytes.Equal(b[:n], preface[:n]):
		return false, false
	case n < len(preface):
		return false, true
	}
	return true, false
}

// giveHTTP2 gives the connection to who serves HTTP/2. It is still counted, until it is
// closed.
func (c *Conn) giveHTTP2() {
	c.giveAway()
	c.server.HTTP2(&prefaced{c.raw, c})
}

// prefaced is a connection of HTTP/2, with what was read of it.
type prefaced struct {
	net.Conn
	c *Conn
}

// Read implements net.Conn.
func (p *prefaced) Read(b []byte) (int, error) {
	if rest := p.c.pending(); len(rest) > 0 {
		n := copy(b, rest)
		p.c.consume(n)
		if p.c.r == p.c.w {
			p.c.buf = nil
		}
		return n, nil
	}
	return p.Conn.Read(b)
}

// Close implements net.Conn.
func (p *prefaced) Close() error {
	p.c.server.forget(p.c)
	return p.Conn.Close()
}
