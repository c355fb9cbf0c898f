package cell

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// room is how much a cell allocates, in bytes, before it collects garbage,
// where its live heap is smaller. Go's own minimum of 4 MiB has a busy handler
// collect hundreds of times a second: a tenth of its processor time.
const room = 16 << 20

// usual is Go's default percentage (GOGC, package runtime).
const usual = 100

// percent is what gives a live heap of so many bytes its room.
func percent(live uint64) int {
	// Below 4 MiB the runtime counts 4 MiB.
	return max(usual, int(room*usual/max(live, 4<<20)))
}

// heap keeps the room as the live heap grows and shrinks. GOGC is the
// operator's, and a handler that sets its own percentage has the last word.
type heap struct {
	set  int // what we have set
	stop atomic.Bool
}

// giveRoom starts that.
func giveRoom() *heap {
	h := &heap{set: usual}
	if os.Getenv("GOGC") != "" {
		return h
	}
	h.adjust()
	h.await()
	return h
}

// sentinel is garbage: its finalizer runs once in every collection.
type sentinel struct{ _ *byte }

func (h *heap) await() {
	runtime.SetFinalizer(&sentinel{}, func(*sentinel) {
		if !h.stop.Load() && h.adjust() {
			h.await()
		}
	})
}

// adjust reports false where the percentage is somebody else's.
func (h *heap) adjust() bool {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 || sample[1].Value.Kind() != metrics.KindUint64 {
		return false
	}
	if int(sample[1].Value.Uint64()) != h.set {
		return false
	}
	if p := percent(sample[0].Value.Uint64()); p != h.set {
		debug.SetGCPercent(p)
		h.set = p
	}
	return true
}
