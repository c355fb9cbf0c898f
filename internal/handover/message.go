package handover

import (
	"encoding/binary"
	"errors"
	"net"
	"time"
)

// kindConn is the frame that hands a connection over; its one descriptor is
// the socket.
const kindConn = 'c'

// message is what travels with a connection's socket.
type message struct {
	// idle says that the next request has not begun.
	idle bool
	// wait is how long an idle connection may still wait for its next
	// request; 0 means without end.
	wait time.Duration
	// remote and local are the client's connection's addresses where the
	// socket is a stand-in for it; empty where the socket itself knows.
	remote, local string
	// replay is what was read since the request began.
	replay []byte
}

const flagIdle = 1

// head encodes all of m but the replay, which follows it.
func (m *message) head() []byte {
	var flags byte
	if m.idle {
		flags |= flagIdle
	}
	b := make([]byte, 0, 16+len(m.remote)+len(m.local))
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(m.wait/time.Millisecond))
	for _, s := range []string{m.remote, m.local} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

var errMessage = errors.New("decode hand-over: malformed message")

// decode parses a frame's body; the result's replay aliases it.
func decode(b []byte) (message, error) {
	var m message
	if len(b) == 0 || b[0]&^flagIdle != 0 {
		return m, errMessage
	}
	m.idle = b[0]&flagIdle != 0
	b = b[1:]
	ms, n := binary.Uvarint(b)
	if n <= 0 || ms > uint64(1<<40) {
		return m, errMessage
	}
	m.wait = time.Duration(ms) * time.Millisecond
	b = b[n:]
	for _, s := range []*string{&m.remote, &m.local} {
		l, n := binary.Uvarint(b)
		if n <= 0 || l > 256 || uint64(len(b)-n) < l {
			return m, errMessage
		}
		*s = string(b[n : n+int(l)])
		b = b[n+int(l):]
	}
	m.replay = b
	return m, nil
}

// addr is an address that was told, not asked of a socket.
type addr struct{ network, text string }

func (a addr) Network() string { return a.network }
func (a addr) String() string  { return a.text }

func addrOf(s string) net.Addr {
	if s == "" {
		return nil
	}
	if a, err := net.ResolveTCPAddr("tcp", s); err == nil && a.IP != nil {
		return a
	}
	return addr{"unix", s}
}
