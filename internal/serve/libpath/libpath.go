// Package libpath is where a file says that its libraries are.
package libpath

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
)

// What elf(5) calls by these names.
const (
	ptLoad, ptDynamic            = 1, 2
	dtStrtab, dtRpath, dtRunpath = 5, 15, 29
	pathMax                      = 4096
)

// Of is where a file of this machine says that its libraries are (DT_RUNPATH, DT_RPATH), "" if it does not. Package debug/elf would tell,
// too, but a cell that links it takes 4 % longer to start: plugin.Open looks at all types.
func Of(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	read := func(offset, size uint64) []byte {
		b := make([]byte, min(size, 1<<20))
		n, _ := f.ReadAt(b, int64(offset))
		return b[:n]
	}
	is := binary.NativeEndian
	head := read(0, 64)
	if len(head) < 64 || string(head[:5]) != "\x7fELF\x02" { // of 64 bits
		return ""
	}
	segment, n := int(is.Uint16(head[54:])), int(is.Uint16(head[56:]))
	segments := read(is.Uint64(head[32:]), uint64(segment)*uint64(n))
	// each calls do with the segments of a kind: where they are in the file and in memory, and how large.
	each := func(kind uint32, do func(offset, address, size uint64)) {
		for s := segments; segment >= 56 && len(s) >= segment; s = s[segment:] {
			if is.Uint32(s) == kind {
				do(is.Uint64(s[8:]), is.Uint64(s[16:]), is.Uint64(s[32:]))
			}
		}
	}
	var names uint64 // where the strings are in memory
	var at []uint64  // of the paths, in them
	each(ptDynamic, func(offset, _, size uint64) {
		for d := read(offset, size); len(d) >= 16; d = d[16:] {
			switch value := is.Uint64(d[8:]); is.Uint64(d) {
			case dtStrtab:
				names = value
			case dtRpath, dtRunpath:
				at = append(at, value)
			}
		}
	})
	var all []string
	each(ptLoad, func(offset, address, size uint64) {
		if names < address || names-address >= size {
			return
		}
		for _, n := range at {
			text, _, _ := bytes.Cut(read(offset+names-address+n, pathMax), []byte{0})
			all = append(all, string(text))
		}
	})
	return strings.Join(all, ":")
}
