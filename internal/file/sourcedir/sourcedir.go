// Package sourcedir looks at the folder of a Go package: whether it is one, whether
// all of it is the daemon's to trust, and in what state everything in it is.
package sourcedir

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"github.com/andrestc/go-plugserver/internal/file/lstat"
	"github.com/andrestc/go-plugserver/internal/file/trust"
	"golang.org/x/sys/unix"
)

// A folder of source is at most so large, so that looking at it stays quick.
const (
	MaxEntries = 5000 // files and folders
	MaxDepth   = 32   // folders in each other, the top not counted
)

var (
	// ErrNone says that a folder has no Go package at its top.
	ErrNone = errors.New("no Go files")
	// ErrChanged says that the folder changed while it was looked at.
	ErrChanged = errors.New("folder changed while it was looked at")
)

// Rules say which folders may be a handler's source.
type Rules struct {
	Trust   *trust.Rules
	MaxSize int64 // bytes of all its files
}

// A State is what one look, by lstat(2) alone, finds.
type State struct {
	Dev, Ino     uint64   // of the folder
	Size         int64    // bytes, of all files
	Mtime, Ctime int64    // of the youngest file, in nanoseconds since the epoch
	Hash         [16]byte // of what lstat(2) says of each entry
	// Touched is when the youngest entry was, in nanoseconds since the epoch:
	// that of a folder, too, which tells when an entry of it was removed.
	Touched int64
	// Err is why it can be no handler, nil if it may be one: a *refusal.Error,
	// an *EntryError or ErrChanged.
	Err error
}

// A tree is one look in progress.
type tree struct {
	rules Rules
	path  string
	State

	state   hash.Hash
	line    []byte // of state, reused
	entries int
}

// An EntryError is why an entry could not be read.
type EntryError struct {
	Entry string // its path in the folder
	Cause error
}

func (e *EntryError) Error() string { return "read " + e.Entry + ": " + e.Cause.Error() }
func (e *EntryError) Unwrap() error { return e.Cause }

// Look looks at the folder name in the directory fd, found at path. The error
// is ErrNone, or what the system says of the folder itself.
func Look(fd int, name, path string, rules Rules) (State, error) {
	d, err := openFolder(fd, name)
	if err != nil {
		return State{}, err
	}
	defer d.Close()
	if err := findGo(d); err != nil {
		return State{}, err
	}
	t := &tree{rules: rules, path: path, state: sha256.New()}
	t.Err = t.folder(d, ".", 0)
	copy(t.Hash[:], t.state.Sum(nil))
	return t.State, nil
}

