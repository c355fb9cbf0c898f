package refusal

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/words"
)

// Shortest is the shortest handler there is, as a fix quotes it.
const Shortest = "func Handler() (string, func(http.ResponseWriter, *http.Request))"

// BothContracts: the file exports Handler and Handlers.
func BothContracts() *Error {
	return &Error{
		Reason: "exports both Handler and Handlers",
		Mend:   "keep one: Handlers can return every pattern",
	}
}

// Signature: a symbol of the contract has the type got, not one of want.
func Signature(symbol, got string, want ...string) *Error {
	return &Error{
		Reason: fmt.Sprintf("%s has the wrong signature: got %s, want %s", symbol, words.Clip(got), strings.Join(want, " or ")),
		Mend:   fmt.Sprintf("declare it as %s", strings.Replace(want[0], "func(", "func "+symbol+"(", 1)),
	}
}

// NoPatterns: the handler gave no pattern at all.
func NoPatterns(symbol string) *Error {
	return &Error{
		Reason: symbol + " returned no pattern",
		Mend:   `return at least one, such as "GET /users/{id}"`,
	}
}

// NilHandler: the handler gave nil for a pattern.
func NilHandler(pattern string) *Error {
	return &Error{
		Reason: fmt.Sprintf("the handler of pattern %q is nil", words.Short(pattern)),
		Mend:   "return a function",
	}
}

// Pattern: a pattern is malformed, or two of the handler's own conflict. The syntax is
// what it is to have.
func Pattern(err error, syntax string) *Error {
	return &Error{
		Reason: words.OneLine(err.Error()),
		Mend:   "use " + syntax,
	}
}

// TooManyPatterns: the handler gave more than most patterns.
func TooManyPatterns(n, most int) *Error {
	return &Error{
		Reason: fmt.Sprintf("has %d patterns, a handler may have %d", n, most),
		Mend:   "let one pattern with a parameter stand for many, or raise --max-patterns of plugserverd",
	}
}

// LongPattern: a pattern is longer than most bytes.
func LongPattern(pattern string, most int) *Error {
	return &Error{
		Reason: fmt.Sprintf("has a pattern of %d bytes, it may have %d: %s", len(pattern), most, words.Quote(pattern)),
		Mend:   "shorten it, or raise --max-pattern-bytes of plugserverd",
	}
}

// PatternEncoding: a pattern is not UTF-8, and cannot be told to the gate.
func PatternEncoding(pattern string) *Error {
	return &Error{
		Reason: fmt.Sprintf("pattern %s is not UTF-8", words.Quote(pattern)),
		Mend:   "write its bytes in percent-encoding, such as %E9",
	}
}

// PatternsTooLarge: the patterns of one process, size bytes, do not fit in one
// message.
func PatternsTooLarge(size, most int) *Error {
	return &Error{
		Reason: fmt.Sprintf("the patterns take %d bytes together, %d can be sent to plugserverd", size, most),
		Mend:   "shorten them, or let one pattern with a parameter stand for many",
	}
}

// TableFull: with the patterns of this handler, size bytes, the route table
// would not fit in one message any more.
func TableFull(size, most int) *Error {
	return &Error{
		Reason: fmt.Sprintf("the route table is full: with its patterns it would take %d bytes, %d can be sent to the gate", size, most),
		Mend:   "shorten its patterns, or remove another handler that has many" + triedAgainThen,
	}
}

// Taken: another handler has the pattern, or one that conflicts with it.
func Taken(pattern, by, theirs string) *Error {
	reason := fmt.Sprintf("pattern %q is taken by handler %q", words.Short(pattern), by)
	if pattern != theirs {
		reason = fmt.Sprintf("pattern %q conflicts with %q of handler %q", words.Short(pattern), words.Short(theirs), by)
	}
	return &Error{
		Reason: reason,
		Mend:   fmt.Sprintf("change the pattern, or remove %s.so"+triedAgainThen, by),
	}
}

// Start: the handler's Start returned an error.
func Start(err error) *Error {
	e := &Error{
		Reason: "Start returned an error: " + words.OneLine(err.Error()),
		Mend:   "mend what Start needs" + copyAgain,
	}
	said := err.Error()
	for _, errno := range []syscall.Errno{syscall.EADDRINUSE, syscall.EWOULDBLOCK, syscall.EBUSY} {
		if errors.Is(err, errno) {
			said = errno.Error() // whatever its wrapper says
		}
	}
	return e.contended(said)
}

// beforeStop tells what a version cannot have at its Start.
const beforeStop = "a new version's Start runs while the old one serves and holds its ports and locks: take them in a goroutine that tries again until the old one's Stop has let them go"

// contended makes e's fix that for what another process holds, where that is
// what the words say: the version before, as a rule.
func (e *Error) contended(said string) *Error {
	for _, w := range []string{
		"address already in use", "resource temporarily unavailable", "device or resource busy",
		"is locked", "already locked", "lock is held", "acquire lock", "obtain lock", "cannot lock", "could not lock", "lock file", "already running",
	} {
		if strings.Contains(said, w) {
			e.Mend, e.Or = beforeStop, []string{
				"share them between versions: SO_REUSEPORT for a port, LOCK_SH for a file",
				"see who else holds them: ss -lptn; lslocks",
			}
			break
		}
	}
	return e
}

const stackInLog = "; the whole stack is in the log"

// Here is e as somebody is told who has no log.
func (e *Error) Here() *Error {
	told := *e
	told.Mend = strings.TrimSuffix(e.Mend, stackInLog)
	return &told
}

