package slim

import "testing"

var big []byte

// A process gives back once it rests after a burst, and not again for what little it does then.
func TestRestIsDue(t *testing.T) {
	const mib = 1 << 20
	var r rest
	at := uint64(0)
	for i, step := range []struct {
		allocates uint64 // MiB
		due       bool
	}{{10, false}, {100, false}, {20, false}, {2, true}, {3, false}, {3, false}, {1, false}, {1, true}, {40, false}, {5, true}, {0, false}} {
		at += step.allocates * mib
		if got := r.due(at); got != step.due {
			t.Errorf("step %d: due is %t", i, got)
		}
	}
	before := allocated()
	big = make([]byte, mib) // small ones are counted later
	if got := allocated() - before; got < mib {
		t.Errorf("of 1 MiB, %d bytes are told", got)
	}
}
