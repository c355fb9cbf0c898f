package tls13

import (
	"encoding/binary"
	"errors"

	"github.com/andrestc/go-plugserver/internal/serve/tlskeys"
)

// State is what another process has to know of a connection to go on with it. It is as
// secret as what the connection carries.
type State struct {
	suite *tlskeys.Suite
	// in and out are what the client sends, and what it is sent.
	in, out side
	flags   byte
	useless byte   // records in a row that brought nothing
	packets uint64 // records of data that were written; see Conn.payload
	sent    uint64 // bytes that were
	hand    []byte // of a message of the handshake whose rest has not come
	data    []byte // that was read of the client, and is nobody's yet
	ahead   []byte // of records that were not opened yet
}

type side struct {
	secret []byte
	seq    uint64
}

const (
	flagEnded  = 1 << iota // the client has sent all
	flagUpdate             // it asks for new keys
	flagAll    = flagEnded | flagUpdate
)

// Begin returns the state in which a handshake has left a connection.
func Begin(k *tlskeys.Keys) *State {
	return &State{suite: k.Suite, in: side{k.In.Secret, k.In.Seq}, out: side{k.Out.Secret, k.Out.Seq}, ahead: k.Ahead, sent: k.Sent}
}

// MaxState bounds what Append appends, in bytes.
const MaxState = maxPlaintext + maxRecord + 256

// maxSeq bounds a sequence number: what comes from another process is not to have one
// begin again. No connection lives as long.
const maxSeq = 1 << 62

var errState = errors.New("state of a TLS connection: malformed")

// Append appends s to b.
func (s *State) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, s.suite.ID)
	b = append(b, s.flags, s.useless)
	for _, d := range [2]*side{&s.in, &s.out} {
		b = append(b, d.secret...)
		b = binary.AppendUvarint(b, d.seq)
	}
	b = binary.AppendUvarint(b, s.packets)
	b = binary.AppendUvarint(b, s.sent)
	for _, p := range [3][]byte{s.hand, s.data, s.ahead} {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return b
}

// Decode is Append's other side. It refuses what no connection can have come to; what it
// returns does not alias b.
func Decode(b []byte) (*State, error) {
	if len(b) < 4 {
		return nil, errState
	}
	s := &State{suite: tlskeys.SuiteOf(binary.BigEndian.Uint16(b)), flags: b[2], useless: b[3]}
	if s.suite == nil || s.flags&^flagAll != 0 || s.useless > maxUseless {
		return nil, errState
	}
	d := &decoder{rest: append([]byte(nil), b[4:]...), ok: true}
	for _, h := range [2]*side{&s.in, &s.out} {
		h.secret, h.seq = d.take(s.suite.Size), d.number(maxSeq)
	}
	s.packets, s.sent = d.number(maxSeq), d.number(maxSeq)
	s.hand, s.data, s.ahead = d.bytes(maxHand), d.bytes(maxPlaintext), d.bytes(maxRecord)
	if !d.ok || len(d.rest) > 0 {
		return nil, errState
	}
	return s, nil
}

// decoder takes an encoded state apart. Once it is not ok all that it returns is zero.
type decoder struct {
	rest []byte
	ok   bool
}

func (d *decoder) number(most uint64) uint64 {
	x, n := binary.Uvarint(d.rest)
	if n <= 0 || x > most {
		d.rest, d.ok = nil, false
		return 0
	}
	d.rest = d.rest[n:]
	return x
}

func (d *decoder) take(n int) (b []byte) {
	if n > len(d.rest) {
		d.rest, d.ok = nil, false
		return nil
	}
	b, d.rest = d.rest[:n:n], d.rest[n:]
	return b
}

func (d *decoder) bytes(most int) []byte { return d.take(int(d.number(uint64(most)))) }
