// Package lstat asks the system what is at a path, and follows no link.
package lstat

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Path is lstat(2) of an absolute path.
func Path(path string, st *unix.Stat_t) error {
	return Retry(func() error { return unix.Lstat(path, st) })
}

// At is lstat(2) of an entry of the folder fd.
func At(fd int, name string, st *unix.Stat_t) error {
	return Retry(func() error { return unix.Fstatat(fd, name, st, unix.AT_SYMLINK_NOFOLLOW) })
}

// Mode translates the type in a mode of stat(2).
func Mode(mode uint32) fs.FileMode {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 0
	case unix.S_IFLNK:
		return fs.ModeSymlink
	case unix.S_IFDIR:
		return fs.ModeDir
	case unix.S_IFIFO:
		return fs.ModeNamedPipe
	case unix.S_IFSOCK:
		return fs.ModeSocket
	case unix.S_IFCHR, unix.S_IFBLK:
		return fs.ModeDevice
	}
	return fs.ModeIrregular
}

// Errno takes the system's error out of package os's.
func Errno(err error) error {
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return errno
	}
	return err
}

// Retry repeats a call that a signal interrupted, as package os does
// (golang.org/issue/38033: FUSE and NFS return EINTR in spite of SA_RESTART).
func Retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
