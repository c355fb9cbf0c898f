package elfplug

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/base64"
	"hash"
	"io"
)

// Whole reports whether a file is, to the last byte, what the go command has
// written: the build ID in it ends with a hash of all the rest. False proves
// nothing: the ID can be left out of a build, and strip(1) leaves it as it was.
func Whole(r io.ReaderAt, size int64) (bool, error) {
	im, err := outline(r, size)
	if err != nil {
		return false, nil // as Complete says
	}
	id, err := im.note(".note.go.buildid")
	at := bytes.LastIndexByte(id, '/')
	if err != nil || at < 0 {
		return false, err
	}
	// From Go 1.24 on the linker's own ID is made of Go's, and not hashed.
	var own section
	if s := im.section(".note.gnu.build-id"); s != nil && s.bytes > noteHead {
		own = *s
	}
	all, most := sha256.New(), sha256.New()
	if err := hashWithout(all, io.NewSectionReader(r, 0, size), id); err != nil {
		return false, err
	}
	masked := &maskedReader{r: io.NewSectionReader(r, 0, size), from: int64(own.off + noteHead), to: int64(own.off + own.bytes)}
	if err := hashWithout(most, masked, id); err != nil {
		return false, err
	}
	want := string(id[at+1:])
	return want == contentID(all) || want == contentID(most), nil
}

// WholeFile is Whole of a file.
func WholeFile(path string) (bool, error) {
	f, size, err := open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return Whole(f, size)
}

// noteHead is the size of a note's head with a name of up to four bytes.
const noteHead = 16

// note returns what a note says, nil if it is not there.
func (im *image) note(name string) ([]byte, error) {
	s := im.section(name)
	if s == nil || s.kind == elf.SHT_NOBITS || s.bytes <= noteHead || s.bytes > 4096 {
		return nil, nil
	}
	b, err := im.content(*s)
	if err != nil {
		return nil, err
	}
	n := int(im.order.Uint32(b[4:]))
	if n > len(b)-noteHead {
		return nil, nil
	}
	return b[noteHead : noteHead+n], nil
}

// contentID is how cmd/internal/buildid writes a hash.
func contentID(h hash.Hash) string { return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:15]) }

// hashWithout hashes what r reads, with zeros for each id.
func hashWithout(h hash.Hash, r io.Reader, id []byte) error {
	zeros := make([]byte, len(id))
	buf := make([]byte, 64<<10)
	n := 0 // bytes of buf that were read and not hashed
	for {
		k, err := io.ReadFull(r, buf[n:])
		n += k
		b := buf[:n]
		for {
			i := bytes.Index(b, id)
			if i < 0 {
				break
			}
			h.Write(b[:i])
			h.Write(zeros)
			b = b[i+len(id):]
		}
		switch err {
		case nil:
			keep := min(len(b), len(id)-1) // an id may begin here
			h.Write(b[:len(b)-keep])
			n = copy(buf, b[len(b)-keep:])
		case io.EOF, io.ErrUnexpectedEOF:
			h.Write(b)
			return nil
		default:
			return err
		}
	}
}

// maskedReader reads a range as zeros.
type maskedReader struct {
	r            io.Reader
	at, from, to int64
}

func (m *maskedReader) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if a, z := max(m.from-m.at, 0), min(m.to-m.at, int64(n)); a < z {
		clear(p[a:z])
	}
	m.at += int64(n)
	return n, err
}
