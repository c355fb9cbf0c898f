package counter

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// slot is what one handler's counts, or the gate's, take of a file, in bytes: whole
// pages.
const slot = 3 << 12

// One of these does not compile where what is counted has outgrown its slot.
const (
	_ = uint(slot - unsafe.Sizeof(Handler{}))
	_ = uint(slot - unsafe.Sizeof(Gate{}))
)

// Size is how large the file is in which n handlers are counted, or the gate with n = 1, in
// bytes. Its content is zero at first.
func Size(n int) int64 { return int64(n) * slot }

// Memory is a file mapped into this process.
type Memory struct{ bytes []byte }

// Map maps a file of Size(n), for reading alone or to count in. It stays the caller's, who
// may close it then. Nobody may make it shorter while it is mapped.
func Map(f *os.File, n int, write bool) (*Memory, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if n < 1 || st.Size() < Size(n) {
		return nil, errors.New("map counts: the file is too short")
	}
	mode := syscall.PROT_READ
	if write {
		mode |= syscall.PROT_WRITE
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(Size(n)), mode, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map counts: %w", err)
	}
	return &Memory{b}, nil
}

// Unmap ends its use: what Handler and Gate have returned must not be used any more.
func (m *Memory) Unmap() { syscall.Munmap(m.bytes) }

// Handler returns the counts of the i-th handler.
func (m *Memory) Handler(i int) *Handler { return (*Handler)(unsafe.Pointer(&m.bytes[i*slot])) }

// Gate returns the counts of the gate.
func (m *Memory) Gate() *Gate { return (*Gate)(unsafe.Pointer(&m.bytes[0])) }

// MapHandlers returns what n handlers are to be counted in: of the file among files, which
// it closes, or of this process alone where there is none, for its descriptors have run out.
func MapHandlers(files []*os.File, n int) []*Handler {
	all := make([]*Handler, n)
	m := mapped(files, n)
	for i := range all {
		if all[i] = new(Handler); m != nil {
			all[i] = m.Handler(i)
		}
	}
	return all
}

// MapGate is MapHandlers for the gate.
func MapGate(files []*os.File) *Gate {
	if m := mapped(files, 1); m != nil {
		return m.Gate()
	}
	return new(Gate)
}

func mapped(files []*os.File, n int) (m *Memory) {
	for i, f := range files {
		if i == 0 {
			m, _ = Map(f, n, true)
		}
		f.Close()
	}
	return m
}
