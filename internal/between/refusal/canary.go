package refusal

import (
	"fmt"

	"github.com/andrestc/go-plugserver/internal/between/words"
)

// NoIncumbent: what the canary is to stand beside does not serve.
func NoIncumbent(of string) *Error {
	return &Error{
		Reason: fmt.Sprintf("a canary stands beside a version that serves, and %q serves none", of),
		Mend:   fmt.Sprintf("copy %s into the directory"+followsItself, words.Shell(of+".so")),
		Or:     []string{"rename this file, if it is meant as a handler of its own: names that end in .canary are canaries'"},
	}
}

// SameAsIncumbent: the canary is what serves already.
func SameAsIncumbent(of, version string) *Error {
	return &Error{
		Reason: fmt.Sprintf("version %s is the one of %q that serves: there is nothing to compare", version, of),
		Mend:   "copy another version in its place" + orRemove,
	}
}

// NothingInCommon: the canary serves none of its incumbent's patterns.
func NothingInCommon(of string) *Error {
	return &Error{
		Reason: fmt.Sprintf("none of its patterns is one of those that %q serves: there is no request for it", of),
		Mend:   fmt.Sprintf("copy it over %s, which replaces that; or rename it, if it is meant as a handler of its own", words.Shell(of+".so")),
	}
}

// WithdrawnByHand: an operator has withdrawn it.
func WithdrawnByHand(name, version string) *Error {
	return &Error{
		Reason: fmt.Sprintf("version %s was withdrawn by plugserverctl canary --withdraw", version),
		Mend:   "remove it: plugserverctl remove " + words.Shell(name),
		Or:     []string{"have it judged again: plugserverctl release " + words.Shell(name), "copy another version in its place"},
	}
}

// Withdrawn: it was worse than its incumbent.
func Withdrawn(name, version, why string) *Error {
	return &Error{
		Reason: fmt.Sprintf("version %s was withdrawn: %s", version, why),
		Mend:   "copy a mended file in its place" + orRelease + words.Shell(name),
		Or:     []string{"remove it: plugserverctl remove " + words.Shell(name)},
	}
}

// Promoted: the canary has become its handler's version.
func Promoted(of, version string) *Error {
	return &Error{
		Reason: fmt.Sprintf("version %s was promoted, and serves as %q: nothing is wrong", version, of),
		Mend:   fmt.Sprintf("have the directory say so: plugserverctl canary %s --promote, which renames the file", words.Shell(of)),
	}
}

// Superseded: a canary has taken the file's version's place.
func Superseded(name, version string) *Error {
	return &Error{
		Reason: fmt.Sprintf("its file has version %s, whose place its canary has taken: nothing is wrong", version),
		Mend:   fmt.Sprintf("have the directory say so: plugserverctl canary %s --promote, which renames the canary's file", words.Shell(name)),
		Or:     []string{"serve the file's version again: plugserverctl rollback " + words.Shell(name) + " " + version},
	}
}
