package elfplug

import (
	"bytes"
	"io"
	"testing"
)

// reads counts how often something is read, and has nothing any more after the last, where that is not 0.
type reads struct {
	io.ReaderAt
	n, last int64
}

func (r *reads) ReadAt(b []byte, off int64) (int, error) {
	if r.n++; r.last > 0 && r.n > r.last {
		return 0, io.EOF
	}
	return r.ReaderAt.ReadAt(b, off)
}

// A section is read in large pieces, which zeros may lie across.
func TestZeros(t *testing.T) {
	const at, size = 1000, 3*piece + 5000
	for _, tt := range []struct{ from, to, want int64 }{
		{0, 0, 0},
		{piece - page, piece + 2*page, 3 * page},
		{piece - page - 1, piece + 2*page + 1, 3 * page}, // a part of a page counts as none
		{0, 2 * page, page}, // nor what lies before the section
		{0, at + size, 3 * piece},
	} {
		file := bytes.Repeat([]byte{1}, at+size)
		clear(file[tt.from:tt.to])
		r := &reads{ReaderAt: bytes.NewReader(file)}
		im := &image{r: r, size: at + size}
		got, err := im.zeros(section{off: at, bytes: size}, make([]byte, piece))
		if got != tt.want || err != nil {
			t.Errorf("zeros from %d to %d: a run of %d, want %d; %v", tt.from, tt.to, got, tt.want, err)
		}
		if r.n > 4 {
			t.Errorf("read %d times", r.n)
		}
		for _, at := range []int{page, 7 * page, 10000, len(file)} {
			var z Zeros
			for rest := file; len(rest) > 0; {
				n, _ := z.Write(rest[:min(at, len(rest))])
				rest = rest[n:]
			}
			if got, _ := z.within(section{off: 1000, bytes: size}); got != tt.want {
				t.Errorf("zeros from %d to %d, written %d at a time: a run of %d, want %d", tt.from, tt.to, at, got, tt.want)
			}
		}
	}
}
