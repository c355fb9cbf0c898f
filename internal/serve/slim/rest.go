package slim

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// restEvery is how often Rest looks.
	restEvery = 5 * time.Second
	// restful is how much a process that rests allocates meanwhile, at the most, in bytes: what
	// keeps thousands of handlers under watch is less.
	restful = 8 << 20
	// worth is how much it has to have allocated since it last gave back what it could.
	worth = 8 << 20
)

// Rest has this process give back what a burst of work has left, such as the start of a thousand
// handlers, whenever it rests after one: the collector by itself keeps twice of what is in use, and
// stacks as they have been, and the kernel each page of its program that ever ran. It does not return.
func Rest() {
	var r rest
	for range time.Tick(restEvery) {
		if r.due(allocated()) {
			debug.FreeOSMemory()
			forget(program())
		}
	}
}

// program is the file of this process's.
func program() map[string]bool {
	path, _ := os.Executable()
	return New([]string{path}).files
}

// rest decides when.
type rest struct{ last, given uint64 }

// due reports whether to give back, of what was allocated by now, in bytes.
func (r *rest) due(allocated uint64) bool {
	rests := allocated-r.last <= restful
	r.last = allocated
	if !rests || allocated-r.given < worth {
		return false
	}
	r.given = allocated
	return true
}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	if metrics.Read(sample); sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}
