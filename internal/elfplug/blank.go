package elfplug

import (
	"bytes"
	"debug/elf"
	"errors"
	"io"
	"strings"

	"github.com/andrestc/go-plugserver/internal/refusal"
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
	for _, s := range im.sections {
		// The loader fills the global offset table, as a few hash chains are short.
		if s.kind == elf.SHT_NOBITS || strings.HasPrefix(s.name, ".got") {
			continue
		}
		zeros, err := im.zeros(s)
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
// section, that are zero. Of a page that is not it reads but the head.
func (im *image) zeros(s section) (longest int64, err error) {
	buf, run := make([]byte, page), int64(0)
	head, tail := buf[:64], buf[64:]
	for off := (int64(s.off) + page - 1) / page * page; off+page <= int64(s.off+s.bytes); off += page {
		if err := im.readAt(head, off); err != nil {
			return 0, err
		}
		if isZero(head) {
			if err := im.readAt(tail, off+int64(len(head))); err != nil {
				return 0, err
			}
			if isZero(tail) {
				run += page
				longest = max(longest, run)
				continue
			}
		}
		run = 0
	}
	return longest, nil
}

var zeroPage [page]byte

// isZero reports whether b, no longer than a page, is all zeros.
func isZero(b []byte) bool { return bytes.Equal(b, zeroPage[:len(b)]) }
