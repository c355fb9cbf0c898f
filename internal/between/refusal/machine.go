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
		Mend:   "free some space there (df " + words.Shell(dir) + ")" + triedAgain,
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

// shared is what takes fewer processes.
const shared = "have handlers share a process: Cell= in plugserverd.conf"

// NoDescriptors: the daemon may have limit descriptors open, and processes take those that it is not to keep for other things.
func NoDescriptors(limit, kept int) *Error {
	return &Error{
		Reason: fmt.Sprintf("too many open files: plugserverd may have %d descriptors, of which each handler's process takes 3 and %d are kept for what serves: some %d fit", limit, kept, (limit-kept)/3),
		Mend:   "raise LimitNOFILE= of plugserverd.service, or remove handlers" + triedAgain,
		Or:     []string{shared},
	}
}

// NoTasks: there are nearly as many processes and threads as the limit of that name allows.
func NoTasks(limit, kept int, name, fix string) *Error {
	return &Error{
		Reason: fmt.Sprintf("too many processes: %s allows %d with their threads, of which each handler's has some 6 and %d are kept for what serves", name, limit, kept),
		Mend:   fix + ", or remove handlers" + triedAgain,
		Or:     []string{shared},
	}
}

// NoProcess: the system gives no process, and does not say why.
func NoProcess() *Error {
	return &Error{
		Reason: "too many processes: the system gives no more (EAGAIN, fork(2))",
		Mend:   "raise TasksMax= of plugserverd.service, or kernel.pid_max and kernel.threads-max by sysctl" + triedAgain,
		Or:     []string{shared},
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
