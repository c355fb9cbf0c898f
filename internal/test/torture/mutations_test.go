package torture

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// mutations drop plugins that are damaged, under other names and over the
// victim. What a damaged plugin that loads may do to its own process is
// anything; the supervisor, the gate and the others see nothing of it.
var mutations = func() (all []fault) {
	for _, m := range mutators {
		all = append(all, fault{"mutants: " + m.name, 1, func(a *arena) { a.mutants(4, m) }})
	}
	return append(all, fault{"mutants over the victim", 2, func(a *arena) {
		// It is refused, or it is live and may be whatever it is.
		for range 2 {
			for _, c := range a.crowds {
				if c.hurt {
					c.allowed = 1 << 30
				}
			}
			a.may.victim = true
			m := mutators[a.rng.IntN(len(mutators))]
			a.d.DropOld("victim", testbed.NewPlugin(m.mutate(a.rng, a.next("").Bytes)))
			a.d.Reload()
			a.refresh()
		}
	}})
}()

// mutator damages a plugin.
type mutator struct {
	name   string
	mutate func(rng *rand.Rand, good []byte) []byte
}

// interesting are values at which arithmetic breaks.
var interesting = []uint64{0, 1, 2, 7, 8, 0x7f, 0xff, 0xfff, 0x1000, 0x1001, 0x7fff, 0xffff, 0x10000, 1 << 31, 1<<31 - 1, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1}

var mutators = []mutator{
	{"truncated in the headers", func(rng *rand.Rand, b []byte) []byte { return b[:rng.IntN(4<<10)] }},
	{"truncated at a section", func(rng *rand.Rand, b []byte) []byte {
		f := parse(b)
		s := f.Sections[rng.IntN(len(f.Sections))]
		at := int(s.Offset) + rng.IntN(3) - 1
		if rng.IntN(2) == 0 && s.Type != elf.SHT_NOBITS {
			at += int(s.FileSize)
		}
		return b[:min(max(at, 0), len(b))]
	}},
	{"truncated anywhere", func(rng *rand.Rand, b []byte) []byte { return b[:rng.IntN(len(b))] }},
	{"truncated by a byte", func(rng *rand.Rand, b []byte) []byte { return b[:len(b)-1-rng.IntN(8)] }},
	{"a bit flipped anywhere", func(rng *rand.Rand, b []byte) []byte { return flip(rng, b, 0, len(b), 1) }},
	{"bits flipped anywhere", func(rng *rand.Rand, b []byte) []byte { return flip(rng, b, 0, len(b), 1+rng.IntN(64)) }},
	{"bits flipped in the code", func(rng *rand.Rand, b []byte) []byte { return flipIn(rng, b, ".text") }},
	{"bits flipped in what the loader reads", func(rng *rand.Rand, b []byte) []byte {
		return flipIn(rng, b, ".dynamic", ".dynsym", ".dynstr", ".hash", ".gnu.hash", ".rela.dyn", ".rela", ".rela.plt", ".gnu.version", ".gnu.version_r", ".init_array", ".got", ".note.go.buildid")
	}},
	{"bits flipped in what the runtime reads", func(rng *rand.Rand, b []byte) []byte {
		return flipIn(rng, b, ".gopclntab", ".go.buildinfo", ".data.rel.ro", ".typelink", ".itablink", ".data.rel.ro.gopclntab", ".data.rel.ro.typelink", ".noptrdata", ".data")
	}},
	{"the ELF header fuzzed", func(rng *rand.Rand, b []byte) []byte { return fuzz(rng, b, 4, 64) }},
	{"a program header fuzzed", func(rng *rand.Rand, b []byte) []byte {
		off, n := int(binary.LittleEndian.Uint64(b[32:])), int(binary.LittleEndian.Uint16(b[56:]))
		return fuzz(rng, b, off, off+n*56)
	}},
	{"a section header fuzzed", func(rng *rand.Rand, b []byte) []byte {
		off, n := int(binary.LittleEndian.Uint64(b[40:])), int(binary.LittleEndian.Uint16(b[60:]))
		return fuzz(rng, b, off, off+n*64)
	}},
	{"the dynamic section fuzzed", func(rng *rand.Rand, b []byte) []byte {
		s := parse(b).Section(".dynamic")
		return fuzz(rng, b, int(s.Offset), int(s.Offset+s.FileSize))
	}},
	{"a page of zeros", func(rng *rand.Rand, b []byte) []byte {
		b = bytes.Clone(b)
		at := rng.IntN(len(b)) &^ 0xfff
		clear(b[at:min(at+4096, len(b))])
		return b
	}},
	{"a page from elsewhere", func(rng *rand.Rand, b []byte) []byte {
		b = bytes.Clone(b)
		from, to := rng.IntN(len(b))&^0xfff, rng.IntN(len(b))&^0xfff
		copy(b[to:min(to+4096, len(b))], b[from:])
		return b
	}},
	{"more at the end", func(rng *rand.Rand, b []byte) []byte {
		return append(bytes.Clone(b), make([]byte, 1+rng.IntN(64<<10))...)
	}},
	{"no plugin at all", func(rng *rand.Rand, b []byte) []byte {
		r := make([]byte, rng.IntN(8<<10))
		for i := range r {
			r[i] = byte(rng.Uint32())
		}
		if rng.IntN(2) == 0 {
			copy(r, b[:min(64, len(r))])
		}
		return r
	}},
}

