package supervisor

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	var b bucket
	now := time.Unix(1000, 0)
	take := func(n int) (taken, dropped int) {
		for range n {
			ok, d := b.take(now)
			if ok {
				taken++
			}
			dropped += d
		}
		return taken, dropped
	}
	if taken, dropped := take(logBurst + 50); taken != logBurst || dropped != 0 {
		t.Errorf("at once: %d taken, %d told as dropped", taken, dropped)
	}
	now = now.Add(time.Second)
	if taken, dropped := take(1); taken != 0 || dropped != 0 {
		t.Errorf("a second later: %d taken, %d told as dropped", taken, dropped)
	}
	now = now.Add(-time.Hour) // a clock that steps back frees nothing
	if taken, _ := take(1); taken != 0 {
		t.Error("a step back of the clock has freed a record")
	}
	now = now.Add(logBurst / logRate * time.Second)
	if taken, dropped := take(2 * logBurst); taken != logBurst || dropped != 52 {
		t.Errorf("once the bucket is empty: %d taken, %d told as dropped", taken, dropped)
	}
	if n := b.told(); n != logBurst {
		t.Errorf("%d dropped, want %d", n, logBurst)
	}
}
