// Package copying has a new file have what another has: it shares the room of that on the disk, where the file system can (Btrfs,
// XFS), or is written.
package copying

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// rest is for how long what is shared was not written: it is on the disk by then (vm.dirty_expire_centisecs,
	// vm.dirty_writeback_centisecs). To share what is not would wait for that, which takes longer than to copy it.
	rest = 35 * time.Second
	// piece is how much is written at a time: the more, the larger are the folios that file systems
	// take for it, and the less each page costs, here and where the copy is mapped.
	piece = 1 << 20 // bytes
)

// pieces are those of copies that were made, for the next.
var pieces = sync.Pool{New: func() any { return new([piece]byte) }}

// Fill has a file have what from has, of which it takes no more than most bytes: who has changed it meanwhile, maybe more. It
// tells of each part that is there, and returns how many bytes are. An error of write is returned as it is.
func Fill(to *os.File, from io.Reader, most int64, write func(*os.File, []byte) error, wrote func(int)) (size int64, err error) {
	if size, ok := share(to, from, most); ok {
		wrote(int(size))
		return size, nil
	}
	from = io.LimitReader(from, most)
	p := pieces.Get().(*[piece]byte)
	defer pieces.Put(p)
	for buf := p[:]; ; {
		n, err := io.ReadFull(from, buf)
		if n > 0 {
			if err := write(to, buf[:n]); err != nil {
				return size, err
			}
			wrote(n)
			size += int64(n)
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return size, nil
		default:
			return size, fmt.Errorf("read handler file: %w", err)
		}
	}
}

// share has them share, if from is a file at rest, and of most bytes at the most. What is written to either later is its own
// (ioctl_ficlone(2)). Where it reports false the file has nothing.
func share(to *os.File, from io.Reader, most int64) (size int64, ok bool) {
	src, ok := from.(*os.File)
	if !ok {
		return 0, false
	}
	is, err := src.Stat()
	if err != nil || is.Size() > most || time.Since(is.ModTime()) < rest {
		return 0, false
	}
	err = unix.IoctlFileClone(int(to.Fd()), int(src.Fd()))
	if err == nil {
		is, err = to.Stat()
	}
	if err != nil {
		to.Truncate(0)
		return 0, false
	}
	return is.Size(), true
}
