// Package handlerdir turns the handlers directory into facts. A Snapshot is the whole
// directory as of one look, which may take an earlier one's word for what has not changed:
// it is never changed once returned, it is
// never empty because something could not be read, and a file in it that is
// Settled was complete and at rest when it was looked at.
//
// The package starts no goroutine and reads no clock; when to scan, and what
// time it is, are the caller's to say.
package handlerdir

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/lstat"
	"github.com/andrestc/go-plugserver/internal/file/sourcedir"
	"github.com/andrestc/go-plugserver/internal/file/trust"
	"golang.org/x/sys/unix"
)

// ErrChanged is returned by Open for a file that is no longer in the state
// that was scanned: the directory has to be scanned again.
var ErrChanged = errors.New("file changed since it was scanned")

// ID identifies one state of one file (stat(2)): writing to the file,
// replacing it, and changing its owner or mode each give another ID. So does a
// signature beside a Plugin, where the rules ask for it. Of a
// GoPackage it identifies the state of everything in the folder.
type ID struct {
	Dev, Ino     uint64   // of a GoPackage: the folder's
	Size         int64    // bytes; of a GoPackage: of all its files
	Mtime, Ctime int64    // nanoseconds since the epoch; of a GoPackage: of its youngest file
	Tree         [16]byte // of a GoPackage: a hash of what lstat(2) says of each entry
	Sign         State    // of a Plugin: what stat(2) says of its signature; zero if there is none
}

// State is one of a file that lies beside another. Times are in nanoseconds since the epoch.
type State struct {
	Ino          uint64
	Mtime, Ctime int64
}

// content is the ID of the file alone, whatever lies beside it.
func (id ID) content() ID {
	id.Sign = State{}
	return id
}

// File is one candidate in the directory.
type File struct {
	// Name is the handler's name: the file's without ".so" or ".go", or the
	// folder's. A name that no handler may have stands there quoted, in
	// printable ASCII.
	Name string
	Kind Kind
	Path string
	// Real is where the content is, if Path is a link to it; else it is "".
	Real string
	ID   ID
	// Settled says that the file is complete and at rest: it may be admitted.
	Settled bool
	// Refusal is why the file can be no handler, nil if it may be one. It is
	// never set on a settled file. With neither, the file is being written, or
	// it is missed.
	Refusal *refusal.Error
	// Library says that a refused file is named and made like a library that
	// plugins link, lib*.so: nobody means it as a handler, unless there is one
	// of its name.
	Library bool

	// Over says that the content was written in place over one that was settled.
	Over bool

	final bool      // the verdict stands for as long as ID does
	since time.Time // of the first scan that saw ID
	gone  time.Time // of the first scan that missed the file, zero if none did
	// claims are the files of one name, nil where there is but one.
	claims []File
}

// Missed reports whether the file was not there, but may be again in a moment:
// see Rules.Gone.
func (f File) Missed() bool { return !f.gone.IsZero() }

// Snapshot is one look at the directory.
type Snapshot struct {
	Dir   ID     // Dev and Ino tell whether it is still the same directory
	Files []File // sorted by Name, which is unique: two files of one name are one that is refused
	// LookAgain, if above 0, says that a file is not settled yet, and after
	// how long a scan may find that it is.
	LookAgain time.Duration
	// Skipped are the names of the candidates that the rules skip, sorted.
	Skipped []string
}

