package handover

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// PageSize is the size in bytes of the file that two peers map in common. Its
// content is zero at first.
const PageSize = 4096

// counts are what each side says of the frames that it was sent. They live in
// memory that both processes map, so that a count survives the process that
// made it.
type counts struct {
	ours, theirs *tally
	page         []byte
}

// tally is written by one side and read by the other.
type tally struct {
	// taken is how many connections and requests that side has taken, or
	// has lost: then it noted that before.
	taken atomic.Uint64
	// missed is how many connections came without their descriptor, because
	// that side had none left; the last of them are the frames in which.
	missed atomic.Uint64
	which  [maxMissed]atomic.Uint64
}

// maxMissed is how many connections one side may miss before the other looks.
const maxMissed = 64

// miss notes that the next frame to be taken has lost its descriptor.
func (t *tally) miss() {
	n := t.missed.Load()
	t.which[n%maxMissed].Store(t.taken.Load() + 1)
	t.missed.Store(n + 1)
}

// unmap ends the use of c.
func (c *counts) unmap() { syscall.Munmap(c.page) }

func mapCounts(page *os.File, first bool) (*counts, error) {
	b, err := syscall.Mmap(int(page.Fd()), 0, PageSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the page of a peer: %w", err)
	}
	a, z := (*tally)(unsafe.Pointer(&b[0])), (*tally)(unsafe.Pointer(&b[PageSize/2]))
	if first {
		return &counts{a, z, b}, nil
	}
	return &counts{z, a, b}, nil
}
