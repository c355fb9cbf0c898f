package elfplug

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"go/token"
	"math"
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/file/badfile"
)

const (
	hashPrefix    = "go:link.pkghashbytes."
	hashPrefixOld = "go.link.pkghashbytes." // before Go 1.20
	unnamed       = "plugin/unnamed-"       // the plugin path of a plugin built from files

	maxTable    = 64 << 20 // bytes of dynamic symbols, and of their names
	maxHashSize = 64       // bytes; they are 8 (cmd/internal/goobj, FingerprintType)
	maxHashes   = 1 << 14  // packages
	maxHashSpan = 1 << 20  // bytes of the file that hold all hashes
	maxName     = 1 << 10  // bytes of the name of a symbol
	maxExports  = 1 << 12
)

// symbols is the dynamic symbol table (elf(5)), which strip(1) and the
// linker's -s leave alone. A large plugin has some 20,000, so only those of
// interest are decoded: elf.File.DynamicSymbols takes tens of times as long.
type symbols struct {
	im    *image
	table []byte
	entry int    // bytes of one symbol
	names []byte // each ends in a zero byte
	free  func() // gives both back; the caller of dynamicSymbols calls it
}

// dynamicSymbols reads the table; it is empty where there is none.
func (im *image) dynamicSymbols() (*symbols, error) {
	t := &symbols{im: im, entry: elf.Sym64Size, free: func() {}}
	if im.class == elf.ELFCLASS32 {
		t.entry = elf.Sym32Size
	}
	for _, s := range im.sections {
		if s.kind != elf.SHT_DYNSYM {
			continue
		}
		if uint64(s.link) >= uint64(len(im.sections)) || im.sections[s.link].kind != elf.SHT_STRTAB {
			return nil, badfile.MalformedELF("its symbols have no names")
		}
		names := im.sections[s.link]
		if s.bytes > maxTable || names.bytes > maxTable {
			return nil, badfile.MalformedELF("its symbol table is too large")
		}
		var both []byte
		both, t.free = buffer(s.bytes + names.bytes)
		t.table, t.names = both[:s.bytes:s.bytes], both[s.bytes:]
		if err := errors.Join(im.readAt(t.table, int64(s.off)), im.readAt(t.names, int64(names.off))); err != nil {
			t.free()
			return nil, err
		}
		break
	}
	return t, nil
}

// withPrefix calls yield with the index of each symbol whose name begins with
// prefix, and the offset of the rest of its name, until yield returns false. Most names are told apart by their first
// eight bytes, in one comparison: a daemon that starts reads the symbols of each handler.
func (t *symbols) withPrefix(prefix string, yield func(i int, rest uint64) bool) {
	want := []byte(prefix)
	head, mask := first(want)
	little := t.im.order == binary.ByteOrder(binary.LittleEndian)
	for i := range len(t.table) / t.entry {
		b := t.table[i*t.entry:]
		off := uint64(binary.LittleEndian.Uint32(b))
		if !little {
			off = uint64(t.im.order.Uint32(b))
		}
		if off >= uint64(len(t.names)) {
			continue
		}
		name := t.names[off:]
		if len(name) >= 8 && binary.LittleEndian.Uint64(name)&mask != head {
			continue
		}
		if bytes.HasPrefix(name, want) && !yield(i, off+uint64(len(want))) {
			return
		}
	}
}

// first returns the first eight bytes of b as one number, and a mask of those that b has.
func first(b []byte) (head, mask uint64) {
	var has, of [8]byte
	for i := range copy(has[:], b) {
		of[i] = 0xff
	}
	return binary.LittleEndian.Uint64(has[:]), binary.LittleEndian.Uint64(of[:])
}

// at decodes a symbol but for its name.
func (t *symbols) at(i int) (kind elf.SymType, section elf.SectionIndex, value, size uint64) {
	b, order := t.table[i*t.entry:(i+1)*t.entry], t.im.order
	if t.im.class == elf.ELFCLASS32 {
		return elf.ST_TYPE(b[12]), elf.SectionIndex(order.Uint16(b[14:])), uint64(order.Uint32(b[4:])), uint64(order.Uint32(b[8:]))
	}
	return elf.ST_TYPE(b[4]), elf.SectionIndex(order.Uint16(b[6:])), order.Uint64(b[8:]), order.Uint64(b[16:])
}

