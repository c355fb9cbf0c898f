package handlerdir

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"github.com/andrestc/go-plugserver/internal/file/sourcedir"
	"golang.org/x/sys/unix"
)

// A rest is what a file needs to be taken for finished.
type rest struct {
	quiet time.Duration // that it has to be untouched
	open  bool          // though a writer has it open
	moved bool          // it came by rename(2), finished
}

// rest says what a file needs.
func (s *scan) rest(f File) (r rest) {
	r.quiet = s.rules.Quiet
	if f.Kind != Plugin {
		r.quiet = s.rules.SourceQuiet
	}
	var w Writer
	if s.rules.Writing != nil && f.Real == "" { // of what is elsewhere nobody tells
		w = s.rules.Writing(filepath.Base(f.Path))
	}
	switch {
	case w == WriterOpen:
		return s.held(r)
	case f.Over && w != WriterUnknown:
		r.quiet = max(r.quiet, s.rules.Rewrite)
	case f.Over:
		r.quiet = max(r.quiet, s.rules.Unsure)
	case f.Kind == Plugin && w == WriterMoved:
		r.quiet, r.moved = 0, true
	case f.Kind == Plugin && w == WriterClosed:
		r.quiet = min(r.quiet, s.rules.Closed)
	}
	return r
}

// held is what a file needs that a writer has open.
func (s *scan) held(r rest) rest {
	return rest{quiet: max(r.quiet, s.rules.Quiet, s.rules.Open), open: true}
}

// written reports whether somebody has a file open for writing: then it gets no lease
// for reading (fcntl(2)). Who asks for it elsewhere or without owning it is not told.
func written(f *os.File) bool {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return err == unix.EAGAIN
}

// age is for how long a file has been untouched that was touched last at that
// many nanoseconds since the epoch. A time ahead of the clock says nothing of
// it; what was seen unchanged over time is at rest whatever its times.
func (s *scan) age(f File, touched int64) time.Duration {
	return max(s.now.Sub(time.Unix(0, touched)), s.now.Sub(f.since))
}

// settle decides whether an admissible file is complete and at rest. It was
// touched last at that many nanoseconds since the epoch.
func (s *scan) settle(f File, touched int64, rest rest, complete bool, need int64, err error) (File, error) {
	age, quiet, stalled := s.age(f, touched), rest.quiet, s.rules.Stalled
	soon := s.rules.Quiet
	if f.Kind != Plugin {
		soon = s.rules.SourceQuiet
	}
	if rest.open {
		stalled = max(stalled, quiet)
	}
	// Where events tell nothing, waiting as long as it has been at rest finds
	// the end of a copy soon and costs a handful of scans.
	patient := func() { s.lookAgain(min(max(age, soon), stalled-age)) }
	var refused *refusal.Error
	switch {
	case errors.Is(err, ErrChanged), errors.Is(err, sourcedir.ErrChanged):
		s.lookAgain(soon)
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return f, err
	case err != nil && !errors.As(err, &refused) && age < stalled:
		patient() // install(1) sets the mode once the content is written
	case err != nil && !errors.As(err, &refused):
		// Not final: what fixes this need not touch the file.
		f.Refusal = s.rules.unreadable(f, err)
	case (complete || refused != nil) && age < quiet:
		s.lookAgain(quiet - age)
	case refused != nil:
		f.Refusal, f.Library, f.final = refused, refused.Foreign, true
	case complete:
		f.Settled, f.final = true, true
	case age < stalled:
		patient()
	case f.Kind == GoFile:
		f.Refusal, f.final = badfile.EmptySource(), true
	default:
		f.Refusal, f.final = badfile.HalfCopied(f.ID.Size, need), true
	}
	return f, nil
}

// complete reads whether the file is whole: source is unless it is empty. One at
// rest for as long as it needs, but not for long, is looked at for gaps, too: it
// may have its size, and its end, before its content. One that was moved here is
// only looked at for who writes to it: then it needs another rest.
func (s *scan) complete(f File, touched int64, rest *rest) (complete bool, need int64, err error) {
	if f.ID.Size == 0 {
		return false, 0, nil
	}
	file, err := Open(f)
	if err != nil {
		return false, 0, err
	}
	defer file.Close()
	if f.Kind != Plugin {
		return true, 0, nil
	}
	complete, need, err = s.rules.Complete(file, f.ID.Size)
	if complete && err == nil && libraryName(filepath.Base(f.Path)) {
		if refused := s.rules.Foreign(file, f.ID.Size); refused != nil {
			return false, 0, refused
		}
	}
	if rest.moved && written(file) {
		*rest = s.held(*rest)
	}
	age := s.age(f, touched)
	if !complete || err != nil || s.rules.Blank == nil || rest.moved || age < rest.quiet || age > youth {
		return complete, need, err
	}
	maybe, surely, err := s.rules.Blank(file, f.ID.Size)
	return !surely && (!maybe || age >= s.rules.Stalled), need, err
}

// youth is for how long a file may be one that is being filled.
const youth = time.Minute
