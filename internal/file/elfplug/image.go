package elfplug

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
)

// What an honest file stays far below; beyond it a file is refused.
const (
	maxSections = 1 << 12
	maxSegments = 1 << 10
	maxNames    = 1 << 20 // bytes of section names
)

// An image is the outline of an ELF file (elf(5)), of either class and byte
// order: debug/elf reads the same, but neither tells a file cut short from a
// malformed one nor bounds what it allocates.
type image struct {
	r    io.ReaderAt
	size int64
	need int64 // the end of the last byte that a header speaks of

	class    elf.Class
	order    binary.ByteOrder
	osabi    elf.OSABI
	kind     elf.Type
	machine  elf.Machine
	interp   bool // has a PT_INTERP: a program
	sections []section
}

// A section is one section header; its content lies inside the file.
type section struct {
	name             string
	nameOff          uint32
	kind             elf.SectionType
	flags            elf.SectionFlag
	link             uint32
	addr, off, bytes uint64
}

// cutError says that the file ends before the need bytes it announces.
type cutError struct{ need int64 }

func (e *cutError) Error() string { return fmt.Sprintf("file ends before byte %d", e.need) }

// Complete reports whether the ELF file of size bytes is whole: its header
// tables, and all content that they speak of, lie inside size, and the names of
// its sections were written. If it is not, need is the size that it announces
// so far, or 0 where its header is cut; up to size where the file got its size
// before its content. What is no ELF file, or a malformed one, is complete:
// Inspect refuses it. err is of reading.
func Complete(r io.ReaderAt, size int64) (complete bool, need int64, err error) {
	im, err := outline(r, size)
	if err == nil {
		return true, im.need, nil
	}
	if cut, ok := errors.AsType[*cutError](err); ok {
		return false, cut.need, nil
	}
	if _, ok := errors.AsType[*refusal.Error](err); ok {
		return true, size, nil
	}
	return false, 0, err
}

// outline reads the header, the program headers and the section headers. The
// error is a *cutError, a *refusal.Error, or one of reading.
func outline(r io.ReaderAt, size int64) (*image, error) {
	im := &image{r: r, size: size}
	head, err := im.ident()
	if err != nil {
		return nil, err
	}
	h, l, err := im.header(head)
	if err != nil {
		return nil, err
	}
	switch {
	case h.Phnum > maxSegments || h.Shnum > maxSections || h.Shoff != 0 && h.Shnum == 0:
		return nil, badfile.MalformedELF("it has too many sections or segments")
	case h.Phnum > 0 && int(h.Phentsize) != l.segment || h.Shnum > 0 && int(h.Shentsize) != l.section:
		return nil, badfile.MalformedELF("its header tables have entries of an unknown size")
	case h.Shnum > 0 && h.Shstrndx >= h.Shnum:
		return nil, badfile.MalformedELF("its section names are missing")
	}
	// Both tables first, so that need is known as soon as it can be.
	im.need = int64(l.header)
	if err := im.announce(h.Phoff, uint64(h.Phnum)*uint64(l.segment)); err != nil {
		return nil, err
	}
	if err := im.announce(h.Shoff, uint64(h.Shnum)*uint64(l.section)); err != nil {
		return nil, err
	}
	if err := im.readSegments(h, l.segment); err != nil {
		return nil, err
	}
	if err := im.readSections(h, l.section); err != nil {
		return nil, err
	}
	return im, nil
}

// ident reads what says how the rest is to be read, and returns the first bytes of the
// file, as many as the longest header has where it has so many.
func (im *image) ident() ([]byte, error) {
	head := make([]byte, min(max(im.size, 0), 64))
	if err := im.readAt(head, 0); err != nil {
		return nil, err
	}
	n := len(head)
	if m := min(n, len(elf.ELFMAG)); string(head[:m]) != elf.ELFMAG[:m] {
		if n > 0 && isZero(head) {
			return nil, &cutError{im.size} // its size came before its content
		}
		return nil, badfile.NotELF(foreign(head))
	}
	if n < elf.EI_NIDENT {
		return nil, &cutError{}
	}
	im.class, im.osabi = elf.Class(head[elf.EI_CLASS]), elf.OSABI(head[elf.EI_OSABI])
	switch elf.Data(head[elf.EI_DATA]) {
	case elf.ELFDATA2LSB:
		im.order = binary.LittleEndian
	case elf.ELFDATA2MSB:
		im.order = binary.BigEndian
	default:
		return nil, badfile.MalformedELF("its byte order is unknown")
	}
	return head, nil
}

// layout is how long the structures of a class are, in bytes.
type layout struct{ header, segment, section int }

// header decodes the header of either class, as one of 64 bits.
func (im *image) header(head []byte) (h elf.Header64, l layout, err error) {
	switch im.class {
	case elf.ELFCLASS64:
		l = layout{64, 56, 64}
	case elf.ELFCLASS32:
		l = layout{52, 32, 40}
	default:
		return h, l, badfile.MalformedELF("its class is unknown")
	}
	if len(head) < l.header {
		return h, l, &cutError{}
	}
	if im.class == elf.ELFCLASS64 {
		im.decode(head[:l.header], &h)
	} else {
		var h32 elf.Header32
		im.decode(head[:l.header], &h32)
		h = elf.Header64{Type: h32.Type, Machine: h32.Machine,
			Phoff: uint64(h32.Phoff), Phentsize: h32.Phentsize, Phnum: h32.Phnum,
			Shoff: uint64(h32.Shoff), Shentsize: h32.Shentsize, Shnum: h32.Shnum, Shstrndx: h32.Shstrndx}
	}
	im.kind, im.machine = elf.Type(h.Type), elf.Machine(h.Machine)
	return h, l, nil
}