// variable reads the variable of size bytes that a symbol names, nil where
// there is none.
func (t *symbols) variable(name string, size uint64) (b []byte, err error) {
	t.withPrefix(name, func(i int, rest uint64) bool {
		if rest >= uint64(len(t.names)) || t.names[rest] != 0 {
			return true
		}
		kind, section, value, n := t.at(i)
		if off, ok := t.im.locate(section, value, n); ok && n == size && kind == elf.STT_OBJECT {
			b = make([]byte, size)
			err = t.im.readAt(b, int64(off))
		}
		return false
	})
	return b, err
}

// hashes reads the fingerprint of each package. They lie side by side.
func (t *symbols) hashes() (h Hashes, err error) {
	type place struct {
		pkg      string
		off, end uint64
	}
	var places []place
	var bad error
	first, last := uint64(math.MaxUint64), uint64(0)
	add := func(i int, rest uint64) bool {
		pkg := cString(t.names, rest, maxName)
		_, section, value, size := t.at(i)
		off, ok := t.im.locate(section, value, size)
		if pkg == "" || !ok || size == 0 || size > maxHashSize || len(places) == maxHashes {
			bad = badfile.MalformedELF("its package hashes cannot be found")
			return false
		}
		places = append(places, place{pkg, off, off + size})
		first, last = min(first, off), max(last, off+size)
		return true
	}
	if t.withPrefix(hashPrefix, add); len(places) == 0 && bad == nil {
		t.withPrefix(hashPrefixOld, add)
	}
	if bad != nil || len(places) == 0 {
		return h, bad
	}
	if last-first > maxHashSpan {
		return h, badfile.MalformedELF("its package hashes cannot be found")
	}
	span := make([]byte, last-first)
	if err := t.im.readAt(span, int64(first)); err != nil {
		return h, err
	}
	byPkg := make(map[string]string, len(places))
	for _, p := range places {
		byPkg[p.pkg] = hex.EncodeToString(span[p.off-first : p.end-first])
	}
	return HashesOf(byPkg), nil
}

// locate returns where in the file the size bytes at an address are.
func (im *image) locate(index elf.SectionIndex, addr, size uint64) (off uint64, ok bool) {
	if index == elf.SHN_UNDEF || int(index) >= len(im.sections) {
		return 0, false
	}
	s := im.sections[index]
	if s.kind == elf.SHT_NULL || s.kind == elf.SHT_NOBITS || addr < s.addr || addr-s.addr > s.bytes || size > s.bytes-(addr-s.addr) {
		return 0, false
	}
	return s.off + (addr - s.addr), true
}

// pluginPath finds what the plugin's symbols are named after: the import path
// of its package main, as the go command gives it to the compiler. The linker
// may have been told another, which is of use only if the compiler was, too.
func (t *symbols) pluginPath(info *Info) string {
	if info.PkgHashes.Of(info.Path) != "" {
		return escape(info.Path)
	}
	var found []string
	for pkg := range info.PkgHashes.All() {
		if strings.HasPrefix(pkg, unnamed) && info.Path == "command-line-arguments" {
			return pkg
		}
	}
	mains := make(map[string]bool, info.PkgHashes.Len())
	for pkg := range info.PkgHashes.All() {
		mains[escape(pkg)+".main"] = pkg != "runtime"
	}
	t.withPrefix("", func(i int, off uint64) bool {
		if kind, section, _, _ := t.at(i); kind == elf.STT_FUNC && section != elf.SHN_UNDEF {
			if name := cString(t.names, off, maxName); mains[name] {
				found = append(found, strings.TrimSuffix(name, ".main"))
			}
		}
		return len(found) < 2
	})
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// exports lists the functions and variables that plugin.Lookup would find:
// those with an exported name of their own in the package's scope.
func (t *symbols) exports(pluginPath string) []string {
	var names []string
	t.withPrefix(pluginPath+".", func(i int, rest uint64) bool {
		kind, section, _, _ := t.at(i)
		if kind != elf.STT_FUNC && kind != elf.STT_OBJECT || section == elf.SHN_UNDEF {
			return true
		}
		if name := cString(t.names, rest, maxName); token.IsExported(name) && token.IsIdentifier(name) {
			names = append(names, name)
		}
		return len(names) < maxExports
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// escape writes an import path as the linker does in the names of symbols
// (cmd/internal/objabi, PathToPrefix).
func escape(path string) string {
	const digits = "0123456789abcdef"
	slash := strings.LastIndexByte(path, '/')
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if c := path[i]; c <= ' ' || c == '.' && i > slash || c == '%' || c == '"' || c >= 0x7f {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