// openFolder opens the folder name of the directory fd, and no link to one.
func openFolder(fd int, name string) (*os.File, error) {
	var folder int
	err := lstat.Retry(func() (err error) {
		folder, err = unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(folder), name), nil
}

// findGo returns nil if a Go file that is no test is among the first entries of
// the folder, and leaves d at its begin.
func findGo(d *os.File) error {
	for read := 0; read < MaxEntries; {
		names, err := d.Readdirnames(MaxEntries)
		switch {
		case err == io.EOF:
			return ErrNone
		case err != nil:
			return lstat.Errno(err)
		}
		read += len(names)
		for _, name := range names {
			if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || name[0] == '_' || name[0] == '.' || Ignored(name, false) {
				continue
			}
			var st unix.Stat_t
			err := lstat.At(int(d.Fd()), name, &st)
			if err == unix.ENOENT || err == nil && lstat.Mode(st.Mode).IsDir() {
				continue
			}
			// What lstat says nothing of is judged with the others.
			_, err = d.Seek(0, io.SeekStart)
			return lstat.Errno(err)
		}
	}
	return ErrNone
}

// folder takes in one folder. Its times and its size are no part of the state:
// temporary files change them.
func (t *tree) folder(d *os.File, rel string, depth int) error {
	var st unix.Stat_t
	if err := lstat.Retry(func() error { return unix.Fstat(int(d.Fd()), &st) }); err != nil {
		return &EntryError{rel, err}
	}
	if depth == 0 {
		t.Dev, t.Ino = uint64(st.Dev), st.Ino
	}
	t.Touched = max(t.Touched, st.Mtim.Nano(), st.Ctim.Nano())
	st.Size, st.Mtim, st.Ctim = 0, unix.Timespec{}, unix.Timespec{}
	if err := t.take(rel, &st); err != nil {
		return err
	}
	if depth > MaxDepth {
		return badfile.TreeTooDeep(MaxDepth)
	}

	var names []string
	for {
		some, err := d.Readdirnames(MaxEntries)
		if err == io.EOF {
			break
		}
		switch err := lstat.Errno(err); err {
		case nil:
		case unix.ENOENT: // it was removed
			return ErrChanged
		default:
			return &EntryError{rel, err}
		}
		for _, name := range some {
			// Whether a name is a temporary file's is not known before lstat.
			if !Ignored(name, true) {
				names = append(names, name)
			}
		}
		if len(names) > 2*MaxEntries {
			return badfile.TreeTooMany(MaxEntries)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if err := t.entry(d, name, path.Join(rel, name), depth); err != nil {
			return err
		}
	}
	return nil
}

// entry takes in one entry of the folder d.
func (t *tree) entry(d *os.File, name, rel string, depth int) error {
	var st unix.Stat_t
	switch err := lstat.At(int(d.Fd()), name, &st); {
	case err == unix.ENOENT:
		return ErrChanged
	case err == unix.EACCES: // the folder cannot be searched
		return &EntryError{path.Dir(rel), err}
	case err != nil:
		return &EntryError{rel, err}
	}
	switch mode := lstat.Mode(st.Mode); {
	case mode.IsDir():
		sub, err := openFolder(int(d.Fd()), name)
		switch err {
		case nil:
		case unix.ENOENT, unix.ENOTDIR, unix.ELOOP:
			return ErrChanged
		default:
			// Who owns it may be worse than that it cannot be read.
			if refused := t.judge(rel, &st); refused != nil {
				return refused
			}
			return &EntryError{rel, err}
		}
		defer sub.Close()
		return t.folder(sub, rel, depth+1)
	case Ignored(name, false):
		return nil
	case !mode.IsRegular() && name[0] == '.':
		return nil // tools keep links and sockets there, and no build takes one
	case !mode.IsRegular():
		return badfile.NotSource(rel, mode)
	}
	t.Touched = max(t.Touched, st.Mtim.Nano(), st.Ctim.Nano())
	t.Size += st.Size
	t.Mtime = max(t.Mtime, st.Mtim.Nano())
	t.Ctime = max(t.Ctime, st.Ctim.Nano())
	if err := t.take(rel, &st); err != nil {
		return err
	}
	if t.Size > t.rules.MaxSize {
		return badfile.TreeTooLarge(t.rules.MaxSize)
	}
	if st.Mode&unix.S_IROTH == 0 {
		// Rare enough to ask the system, which knows of groups and of ACLs.
		err := lstat.Retry(func() error {
			return unix.Faccessat(int(d.Fd()), name, unix.R_OK, unix.AT_EACCESS|unix.AT_SYMLINK_NOFOLLOW)
		})
		if err == unix.EACCES {
			return &EntryError{rel, err}
		}
	}
	return nil
}

// take counts an entry, judges it, and adds it to the state.
func (t *tree) take(rel string, st *unix.Stat_t) error {
	if rel != "." {
		if t.entries++; t.entries > MaxEntries {
			return badfile.TreeTooMany(MaxEntries)
		}
	}
	if refused := t.judge(rel, st); refused != nil {
		return refused
	}
	t.line = binary.LittleEndian.AppendUint32(t.line[:0], uint32(len(rel)))
	t.line = append(t.line, rel...)
	for _, n := range [...]uint64{
		uint64(st.Mode), uint64(st.Uid)<<32 | uint64(st.Gid), uint64(st.Dev), st.Ino,
		uint64(st.Size), uint64(st.Mtim.Nano()), uint64(st.Ctim.Nano()),
	} {
		t.line = binary.LittleEndian.AppendUint64(t.line, n)
	}
	t.state.Write(t.line)
	return nil
}

// judge applies the rules for who may write.
func (t *tree) judge(rel string, st *unix.Stat_t) *refusal.Error {
	refused := t.rules.Trust.Writers(filepath.Join(t.path, rel), st)
	if refused != nil {
		refused = badfile.Inside(rel, refused)
	}
	return refused
}
