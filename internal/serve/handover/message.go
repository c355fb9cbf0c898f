package handover

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/tls13"
)

// The frames between two peers. Connections and requests go to the peer, which
// counts them as it takes them; the others are words about a request.
const (
	kindConn    = 'c' // a connection: message, its one descriptor is the socket
	kindRequest = 'r' // a request that is complete in its bytes: message
	kindAnswer  = 'a' // part of an answer: answer
	kindFetch   = 'f' // the request's connection is wanted: answer without bytes
	kindTaken   = 't' // what the peer has taken is to be let go, and that to be confirmed: answer without bytes
	kindLetGo   = 'o' // it is: answer without bytes
	kindLost    = 'l' // the request's connection cannot be fetched: answer without bytes

	kindExchange = 'x' // a request of a connection that stays: message, its bytes are package parts'
	kindCopy     = 'm' // a copy of a request, whose answer nobody gets: the same
	kindParts    = 'p' // parts of that request's body, or of its answer: answer
	kindWord     = 'w' // a word about it: answer
)

// message is what travels with a connection or a request.
type message struct {
	history
	// idle says that nothing of the next request has come.
	idle bool
	// stream is the number of the request that is forwarded, or whose
	// connection was fetched; 0 where there is none.
	stream uint64
	// wait is how long the client may still take for what comes next; 0
	// means without end.
	wait time.Duration
	// remote and local are the addresses of the client's connection.
	remote, local string
	// tls is the state of the connection's TLS, encoded; "" for a clear one.
	tls string
	// keys is what it takes to open and seal its records, encoded (package tls13); nil
	// where plain bytes pass.
	keys []byte
	// loan is, where the socket is lent for one request, that request's number, and waits
	// whether the rest of its body comes once it is known to be served; 0 for any other.
	loan  uint64
	waits bool
	// bytes were read of the client and not consumed.
	bytes []byte
}

const (
	flagIdle = 1 << iota
	flagBegun
	flagPost
	flagCanceled
	flagStamp
	flagTLS
	flagKeys
	flagLoan
)

// maxAddr bounds an address, in bytes.
const maxAddr = 256

// maxHeadOfMessage is how long what head makes can be, and then some.
const maxHeadOfMessage = 320 << 10 // crypto/tls takes 256 KiB of certificates

// head encodes all of m but the bytes, which follow it.
func (m *message) head(b []byte) []byte {
	var flags byte
	if m.idle {
		flags |= flagIdle
	}
	if m.begun {
		flags |= flagBegun
	}
	if m.post {
		flags |= flagPost
	}
	if m.canceled {
		flags |= flagCanceled
	}
	if m.stamp != (stamp{}) {
		flags |= flagStamp
	}
	if m.tls != "" {
		flags |= flagTLS
	}
	if m.keys != nil {
		flags |= flagKeys
	}
	if m.loan != 0 {
		flags |= flagLoan
	}
	b = append(b, flags, m.moves)
	if flags&flagStamp != 0 {
		b = append(b, m.stamp[:]...)
	}
	b = binary.AppendUvarint(b, m.stream)
	b = binary.AppendUvarint(b, uint64(m.wait/time.Millisecond))
	b = appendText(appendText(b, m.remote), m.local)
	if m.tls != "" {
		b = appendText(b, m.tls)
	}
	if m.keys != nil {
		b = appendText(b, m.keys)
	}
	if m.loan != 0 {
		n := m.loan << 1
		if m.waits {
			n |= 1
		}
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// appendText appends what cutText takes.
func appendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// cutText takes a text of most bytes at the most from the front of b, which it aliases.
func cutText(b []byte, most int) (text, rest []byte, ok bool) {
	l, n := binary.Uvarint(b)
	if n <= 0 || l > uint64(most) || uint64(len(b)-n) < l {
		return nil, nil, false
	}
	return b[n : n+int(l)], b[n+int(l):], true
}

var errMessage = errors.New("decode hand-over: malformed message")

// decode parses a frame's body; the result's bytes alias it.
func decode(b []byte) (message, error) {
	var m message
	if len(b) < 2 {
		return m, errMessage
	}
	m.idle, m.begun, m.post, m.canceled = b[0]&flagIdle != 0, b[0]&flagBegun != 0, b[0]&flagPost != 0, b[0]&flagCanceled != 0
	m.moves = b[1]
	stamped, secured, sealed, lent := b[0]&flagStamp != 0, b[0]&flagTLS != 0, b[0]&flagKeys != 0, b[0]&flagLoan != 0
	b = b[2:]
	if stamped {
		if len(b) < len(m.stamp) {
			return m, errMessage
		}
		b = b[copy(m.stamp[:], b):]
	}
	var ms uint64
	for _, v := range [2]*uint64{&m.stream, &ms} {
		x, n := binary.Uvarint(b)
		if n <= 0 {
			return m, errMessage
		}
		*v, b = x, b[n:]
	}
	if ms > uint64(1<<40) {
		return m, errMessage
	}
	m.wait = time.Duration(ms) * time.Millisecond
	for _, s := range [2]*string{&m.remote, &m.local} {
		text, rest, ok := cutText(b, maxAddr)
		if !ok {
			return m, errMessage
		}
		*s, b = string(text), rest
	}
	if secured {
		text, rest, ok := cutText(b, len(b))
		if !ok || len(text) == 0 {
			return m, errMessage
		}
		m.tls, b = string(text), rest
	}
	if sealed {
		var ok bool
		if m.keys, b, ok = cutText(b, tls13.MaxState); !ok || !secured {
			return m, errMessage
		}
	}
	if lent {
		x, n := binary.Uvarint(b)
		if n <= 0 || x>>1 == 0 {
			return m, errMessage
		}
		m.loan, m.waits, b = x>>1, x&1 != 0, b[n:]
	}
	m.bytes = b
	return m, nil
}

// answer is a word about a forwarded request.
type answer struct {
	stream uint64
	// done says that the answer is complete, keep that the connection may
	// carry another request; move that the request is to come with its
	// connection, because it is none that can be answered like this;
	// elsewhere that it is another process's; canceled, where a connection was lent, as in
	// history.
	done, keep, move, elsewhere, canceled bool
	bytes                                 []byte // for the client
}

const (
	flagDone = 1 << iota
	flagKeep
	flagMove
	flagElsewhere
	flagEnded
)

func (a *answer) head(b []byte) []byte {
	var flags byte
	for i, set := range [...]bool{a.done, a.keep, a.move, a.elsewhere, a.canceled} {
		if set {
			flags |= 1 << i
		}
	}
	return binary.AppendUvarint(append(b, flags), a.stream)
}

func decodeAnswer(b []byte) (answer, error) {
	if len(b) == 0 || b[0] >= 2*flagEnded {
		return answer{}, errMessage
	}
	f := b[0]
	a := answer{done: f&flagDone != 0, keep: f&flagKeep != 0, move: f&flagMove != 0, elsewhere: f&flagElsewhere != 0, canceled: f&flagEnded != 0}
	var n int
	if a.stream, n = binary.Uvarint(b[1:]); n <= 0 {
		return a, errMessage
	}
	a.bytes = b[1+n:]
	return a, nil
}

// addr is an address that was told, not asked of a socket.
type addr struct{ network, text string }

func (a addr) Network() string { return a.network }
func (a addr) String() string  { return a.text }

func addrOf(s string) net.Addr {
	if s == "" {
		return nil
	}
	if a, err := netip.ParseAddrPort(s); err == nil {
		return net.TCPAddrFromAddrPort(a)
	}
	return &net.UnixAddr{Name: s, Net: "unix"}
}

func textOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}
