package cell

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 400}, {1 << 20, 400}, {4 << 20, 400}, {8 << 20, 200}, {16 << 20, 100}, {1 << 30, 100},
	} {
		if got := percent(c.live); got != c.want {
			t.Errorf("a live heap of %d MiB: %d %%, want %d %%", c.live>>20, got, c.want)
		}
	}
}

// The percentage follows the live heap, until a handler sets its own.
func TestGiveRoom(t *testing.T) {
	t.Setenv("GOGC", "")
	old := debug.SetGCPercent(usual)
	defer debug.SetGCPercent(old)
	h := giveRoom()
	defer h.stop.Store(true)
	current := func() int {
		sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(sample)
		return int(sample[0].Value.Uint64())
	}
	reaches := func(what string, want int) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); current() != want; runtime.GC() {
			if time.Now().After(end) {
				t.Fatalf("%s: %d %%, want %d %%", what, current(), want)
			}
		}
	}
	reaches("a small heap", 400)
	live := make([]byte, 64<<20)
	reaches("a large heap", usual)
	runtime.KeepAlive(live)
	live = nil
	reaches("a small heap again", 400)
	debug.SetGCPercent(77)
	for range 5 {
		runtime.GC()
	}
	if got := current(); got != 77 {
		t.Errorf("a handler's own percentage became %d %%", got)
	}
}
