package link

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
)

// A sign of life is what json makes of it, and reads.
func TestSign(t *testing.T) {
	for range 1000 {
		n := func() int64 { return rand.Int64N(1 << (1 + rand.IntN(62))) }
		for _, m := range []Message{
			{Kind: Ping, Seq: uint64(1 + n())},
			{Kind: Pong, Seq: uint64(1 + n()), Stats: &Stats{Requests: n(), InFlight: n(), Conns: int(n()), Dropped: n(), Goroutines: int(n())}},
		} {
			text := sign(&m)
			if text == nil {
				t.Fatalf("%+v is not written", m)
			}
			var read Message
			if err := json.Unmarshal(*text, &read); err != nil || !reflect.DeepEqual(read, m) {
				t.Fatalf("%s: json reads %+v, %v", *text, read, err)
			}
			if got, ok := signOf(*text); !ok || !reflect.DeepEqual(got, m) {
				t.Fatalf("%s: got %+v", *text, got)
			}
		}
	}
	for _, m := range []Message{{Kind: Ping}, {Kind: Pong, Seq: 1}, {Kind: Ack, Seq: 1}, {Kind: Pong, Seq: 1, Stats: &Stats{Plugins: map[string]Share{"a": {}}}}} {
		if text := sign(&m); text != nil {
			t.Errorf("%+v is written as %s", m, *text)
		}
	}
}

// What is read as a sign of life says the same to json.
func FuzzSign(f *testing.F) {
	f.Add([]byte(`{"kind":"ping","seq":7}`))
	f.Add([]byte(`{"kind":"pong","seq":7,"stats":{"requests":1,"in_flight":2,"conns":3,"dropped":4,"goroutines":5}}`))
	f.Add([]byte(`{"kind":"pong","seq":07,"stats":{"requests":1,"in_flight":-2,"conns":3,"dropped":4,"goroutines":5}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := signOf(text)
		if !ok {
			return
		}
		if want, err := decodeAny(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v, %v", text, got, want, err)
		}
	})
}

// Asking and answering make hardly any garbage.
func TestSignsAreCheap(t *testing.T) {
	a, b := pair(t)
	n := testing.AllocsPerRun(100, func() {
		a.Send(Message{Kind: Ping, Seq: 7})
		m, err := b.Recv()
		if err != nil || m.Kind != Ping || m.Seq != 7 {
			t.Fatal(m, err)
		}
		b.Send(Message{Kind: Pong, Seq: m.Seq, Stats: &Stats{Goroutines: 9}})
		if m, err := a.Recv(); err != nil || m.Stats.Goroutines != 9 {
			t.Fatal(m, err)
		}
	})
	if n > 10 {
		t.Errorf("%v pieces of memory", n)
	}
}
