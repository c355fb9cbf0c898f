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
	// has missed.
	taken atomic.Uint64
	// missed has a bit for each of the last connections: that side had no
	// descriptor for it. It is right before taken counts the connection.
	missed [recent / 64]atomic.Uint64
	// owned is one more than how many connections that side has; 0 where it has not
	// said so yet.
	owned atomic.Uint64
}

// recent is how many connections may be on their way to one side, or not looked
// after since: so a bit is read before it is another connection's.
const recent = 1024

// note says whether the n-th connection was missed, which is taken next.
func (t *tally) note(n uint64, missed bool) {
	word, bit := &t.missed[n%recent/64], uint64(1)<<(n%64)
	was := word.Load() // no one else writes it
	if missed {
		word.Store(was | bit)
	} else {
		word.Store(was &^ bit)
	}
}

// hasMissed reports whether the n-th connection, which taken counts, was missed.
func (t *tally) hasMissed(n uint64) bool {
	return t.missed[n%recent/64].Load()>>(n%64)&1 == 1
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