// Panicked: a function of the contract panicked before any request.
func Panicked(symbol string, value any, frame string) *Error {
	e := &Error{
		Reason: fmt.Sprintf("%s panicked: %s", symbol, words.OneLine(fmt.Sprint(value))),
		Mend:   "run the handler's own tests" + stackInLog,
	}
	if frame != "" {
		e.Reason += " at " + frame
	}
	return e.contended(e.Reason)
}

// Died: the cell ended before the handler was ready. How is its exit status
// or signal, tail the last lines of its output.
func Died(how, tail string) *Error {
	e := &Error{
		Reason: "ended before it was ready: " + how + quoteTail(tail),
		Mend:   "init, Start and Handler must return: no os.Exit, no log.Fatal, no panic",
	}
	// The dynamic linker ends the process itself, too.
	for _, w := range []string{"symbol lookup error: ", "error while loading shared libraries: ", "/libc.so.6: version `GLIBC_"} {
		if c := loadCause(tail); c != nil && strings.Contains(tail, w) {
			e.Mend, e.Or = c.fix, c.or
		}
	}
	return e.contended(tail)
}

// End is how a cell has ended that was not ready.
type End struct {
	Status string // or signal
	Killed string // what we have killed it for, if we have
	Cut    bool   // its link broke for want of memory or descriptors
	Crash  string // the words that the Go runtime crashed with
	Tail   string // the last lines of its output
}

// DiedEarly is Died, but for what was killed: nothing in a process ends it by SIGKILL, but where it closes its link, and is killed for that.
// passing says that the same start may succeed later.
func DiedEarly(as End) (e *Error, passing bool) {
	why := as.Killed
	if as.Cut {
		why = "its link broke for want of memory or descriptors"
	}
	switch {
	case why != "":
		return &Error{
			Reason: "was killed before it was ready: " + why + quoteTail(as.Tail),
			Mend:   "see in the log what else the machine or the service was short of then" + triedAgain,
		}, true
	case as.Status == "signal: killed":
		return &Error{
			Reason: "was killed before it was ready, by the kernel or by somebody (SIGKILL)" + quoteTail(as.Tail),
			Mend:   "see whether the machine was out of memory (journalctl -k)" + triedAgain,
			Or:     []string{"close no descriptor that the handler has not opened: a process that has closed its link to plugserverd is killed"},
		}, true
	}
	return Died(as.Status, as.Tail), Starved(as.Crash)
}

// Hung: the handler was not ready within the limit.
func Hung(limit time.Duration, tail string) *Error {
	return &Error{
		Reason: fmt.Sprintf("was not ready within %v and was killed", limit) + quoteTail(tail),
		Mend:   "init, Start and Handler must return soon: wait for what is slow in a goroutine",
		Or:     []string{beforeStop},
	}
}

// Exceeded: the cell was beyond a limit before the handler was ready. Why says
// which.
func Exceeded(name, why string) *Error {
	return &Error{
		Reason: "was killed before it was ready: " + why,
		Mend:   "mend the leak, or raise MemoryMax=, LimitNOFILE= or TasksMax= of [Handler " + name + "] in plugserverd.conf",
	}
}

// NotShared: what is named in ReadWritePaths= or ReadOnlyPaths= cannot be opened.
func NotShared(path string, err error) *Error {
	return &Error{
		Reason: "its sandbox cannot be made: " + bare(path, err),
		Mend:   "make " + words.Shell(path) + ", or let the daemon's user in; where it need not be there, write '-' before it in plugserverd.conf, and reload",
	}
}

// bare is an error of a path, with the path once.
func bare(path string, err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return words.Quote(path) + ": " + errno.Error()
	}
	return words.Quote(path) + ": " + err.Error()
}

// Starved reports whether a crash with these words was for want of memory or
// threads, so that the same start may succeed later.
func Starved(said string) bool {
	for _, w := range []string{"failed to create new OS thread", "cannot allocate memory", "Resource temporarily unavailable"} {
		if strings.Contains(said, w) {
			return true
		}
	}
	return false
}

// Crashed: the version crashed n times within window, last as how says.
func Crashed(name, version string, n int, window time.Duration, how string) *Error {
	return CrashedBefore(name, fmt.Sprintf("version %s crashed %d times within %v, last with %s", version, n, window, how))
}

// CrashedBefore is Crashed as it is told after a restart of the daemon: reason is what is remembered of it.
func CrashedBefore(name, reason string) *Error {
	return &Error{Reason: reason, Mend: "copy a mended file" + orRelease + words.Shell(name)}
}

// CrashedOnce is CrashedBefore where no reason is remembered.
func CrashedOnce(name, version string) *Error {
	return CrashedBefore(name, fmt.Sprintf("version %s has crashed too often; why is in the log of that time", version))
}

// RolledBack: an operator has rolled the version back.
func RolledBack(name, version string) *Error {
	return &Error{
		Reason: fmt.Sprintf("version %s was rolled back by plugserverctl rollback", version),
		Mend:   "copy a newer file; or serve this one after all: plugserverctl release " + words.Shell(name),
	}
}

// GaveWay: an earlier version serves than the last that did, and the newest file is another, refused one: reason is why the last has given way.
func GaveWay(name, version, reason string) *Error {
	return &Error{Reason: reason, Mend: "serve that version all the same: plugserverctl rollback " + words.Shell(name) + " " + version}
}

func quoteTail(tail string) string {
	tail = strings.TrimSpace(tail)
	if tail == "" {
		return "; it printed nothing"
	}
	return "; it printed: " + words.Last(tail)
}
