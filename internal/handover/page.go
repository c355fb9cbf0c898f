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

// counts are how many frames each side has taken. They live in memory that
// both processes map, so that a count survives the process that made it.
type counts struct {
	ours, theirs *atomic.Uint64
	page         []byte
}

// unmap ends the use of c.
func (c *counts) unmap() { syscall.Munmap(c.page) }

func mapCounts(page *os.File, first bool) (*counts, error) {
	b, err := syscall.Mmap(int(page.Fd()), 0, PageSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the page of a peer: %w", err)
	}
	// Two cache lines: each is written by one side.
	a, z := (*atomic.Uint64)(unsafe.Pointer(&b[0])), (*atomic.Uint64)(unsafe.Pointer(&b[128]))
	if first {
		return &counts{a, z, b}, nil
	}
	return &counts{z, a, b}, nil
}
