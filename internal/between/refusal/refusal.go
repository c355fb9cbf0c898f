// Package refusal is what an operator reads where a handler is not served: the
// reason, and the fix that goes with it. Rooms say what is wrong; the words stand
// here, in badfile and in badbuild, so that the log, the status and the
// documentation agree.
//
// Here are those of handlers that run: what they export, how they start, how they
// end. It links the standard library only: cells word their own refusals with it.
package refusal

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/words"
)

// Error is why a handler's file is not served and what its owner can do.
// Both sentences are lower case and end without a full stop.
type Error struct {
	Reason string   `json:"reason"`
	Mend   string   `json:"mend"`         // the fix that is best on this machine
	Or     []string `json:"or,omitempty"` // what else would do, the better first
	// Foreign says that the file is no Go plugin at all, and was not meant to be
	// one for all that can be seen: a library, say.
	Foreign bool `json:"-"`
}

// Error returns the reason and all fixes in one line.
func (e *Error) Error() string {
	if e.Mend == "" {
		return e.Reason
	}
	return e.Reason + "; " + e.Mends()
}

// Mends returns all fixes in one line.
func (e *Error) Mends() string {
	return strings.Join(append([]string{e.Mend}, e.Or...), "; or: ")
}

// Named returns e with NAME.so in its fixes replaced by the file at path.
func (e *Error) Named(path string) *Error {
	name := strings.NewReplacer("cell build NAME.so", "cell build "+words.Shell(path), "NAME.so", words.Shell(filepath.Base(path)))
	c := *e
	c.Mend, c.Or = name.Replace(e.Mend), nil
	for _, fix := range e.Or {
		c.Or = append(c.Or, name.Replace(fix))
	}
	return &c
}

// Bounded returns the refusal with sentences of bounded length: those of a cell
// may be of any.
func (e *Error) Bounded() *Error {
	return &Error{Reason: words.Clip(e.Reason), Mend: words.Clip(e.Mend)}
}

// From returns the refusal in err's chain. An error that is no refusal
// becomes one whose mend points at the log, or says that none is needed.
func From(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if Passing(err) {
		return &Error{Reason: err.Error(), Mend: "free memory, descriptors or room" + triedAgain}
	}
	return &Error{Reason: err.Error(), Mend: "see the log of plugserverd"}
}
