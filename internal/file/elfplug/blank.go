package elfplug

import (
	"bytes"
	"debug/elf"
	"errors"
	"io"
	"sort"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
)

// A file that is filled in any order, by parallel downloads or over a torrent,
// has its size and both its ends long before its content: what is to come is
// zeros. In a linked plugin few sections have many of them.
const (
	// page is the least that is looked for. In code, tables and symbols no page
	// is zeros, read-only data rarely has one.
	page = 4096
	// much is more zeros than variables begin with, but for large arrays.
	much = 64 << 10
	// piece is how much is read at once.
	piece = 256 << 10
)

// Blank looks for content that was not written, in a file that is Complete: maybe
// says that there are zeros where they are rare, surely that there are some
// where no plugin has them.
func Blank(r io.ReaderAt, size int64) (maybe, surely bool, err error) {
	im, err := outline(r, size)
	if err == nil {
		buf, free := buffer(piece)
		defer free()
		return im.blank(func(s section) (int64, error) { return im.zeros(s, buf) })
	}
	var cut *cutError
	var refused *refusal.Error
	if errors.As(err, &cut) || errors.As(err, &refused) {
		return false, false, nil // as Complete says
	}
	return false, false, err
}

// blank is Blank; zeros returns the length of the longest run of the file's pages, all inside the section, that are zero.
func (im *image) blank(zeros func(section) (longest int64, err error)) (maybe, surely bool, err error) {
	for _, s := range im.sections {
		// The loader fills the global offset table, as a few hash chains are short.
		if s.kind == elf.SHT_NOBITS || strings.HasPrefix(s.name, ".got") {
			continue
		}
		zeros, err := zeros(s)
		if err != nil {
			return false, false, err
		}
		switch {
		case s.flags&elf.SHF_WRITE != 0:
			maybe = maybe || zeros >= much
		case s.flags&elf.SHF_ALLOC == 0, // symbols for a debugger: nothing is loaded of them
			s.kind == elf.SHT_HASH, s.kind == elf.SHT_GNU_HASH, strings.HasPrefix(s.name, ".rodata"):
			maybe = maybe || zeros >= page
		default:
			surely = surely || zeros >= page
		}
	}
	return maybe || surely, surely, nil
}

// zeros reads the section through buf, of whole pages.
func (im *image) zeros(s section, buf []byte) (longest int64, err error) {
	off, end := s.pages()
	z := Zeros{at: off}
	for z.at < end {
		b := buf[:min(int64(len(buf)), end-z.at)]
		if err := im.readAt(b, z.at); err != nil {
			return 0, err
		}
		z.Write(b)
	}
	return z.within(s)
}

// pages are the bytes of those pages of the file that are all inside the section.
func (s section) pages() (from, to int64) {
	return (int64(s.off) + page - 1) / page * page, int64(s.off+s.bytes) / page * page
}

// Zeros are those of the pages of a file that are zero, of what is written of it: all, or the pages of a section.
type Zeros struct {
	at      int64 // in the file: what is written next
	content bool  // the page there has some that are not zero
	runs    []run // of pages, in order
}

// run are the bytes from one to before another.
type run struct{ from, to int64 }

// Write takes the next bytes of the file. It keeps none of them, and never fails.
func (z *Zeros) Write(p []byte) (int, error) {
	for b := p; len(b) > 0; {
		n := min(len(b), page-int(z.at%page))
		z.content = z.content || !isZero(b[:n])
		b, z.at = b[n:], z.at+int64(n)
		if z.at%page != 0 {
			break
		}
		if last := len(z.runs) - 1; z.content {
			z.content = false
		} else if last >= 0 && z.runs[last].to == z.at-page {
			z.runs[last].to = z.at
		} else {
			z.runs = append(z.runs, run{z.at - page, z.at})
		}
	}
	return len(p), nil
}

// within is the length of the longest run of pages inside the section.
func (z *Zeros) within(s section) (longest int64, err error) {
	off, end := s.pages()
	first := sort.Search(len(z.runs), func(i int) bool { return z.runs[i].to > off })
	for _, r := range z.runs[first:] {
		if r.from >= end {
			break
		}
		longest = max(longest, min(r.to, end)-max(r.from, off))
	}
	return longest, nil
}

var zeroPage [page]byte

// isZero reports whether b, no longer than a page, is all zeros.
func isZero(b []byte) bool { return bytes.Equal(b, zeroPage[:len(b)]) }
