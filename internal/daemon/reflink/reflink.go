// Package reflink has a file share what another has on the disk, where the file system can: Btrfs, XFS.
package reflink

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Rest is for how long what is cloned was not written: it is on the disk by then (vm.dirty_expire_centisecs,
// vm.dirty_writeback_centisecs). A clone of what is not would wait for that, which takes longer than a copy.
const Rest = 35 * time.Second

// Clone has an empty file share what from has, if that is a file at rest, and of most bytes at the most. It returns how many they
// are: if from changes meanwhile, maybe more. What is written to either later is its own (ioctl_ficlone(2)).
// Where it reports false the file is empty.
func Clone(to *os.File, from io.Reader, most int64) (size int64, ok bool) {
	src, ok := from.(*os.File)
	if !ok {
		return 0, false
	}
	is, err := src.Stat()
	if err != nil || is.Size() > most || time.Since(is.ModTime()) < Rest {
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
