package tlskeys

import (
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"sync"
)

// Handshake is what crypto/tls's server shakes hands over whose connection may go on
// elsewhere. It gives crypto/tls no byte beyond a record that it reads, so that nothing behind
// the handshake is taken, and notes what it writes.
type Handshake struct {
	net.Conn
	over bool // from now on all that comes may be read

	buf  *[4 << 10]byte // nil while nothing is in it
	r, w int
	head [HeadSize]byte // of the record that is read
	has  int            // bytes of head
	left int            // bytes of the record that are still to come

	client, server []byte // the secrets; nil until they are known
	written        []byte // since then
	sent           uint64
}

var handshakes = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// NewHandshake returns a handshake over nc.
func NewHandshake(nc net.Conn) *Handshake { return &Handshake{Conn: nc} }

// Over says that crypto/tls goes on with the connection.
func (h *Handshake) Over() { h.over, h.written = true, nil }

// Read implements net.Conn. Until the handshake is over it returns bytes of one record at
// the most.
func (h *Handshake) Read(p []byte) (int, error) {
	if h.r == h.w {
		if h.over {
			return h.Conn.Read(p)
		}
		if h.buf == nil {
			h.buf = handshakes.Get().(*[4 << 10]byte)
		}
		n, err := h.Conn.Read(h.buf[:])
		h.r, h.w = 0, max(n, 0)
		if h.w == 0 {
			h.tidy()
			return 0, err
		}
	}
	n := min(len(p), h.w-h.r)
	if !h.over {
		n = h.within(h.buf[h.r : h.r+n])
	}
	copy(p, h.buf[h.r:h.r+n])
	h.r += n
	h.tidy()
	return n, nil
}

func (h *Handshake) tidy() {
	if h.r == h.w && h.buf != nil {
		handshakes.Put(h.buf)
		h.buf, h.r, h.w = nil, 0, 0
	}
}

// within returns how many bytes of b are of the record that is read.
func (h *Handshake) within(b []byte) (n int) {
	for n < len(b) {
		if h.has < HeadSize {
			h.head[h.has] = b[n]
			n++
			if h.has++; h.has < HeadSize {
				continue
			}
			h.left = int(h.head[3])<<8 | int(h.head[4])
		}
		k := min(h.left, len(b)-n)
		n += k
		if h.left -= k; h.left == 0 {
			h.has = 0
			break
		}
	}
	return n
}

// Write implements net.Conn.
func (h *Handshake) Write(p []byte) (int, error) {
	n, err := h.Conn.Write(p)
	h.sent += uint64(max(n, 0))
	if h.server != nil && !h.over {
		h.written = append(h.written, p...)
	}
	return n, err
}

// KeyLog returns the KeyLogWriter of this handshake's tls.Config, which is to be of this
// handshake alone: a client chooses what tells one from another elsewhere.
func (h *Handshake) KeyLog() io.Writer { return keyLog{h} }

type keyLog struct{ h *Handshake }

// Write implements io.Writer. It gets a line at a time, during the handshake.
func (k keyLog) Write(line []byte) (int, error) {
	if f := bytes.Fields(line); len(f) == 3 {
		secret := make([]byte, hex.DecodedLen(len(f[2])))
		if _, err := hex.Decode(secret, f[2]); err == nil {
			switch string(f[0]) {
			case "CLIENT_TRAFFIC_SECRET_0":
				k.h.client = secret
			case "SERVER_TRAFFIC_SECRET_0":
				k.h.server = secret
			}
		}
	}
	return len(line), nil
}

// Keys are what a handshake has led to.
type Keys struct {
	Suite *Suite
	// In and Out are what the client sends, and what it is sent.
	In, Out Half
	Ahead   []byte // of records that were read, and not opened
	Sent    uint64 // bytes
}

// Keys returns what the handshake has led to, with that cipher suite; false where it is not
// known here. crypto/tls must not be used any more then.
func (h *Handshake) Keys(cipherSuite uint16) (*Keys, bool) {
	s := SuiteOf(cipherSuite)
	if s == nil || len(h.client) != s.Size || len(h.server) != s.Size || h.has != 0 {
		return nil, false
	}
	seq, ok := s.count(h.server, h.written)
	if !ok {
		return nil, false
	}
	k := &Keys{Suite: s, In: Half{Secret: h.client}, Out: Half{Secret: h.server, Seq: seq}, Sent: h.sent}
	if h.r < h.w {
		k.Ahead = append(k.Ahead, h.buf[h.r:h.w]...)
		h.r = h.w
	}
	h.tidy()
	return k, true
}

// count returns how many of the records are sealed by secret: session tickets. What comes
// before them is by the handshake's keys, and looks the same, so it is tried.
func (s *Suite) count(secret, records []byte) (n uint64, ok bool) {
	h := Half{Secret: secret}
	if h.Ready(s) != nil {
		return 0, false
	}
	var plain []byte
	for b := records; len(b) > 0; {
		if len(b) < HeadSize {
			return 0, false
		}
		end := HeadSize + int(b[3])<<8 + int(b[4])
		if end > len(b) {
			return 0, false
		}
		if b[0] == KindSealed {
			if p, err := h.Open(plain[:0], b[:end]); err == nil {
				plain = p
			}
		}
		b = b[end:]
	}
	return h.Seq, true
}
