package handlerdir

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

	"github.com/andrestc/go-plugserver/internal/badfile"
	"github.com/andrestc/go-plugserver/internal/refusal"
	"golang.org/x/sys/unix"
)

// A folder of source is at most so large, so that looking at it stays quick.
const (
	maxEntries = 5000 // files and folders
	maxDepth   = 32   // folders in each other, the top not counted
)

// errNoSource says that a folder has no Go package at its top.
var errNoSource = errors.New("no Go files")

// A tree is one look at the folder of a Go package, by lstat(2) alone.
type tree struct {
	rules *Rules
	path  string
	id    ID
	// touched is when the youngest entry was, in nanoseconds since the epoch:
	// that of a folder, too, which tells when an entry of it was removed.
	touched int64
	// err is why it can be no handler, nil if it may be one: a *refusal.Error,
	// an *entryError or ErrChanged.
	err error

	state   hash.Hash
	line    []byte // of state, reused
	entries int
}

// An entryError is why an entry could not be read.
type entryError struct {
	entry string // its path in the folder
	cause error
}

func (e *entryError) Error() string { return "read " + e.entry + ": " + e.cause.Error() }
func (e *entryError) Unwrap() error { return e.cause }

// tree looks at the folder name in the directory fd, found at path. The error
// is errNoSource, or what the system says of the folder itself.
func (r *Rules) tree(fd int, name, path string) (*tree, error) {
	d, err := openFolder(fd, name)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if err := findGo(d); err != nil {
		return nil, err
	}
	t := &tree{rules: r, path: path, state: sha256.New()}
	t.err = t.folder(d, ".", 0)
	copy(t.id.Tree[:], t.state.Sum(nil))
	if refused, ok := t.err.(*refusal.Error); ok {
		t.id = refusedID(refused) // where the look ended is chance
	}
	return t, nil
}

// refusedID identifies what is refused for more than one file by the refusal:
// other changes do not make it another.
func refusedID(refused *refusal.Error) (id ID) {
	sum := sha256.Sum256([]byte(refused.Error()))
	copy(id.Tree[:], sum[:])
	return id
}

// openFolder opens the folder name of the directory fd, and no link to one.
func openFolder(fd int, name string) (*os.File, error) {
	var folder int
	err := retry(func() (err error) {
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
	for read := 0; read < maxEntries; {
		names, err := d.Readdirnames(maxEntries)
		switch {
		case err == io.EOF:
			return errNoSource
		case err != nil:
			return errnoOf(err)
		}
		read += len(names)
		for _, name := range names {
			if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || name[0] == '_' || name[0] == '.' || Ignored(name, false) {
				continue
			}
			var st unix.Stat_t
			err := lstatAt(d, name, &st)
			if err == unix.ENOENT || err == nil && modeOf(st.Mode).IsDir() {
				continue
			}
			// What lstat says nothing of is judged with the others.
			_, err = d.Seek(0, io.SeekStart)
			return errnoOf(err)
		}
	}
	return errNoSource
}

// folder takes in one folder. Its times and its size are no part of the state:
// temporary files change them.
func (t *tree) folder(d *os.File, rel string, depth int) error {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(int(d.Fd()), &st) }); err != nil {
		return &entryError{rel, err}
	}
	if depth == 0 {
		t.id.Dev, t.id.Ino = uint64(st.Dev), st.Ino
	}
	t.touched = max(t.touched, st.Mtim.Nano(), st.Ctim.Nano())
	st.Size, st.Mtim, st.Ctim = 0, unix.Timespec{}, unix.Timespec{}
	if err := t.take(rel, &st); err != nil {
		return err
	}
	if depth > maxDepth {
		return badfile.TreeTooDeep(maxDepth)
	}

	var names []string
	for {
		some, err := d.Readdirnames(maxEntries)
		if err == io.EOF {
			break
		}
		switch err := errnoOf(err); err {
		case nil:
		case unix.ENOENT: // it was removed
			return ErrChanged
		default:
			return &entryError{rel, err}
		}
		for _, name := range some {
			// Whether a name is a temporary file's is not known before lstat.
			if !Ignored(name, true) {
				names = append(names, name)
			}
		}
		if len(names) > 2*maxEntries {
			return badfile.TreeTooMany(maxEntries)
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
	switch err := lstatAt(d, name, &st); {
	case err == unix.ENOENT:
		return ErrChanged
	case err == unix.EACCES: // the folder cannot be searched
		return &entryError{path.Dir(rel), err}
	case err != nil:
		return &entryError{rel, err}
	}
	switch mode := modeOf(st.Mode); {
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
			return &entryError{rel, err}
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
	t.touched = max(t.touched, st.Mtim.Nano(), st.Ctim.Nano())
	t.id.Size += st.Size
	t.id.Mtime = max(t.id.Mtime, st.Mtim.Nano())
	t.id.Ctime = max(t.id.Ctime, st.Ctim.Nano())
	if err := t.take(rel, &st); err != nil {
		return err
	}
	if t.id.Size > t.rules.MaxSize {
		return badfile.TreeTooLarge(t.rules.MaxSize)
	}
	if st.Mode&unix.S_IROTH == 0 {
		// Rare enough to ask the system, which knows of groups and of ACLs.
		err := retry(func() error {
			return unix.Faccessat(int(d.Fd()), name, unix.R_OK, unix.AT_EACCESS|unix.AT_SYMLINK_NOFOLLOW)
		})
		if err == unix.EACCES {
			return &entryError{rel, err}
		}
	}
	return nil
}

// take counts an entry, judges it, and adds it to the state.
func (t *tree) take(rel string, st *unix.Stat_t) error {
	if rel != "." {
		if t.entries++; t.entries > maxEntries {
			return badfile.TreeTooMany(maxEntries)
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
	refused := t.rules.writers(filepath.Join(t.path, rel), st)
	if refused != nil {
		refused = badfile.Inside(rel, refused)
	}
	return refused
}

func lstatAt(d *os.File, name string, st *unix.Stat_t) error {
	return retry(func() error { return unix.Fstatat(int(d.Fd()), name, st, unix.AT_SYMLINK_NOFOLLOW) })
}

// errnoOf takes the system's error out of package os's.
func errnoOf(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
