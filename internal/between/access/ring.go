package access

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

const (
	room = 256 << 10 // bytes of lines, a power of two
	// begin is where they stand in the memory: whole pages behind the head.
	begin = 4 << 10
)

// Size is how large the file is in which a process gathers its lines, in bytes. Its
// content is zero at first.
const Size = begin + room

// Ring is lines that wait to be written, in memory that two processes may map.
// One of them fills and empties it, with a lock of its own; the other only looks.
type Ring struct {
	head  *head
	lines []byte
	bytes []byte // the mapping; nil where there is none
}

type head struct {
	// ends are where the lines end and, in the upper half, begin, counted on beyond the room:
	// in one word, so that whoever looks when the process is dead sees a whole state.
	ends atomic.Uint64
	lost atomic.Uint64 // lines that were given up
}

// NewRing returns one that no other process sees.
func NewRing() *Ring { return &Ring{head: new(head), lines: make([]byte, room)} }

// MapRing maps a file of Size. It stays the caller's, who may close it then. Nobody may
// make it shorter while it is mapped.
func MapRing(f *os.File, write bool) (*Ring, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() < Size {
		return nil, errors.New("map lines: the file is too short")
	}
	mode := syscall.PROT_READ
	if write {
		mode |= syscall.PROT_WRITE
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, Size, mode, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map lines: %w", err)
	}
	return &Ring{(*head)(unsafe.Pointer(&b[0])), b[begin:Size], b}, nil
}

// Unmap ends its use.
func (r *Ring) Unmap() {
	if r.bytes != nil {
		syscall.Munmap(r.bytes)
	}
}

// Lost is how many lines were given up.
func (r *Ring) Lost() uint64 { return r.head.lost.Load() & (1<<62 - 1) } // whoever has written it

// Left returns a copy of the whole lines that a dead process has not written.
func (r *Ring) Left() []byte {
	b := append([]byte(nil), r.waiting()...)
	for len(b) > 0 && b[len(b)-1] != '\n' {
		b = b[:len(b)-1]
	}
	return b
}

// put adds a line. It reports the bytes that wait then, or false where there is no room.
func (r *Ring) put(line []byte) (waits int, ok bool) {
	end, from := r.ends32()
	n := end - from
	if int(n)+len(line) > room {
		return int(n), false
	}
	at := end % room
	k := copy(r.lines[at:], line)
	copy(r.lines, line[k:])
	end += uint32(len(line))
	r.head.ends.Store(uint64(from)<<32 | uint64(end))
	return int(end - from), true
}

// waiting returns the lines that wait: they stay as they are until they are taken.
func (r *Ring) waiting() []byte {
	end, from := r.ends32()
	n := min(int(end-from), room)
	at := int(from % room)
	if at+n <= room {
		return r.lines[at : at+n]
	}
	// No write may end within a line: another process's could come between.
	return append(append(make([]byte, 0, n), r.lines[at:]...), r.lines[:at+n-room]...)
}

// take drops the first n bytes that wait.
func (r *Ring) take(n int) (empty bool) {
	end, from := r.ends32()
	if from += uint32(n); from == end {
		r.head.ends.Store(0) // what is rarely full never uses more memory than its first pages
		return true
	}
	r.head.ends.Store(uint64(from)<<32 | uint64(end))
	return false
}

func (r *Ring) ends32() (end, from uint32) {
	v := r.head.ends.Load()
	return uint32(v), uint32(v >> 32)
}