// readSegments reads as many program headers as lie inside the file.
func (im *image) readSegments(h elf.Header64, entry int) error {
	if h.Phnum == 0 || h.Phoff+uint64(h.Phnum)*uint64(entry) > uint64(im.size) {
		return nil
	}
	table := make([]byte, int(h.Phnum)*entry)
	if err := im.readAt(table, int64(h.Phoff)); err != nil {
		return err
	}
	for ; len(table) > 0; table = table[entry:] {
		var p elf.Prog64
		if im.class == elf.ELFCLASS64 {
			im.decode(table[:entry], &p)
		} else {
			var p32 elf.Prog32
			im.decode(table[:entry], &p32)
			p = elf.Prog64{Type: p32.Type, Off: uint64(p32.Off), Filesz: uint64(p32.Filesz)}
		}
		if elf.ProgType(p.Type) == elf.PT_INTERP {
			im.interp = true
		}
		if err := im.announce(p.Off, p.Filesz); err != nil {
			return err
		}
	}
	return nil
}

// readSections reads the section headers and their names, and decides whether
// the file is whole.
func (im *image) readSections(h elf.Header64, entry int) error {
	if im.need > im.size {
		return &cutError{im.need}
	}
	if h.Shnum == 0 {
		return nil
	}
	table := make([]byte, int(h.Shnum)*entry)
	if err := im.readAt(table, int64(h.Shoff)); err != nil {
		return err
	}
	im.sections = make([]section, 0, h.Shnum)
	for ; len(table) > 0; table = table[entry:] {
		var s elf.Section64
		if im.class == elf.ELFCLASS64 {
			im.decode(table[:entry], &s)
		} else {
			var s32 elf.Section32
			im.decode(table[:entry], &s32)
			s = elf.Section64{Name: s32.Name, Type: s32.Type, Flags: uint64(s32.Flags), Link: s32.Link,
				Addr: uint64(s32.Addr), Off: uint64(s32.Off), Size: uint64(s32.Size)}
		}
		t := elf.SectionType(s.Type)
		if t != elf.SHT_NULL && t != elf.SHT_NOBITS {
			if err := im.announce(s.Off, s.Size); err != nil {
				return err
			}
		}
		im.sections = append(im.sections, section{nameOff: s.Name, kind: t, flags: elf.SectionFlag(s.Flags), link: s.Link, addr: s.Addr, off: s.Off, bytes: s.Size})
	}
	if im.need > im.size {
		return &cutError{im.need}
	}
	return im.readNames(int(h.Shstrndx))
}

// readNames names the sections. A file that got its full size before its
// content ends in zeros: there the last section, or its names, are empty.
func (im *image) readNames(index int) error {
	unwritten := &cutError{im.need}
	names := im.sections[index]
	if im.sections[len(im.sections)-1].kind == elf.SHT_NULL && len(im.sections) > 1 || index > 0 && names.kind == elf.SHT_NULL {
		return unwritten
	}
	if index == 0 {
		return nil // stripped of names
	}
	if names.kind != elf.SHT_STRTAB || names.bytes > maxNames {
		return badfile.MalformedELF("its section names are missing")
	}
	text, err := im.content(names)
	if err != nil {
		return err
	}
	for i := range im.sections {
		s := &im.sections[i]
		if s.kind == elf.SHT_NULL || s.nameOff == 0 {
			continue
		}
		s.name = cString(text, uint64(s.nameOff), 256)
		if s.name == "" {
			return unwritten
		}
	}
	return nil
}

// announce records that n bytes at off belong to the file.
func (im *image) announce(off, n uint64) error {
	if n == 0 {
		return nil
	}
	end := off + n
	if end < off || end > math.MaxInt64 {
		return badfile.MalformedELF("its headers point beyond any file")
	}
	im.need = max(im.need, int64(end))
	return nil
}

// content reads a whole section. Its caller has bounded it.
func (im *image) content(s section) ([]byte, error) {
	if s.kind == elf.SHT_NOBITS {
		return nil, nil
	}
	b := make([]byte, s.bytes)
	return b, im.readAt(b, int64(s.off))
}

// buffers are those that files were read through, for the next: what one file leaves would have the
// collector run for every other.
var buffers sync.Pool // of *[]byte

// buffer returns n bytes of any content, and what gives them back.
func buffer(n uint64) (b []byte, free func()) {
	p, _ := buffers.Get().(*[]byte)
	if p == nil || uint64(cap(*p)) < n {
		b := make([]byte, n)
		p = &b
	}
	return (*p)[:n], func() { buffers.Put(p) }
}

// readAt fills b. A file that became shorter than its size is cut.
func (im *image) readAt(b []byte, off int64) error {
	n, err := im.r.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &cutError{max(im.need, im.size)}
	}
	return fmt.Errorf("read ELF file: %w", err)
}

// decode fills v, a header struct of debug/elf, from b, which is as long.
func (im *image) decode(b []byte, v any) {
	if _, err := binary.Decode(b, im.order, v); err != nil {
		panic("elfplug: " + err.Error()) // b is too short: an error of ours
	}
}

// section returns the first section of that name, or nil.
func (im *image) section(name string) *section {
	for i := range im.sections {
		if im.sections[i].name == name {
			return &im.sections[i]
		}
	}
	return nil
}

// cString returns the string at off that ends in a zero byte, or "" where it
// is longer than most bytes.
func cString(table []byte, off uint64, most int) string {
	if off >= uint64(len(table)) {
		return ""
	}
	b := table[off:]
	b = b[:min(len(b), most+1)]
	n := bytes.IndexByte(b, 0)
	if n < 0 {
		return ""
	}
	return string(b[:n])
}