// Rules say which files may be handlers, and when.
type Rules struct {
	MaxSize int64         // bytes; a larger file is refused, or a folder of source with more
	Quiet   time.Duration // a file untouched for this long is at rest
	// Rewrite and Unsure are Quiet, where they are longer, for a file that was
	// settled and is written over in place: nothing in it tells when it is all of
	// the new. Rewrite holds once its writer has closed it, Unsure where nobody
	// knows. Open is Quiet for a file that a writer has open.
	Rewrite, Unsure, Open time.Duration
	// Closed is Quiet, where it is shorter, for a new plugin that its writer has
	// closed. One that was finished and renamed in needs none.
	Closed time.Duration
	// SourceQuiet is Quiet for source, which does not tell when it is complete. At
	// 0 source is not looked for.
	SourceQuiet time.Duration
	Stalled     time.Duration // an incomplete file untouched for this long is refused
	// Gone is for how long a file must be missed before it is absent; until
	// then it stays in the snapshot, unsettled. It bridges the moment between
	// the unlink(2) and the creat(2) of install(1) or of go build -o. At 0 a
	// missed file is absent at once.
	Gone  time.Duration
	Trust trust.Rules // who may write besides root
	// Signed is what the name of a plugin's signature has behind the plugin's; "" if none is
	// looked for.
	Signed string
	// Skip says that a handler's files are not looked at, as if they were not there; nil where all
	// are.
	Skip func(name string) bool
	// Complete says whether the file of size bytes is whole, and if not, how
	// many bytes it needs (0 if unknown). A *refusal.Error says that it can be
	// no handler, any other error that it cannot be read.
	Complete func(r io.ReaderAt, size int64) (complete bool, need int64, err error)
	// Foreign is the refusal of a whole file that is no Go plugin at all, nil of
	// any other. It is asked of files named like libraries.
	Foreign func(r io.ReaderAt, size int64) *refusal.Error
	// Blank says whether a complete file has stretches of zeros that may be
	// content yet to come, and if so, whether they must be. nil says that none has.
	Blank func(r io.ReaderAt, size int64) (maybe, surely bool, err error)
	// Writing says what is known of who writes to the file of that name in the
	// directory. nil knows nothing.
	Writing func(name string) Writer
}

// A Writer is what is known of who writes to a file.
type Writer uint8

const (
	WriterUnknown Writer = iota // nothing
	WriterOpen                  // has it open
	WriterClosed                // has closed it
	WriterMoved                 // has closed it, if at all, before it was renamed to its name
)

// Content is the path of what a handler is made of, no link to it.
func (f File) Content() string { return cmp.Or(f.Real, f.Path) }

// Open opens a scanned file, which is no GoPackage, for reading. It neither
// follows a symbolic link that was not followed before, nor blocks. The error is ErrChanged if the file is not in the state that f
// describes. The caller closes the file, and asks Unchanged after reading.
func Open(f File) (*os.File, error) {
	file, err := os.OpenFile(f.Content(), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENXIO):
		return nil, fmt.Errorf("open handler file %q: %w", f.Path, ErrChanged)
	case err != nil:
		return nil, fmt.Errorf("open handler file: %w", err)
	}
	same, err := Unchanged(file, f.ID)
	if err == nil && !same {
		err = fmt.Errorf("open handler file %q: %w", f.Path, ErrChanged)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// Unchanged reports whether the open file is still in the state id. Asked
// after a copy it tells whether the copy is of that state.
func Unchanged(fd *os.File, id ID) (bool, error) {
	var st unix.Stat_t
	if err := lstat.Retry(func() error { return unix.Fstat(int(fd.Fd()), &st) }); err != nil {
		return false, fmt.Errorf("stat handler file %q: %w", fd.Name(), err)
	}
	return idOf(&st) == id.content(), nil
}

// Same reports whether what is at f.Path is still in the state that f
// describes, a GoPackage with everything in it. Asked after a copy or a build
// it tells whether that is of this state.
func Same(f File, rules Rules) (bool, error) {
	var id ID
	var err error
	if f.Kind == GoPackage {
		var s sourcedir.State
		if s, err = sourcedir.Look(unix.AT_FDCWD, f.Path, f.Path, rules.source()); err == nil {
			id, err = sourceID(s), s.Err
		}
	} else {
		var st unix.Stat_t
		err = lstat.Path(f.Content(), &st)
		id = idOf(&st)
	}
	var refused *refusal.Error
	switch {
	case err == nil:
		return id == f.ID.content(), nil
	case err == sourcedir.ErrNone, err == sourcedir.ErrChanged, err == unix.ENOENT, err == unix.ENOTDIR, err == unix.ELOOP, errors.As(err, &refused):
		return false, nil
	}
	return false, fmt.Errorf("look at handler %q again: %w", f.Name, err)
}

func idOf(st *unix.Stat_t) ID {
	return ID{
		Dev:   uint64(st.Dev),
		Ino:   st.Ino,
		Size:  st.Size,
		Mtime: st.Mtim.Nano(),
		Ctime: st.Ctim.Nano(),
	}
}
