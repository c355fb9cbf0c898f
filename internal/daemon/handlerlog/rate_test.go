package handlerlog

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	for name, rate := range map[string]Rate{"the default": {}, "more": {Burst: 5000, Interval: time.Minute}, "one": {Burst: 1, Interval: time.Second}} {
		t.Run(name, func(t *testing.T) {
			var b bucket
			b.bound(rate)
			burst, interval := rate.orDefault().Burst, rate.orDefault().Interval
			now := time.Unix(1000, 0)
			take := func(n int) (taken, told, begun int) {
				for range n {
					v := b.take(now)
					if v.log {
						taken++
					}
					if v.begins {
						begun++
					}
					told += v.dropped
				}
				return taken, told, begun
			}
			if taken, told, begun := take(burst + 50); taken != burst || told != 0 || begun != 1 {
				t.Errorf("at once: %d taken, %d told as dropped, told %d times that it begins", taken, told, begun)
			}
			now = now.Add(interval / 5)
			if taken, told, begun := take(1); taken != 0 || told != 0 || begun != 0 {
				t.Errorf("a little later: %d taken, %d told as dropped, %d", taken, told, begun)
			}
			now = now.Add(-time.Hour) // a clock that steps back frees nothing
			if taken, _, _ := take(1); taken != 0 {
				t.Error("a step back of the clock has freed a record")
			}
			now = now.Add(interval)
			if taken, told, begun := take(2 * burst); taken != burst || told != 52 || begun != 1 {
				t.Errorf("once the bucket is empty: %d taken, %d told as dropped, %d", taken, told, begun)
			}
			if n, _ := b.told(); n != burst {
				t.Errorf("%d dropped, want %d", n, burst)
			}
			if n := b.lost(); n != int64(burst+52) {
				t.Errorf("%d dropped in all, want %d", n, burst+52)
			}
		})
	}
}

func TestUnbounded(t *testing.T) {
	for _, rate := range []Rate{{Burst: -1}, {Interval: -1}, Rate{Burst: -1}.And(Rate{}), Rate{}.And(Rate{Interval: -1})} {
		var b bucket
		b.bound(rate)
		for range 100_000 {
			if v := b.take(time.Unix(1000, 0)); !v.log {
				t.Fatalf("%+v: a record is dropped", rate)
			}
		}
	}
}

// Who shares a cell may log what each may alone.
func TestSharedRate(t *testing.T) {
	got := Rate{}.And(Rate{Burst: 3000, Interval: 30 * time.Second})
	if want := (Rate{4000, 40 * time.Second / 3}); got.Burst != want.Burst || (got.Interval-want.Interval).Abs() > time.Millisecond {
		t.Errorf("got %v, want %v", got, want)
	}
}
