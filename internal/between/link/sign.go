package link

import (
	"bytes"
	"strconv"
	"sync"
)

// A Ping and its Pong are JSON like every message. But each handler is asked every few seconds, and package json would make
// 3 KB of garbage of that, so that they are written and read here where they look as they most often do.

// signs are where they are written: in the order of the fields, as json does.
var signs = sync.Pool{New: func() any { b := make([]byte, 0, 256); return &b }}

// number is one of them with its name in front.
type number struct {
	name  string
	value *int64
}

// numbers are those of a Pong, in the order of the fields.
func (s *Stats) numbers(conns, goroutines *int64) [5]number {
	return [...]number{
		{`,"stats":{"requests":`, &s.Requests}, {`,"in_flight":`, &s.InFlight}, {`,"conns":`, conns},
		{`,"dropped":`, &s.Dropped}, {`,"goroutines":`, goroutines},
	}
}

// sign returns the text of a sign of life, which is to be put into signs again; nil if m is none that is written so.
func sign(m *Message) *[]byte {
	if m.Kind != Ping && (m.Kind != Pong || m.Stats == nil || m.Stats.Plugins != nil) || m.Seq == 0 {
		return nil // or without its number, which json leaves out
	}
	text := signs.Get().(*[]byte)
	b := append((*text)[:0], `{"kind":"`...)
	b = append(append(b, m.Kind...), `","seq":`...)
	b = strconv.AppendUint(b, m.Seq, 10)
	if m.Kind == Pong {
		conns, goroutines := int64(m.Stats.Conns), int64(m.Stats.Goroutines)
		for _, n := range m.Stats.numbers(&conns, &goroutines) {
			b = strconv.AppendInt(append(b, n.name...), *n.value, 10)
		}
		b = append(b, '}')
	}
	*text = append(b, '}')
	return text
}

// signOf reads what sign has written; it reports false of any other text.
func signOf(text []byte) (m Message, ok bool) {
	text, ok = bytes.CutPrefix(text, []byte(`{"kind":"`))
	switch {
	case !ok:
		return m, false
	case bytes.HasPrefix(text, []byte(Ping)):
		m.Kind = Ping
	case bytes.HasPrefix(text, []byte(Pong)):
		m.Kind = Pong
	default:
		return m, false
	}
	var seq int64
	if text, ok = cutNumber(text[len(m.Kind):], number{`","seq":`, &seq}); !ok || seq < 0 {
		return m, false
	}
	m.Seq = uint64(seq)
	if m.Kind == Ping {
		return m, string(text) == "}"
	}
	m.Stats = new(Stats)
	var conns, goroutines int64
	for _, n := range m.Stats.numbers(&conns, &goroutines) {
		if text, ok = cutNumber(text, n); !ok {
			return Message{}, false
		}
	}
	m.Stats.Conns, m.Stats.Goroutines = int(conns), int(goroutines)
	return m, string(text) == "}}"
}

// cutNumber takes a number off the text.
func cutNumber(text []byte, n number) (rest []byte, ok bool) {
	if text, ok = bytes.CutPrefix(text, []byte(n.name)); !ok {
		return nil, false
	}
	digits := 0
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		digits++
	}
	if digits == 0 || digits > 1 && text[0] == '0' {
		return nil, false // none of JSON, or below 0
	}
	var err error
	*n.value, err = strconv.ParseInt(string(text[:digits]), 10, 64)
	return text[digits:], err == nil
}
