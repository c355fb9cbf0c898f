package elfplug

import (
	"bytes"
	"debug/elf"
	"errors"
	"io"
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
		return im.blank()
	}
	var cut *cutError
	var refused *refusal.Error
	if errors.As(err, &cut) || errors.As(err, &refused) {
		return false, false, nil // as Complete says
	}
	return false, false, err
}

func (im *image) blank() (maybe, surely bool, err error) {
	buf, free := buffer(piece)
	defer free()
	for _, s := range im.sections {
		// The loader fills the global offset table, as a few hash chains are short.
		if s.kind == elf.SHT_NOBITS || strings.HasPrefix(s.name, ".got") {
			continue
		}
		zeros, err := im.zeros(s, buf)
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

// zeros returns the length of the longest run of the file's pages, all inside the
// section, that are zero. It reads through buf, of whole pages.
func (im *image) zeros(s section, buf []byte) (longest int64, err error) {
	run, end := int64(0), int64(s.off+s.bytes)/page*page
	for off := (int64(s.off) + page - 1) / page * page; off < end; {
		b := buf[:min(int64(len(buf)), end-off)]
		if err := im.readAt(b, off); err != nil {
			return 0, err
		}
		off += int64(len(b))
		for ; len(b) > 0; b = b[page:] {
			if !isZero(b[:page]) {
				run = 0
				continue
			}
			run += page
			longest = max(longest, run)
		}
	}
	return longest, nil
}

var zeroPage [page]byte

// isZero reports whether b, no longer than a page, is all zeros.
func isZero(b []byte) bool { return bytes.Equal(b, zeroPage[:len(b)]) }