func parse(b []byte) *elf.File {
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		panic(err) // the good plugin is one
	}
	return f
}

func flip(rng *rand.Rand, b []byte, from, to, n int) []byte {
	b = bytes.Clone(b)
	for range n {
		b[from+rng.IntN(to-from)] ^= 1 << rng.IntN(8)
	}
	return b
}

// flipIn flips bits in one of the sections, of those that there are.
func flipIn(rng *rand.Rand, b []byte, names ...string) []byte {
	var in []*elf.Section
	f := parse(b)
	for _, name := range names {
		if s := f.Section(name); s != nil && s.Type != elf.SHT_NOBITS && s.FileSize > 0 {
			in = append(in, s)
		}
	}
	s := in[rng.IntN(len(in))]
	return flip(rng, b, int(s.Offset), int(s.Offset+s.FileSize), 1+rng.IntN(8))
}

// fuzz puts interesting values into fields of b[from:to].
func fuzz(rng *rand.Rand, b []byte, from, to int) []byte {
	b = bytes.Clone(b)
	for range 1 + rng.IntN(3) {
		size := 1 << rng.IntN(4) // bytes
		at := from + rng.IntN(max(1, (to-from)/size))*size
		v := interesting[rng.IntN(len(interesting))]
		for i := 0; i < size && at+i < to; i++ {
			b[at+i] = byte(v >> (8 * i))
		}
	}
	return b
}

// mutants drops damaged plugins under names of their own, asks those that are
// live for something, and removes them.
func (a *arena) mutants(n int, m mutator) (live, refused int) {
	for i := range n {
		name := fmt.Sprintf("mutant%d", i)
		good := beast(a.life, "/"+name, name, "")
		a.d.DropOld(name, testbed.NewPlugin(m.mutate(a.rng, good.Bytes)))
	}
	live, refused = a.judge(n)
	for i := range n {
		a.d.Remove(fmt.Sprintf("mutant%d", i))
	}
	a.d.Reload()
	return live, refused
}

// judge waits until each mutant is live or refused with its reason and mend,
// and asks those that are live for something.
func (a *arena) judge(n int) (live, refused int) {
	a.d.Reload()
	byName := make(map[string]api.Handler)
	for _, h := range a.d.Status().Handlers {
		byName[h.Name] = h
	}
	for i := range n {
		name := fmt.Sprintf("mutant%d", i)
		h := byName[name]
		switch {
		case h.Refusal != nil && (h.Refusal.Reason == "" || h.Refusal.Mend == ""):
			a.life.Errorf("%s is refused without reason or mend: %+v", name, h.Refusal)
		case h.Refusal != nil:
			refused++
		case h.State == api.StateLive, h.State == api.StateCrashed, h.State == api.StateRolledBack, h.State == api.StateQuarantined:
			live++
			if c, err := testbed.Dial("tcp", a.d.Addr); err == nil {
				c.SetDeadline(time.Now().Add(time.Second))
				c.Write([]byte("GET /" + name + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"))
				c.Conn.Read(make([]byte, 4096)) // whatever it answers, and if
				c.Close()
			} else {
				a.life.Errorf("connect: %v", err)
			}
		default:
			a.life.Errorf("%s is neither live nor refused: %+v", name, h)
		}
	}
	return live, refused
}
