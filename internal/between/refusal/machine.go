package refusal

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/between/words"
)

// Full words that the store in dir has no room left. The result wraps cause.
func Full(dir string, cause error) error {
	return Because(&Error{
		Reason: fmt.Sprintf("write to store %q: %s", dir, words.Errno(cause)),
		Mend:   "free some space there (df " + words.Shell(dir) + "): the file is tried again by itself",
	}, cause)
}

// Replaced words that the directory dir is not the one of before, and has no
// file of the handlers names.
func Replaced(dir string, names []string) *Error {
	return &Error{
		Reason: fmt.Sprintf("handlers directory %q was replaced, by mount or by move, and has no file of %s: they go on serving", dir, words.List(names, 5)),
		Mend:   "copy their files into it, or end them with plugserverctl reload",
	}
}

// Passing reports whether an error may be gone in a while, though nobody fixes
// the file: the machine or the daemon is out of something.
func Passing(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.EAGAIN, syscall.EDQUOT, syscall.EIO, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ENOSPC, syscall.ETXTBSY,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// Because returns an error that is the refusal e, and cause as well.
func Because(e *Error, cause error) error { return &caused{e, cause} }

// A caused is a refusal that still answers errors.Is for what caused it.
type caused struct {
	refusal *Error
	cause   error
}

func (c *caused) Error() string { return c.refusal.Error() }

func (c *caused) Unwrap() []error { return []error{c.refusal, c.cause} }
