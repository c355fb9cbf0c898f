package slim

import (
	"os"
	"testing"

	"github.com/andrestc/go-plugserver/internal/serve/mapped"
)

var big []byte

// A process gives back once it rests after a burst, and not again for what little it does then.
func TestRestIsDue(t *testing.T) {
	const mib = 1 << 20
	var r rest
	at := uint64(0)
	for i, step := range []struct {
		allocates uint64 // MiB
		due       bool
	}{{10, false}, {100, false}, {20, false}, {2, true}, {3, false}, {3, false}, {1, false}, {1, true}, {40, false}, {5, true}, {0, false}} {
		at += step.allocates * mib
		if got := r.due(at); got != step.due {
			t.Errorf("step %d: due is %t", i, got)
		}
	}
	before := allocated()
	big = make([]byte, mib) // small ones are counted later
	if got := allocated() - before; got < mib {
		t.Errorf("of 1 MiB, %d bytes are told", got)
	}
}

// Of its program a process gives back what it does not run again.
func TestForgetsProgram(t *testing.T) {
	pages := func() (kib int) {
		f, err := os.Open("/proc/self/smaps")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, m := range clean(f, program()) {
			kib += resident(t, m)
		}
		return kib
	}
	before := pages()
	forget(program())
	if after := pages(); before == 0 || after >= before {
		t.Errorf("%d KiB of the program are in memory, and were %d", after, before)
	}
}

// resident is how much of a mapping is in memory, in KiB.
func resident(t *testing.T, m mapped.Range) (kib int) {
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entry, page := make([]byte, 8), uintptr(os.Getpagesize())
	for at := m.From; at < m.To; at += page {
		if _, err := f.ReadAt(entry, int64(at/page*8)); err != nil {
			t.Fatal(err)
		}
		kib += int(entry[7]>>7) * int(page) >> 10 // proc_pid_pagemap(5): the top bit says that it is present
	}
	return kib
}
