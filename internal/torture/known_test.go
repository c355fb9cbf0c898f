package torture

import "regexp"

// known are bugs of the product that a fault shows and that are not mended
// yet: what they say is counted as wrong, and told, but does not fail the test.
// Whoever mends one deletes its line.
var known = []struct {
	bug         string
	fault, says *regexp.Regexp
	log         *regexp.Regexp // of the turn; nil for any
}{
	{"a cell that is another program is not replaced at once", regexp.MustCompile(`^in a request: syscall\.Exec`), regexp.MustCompile(`requests failed`), nil},
	{"what a handler starts outlives its cell", regexp.MustCompile(`left behind`), regexp.MustCompile(`left over`), nil},
	{"a history that could not be saved is not saved again", regexp.MustCompile(`^the N-th system call`), regexp.MustCompile(`history\.json|/store/\.tmp.*left over|left over: file .* the store`), nil},
	{"a dead link keeps the descriptors of what is sent over it", regexp.MustCompile(`^the N-th system call`), regexp.MustCompile(`descriptors of the supervisor`), nil},
	{"a gate that lacks a socket is deaf for good", regexp.MustCompile(`^the N-th system call`), regexp.MustCompile(`requests failed|does not answer|stuck`), regexp.MustCompile(`listening socket cannot be given`)},
}

// split separates what is a known bug from what is not.
func split(fault string, wrong []string, log string) (bad, old []string) {
	for _, w := range wrong {
		is := false
		for _, k := range known {
			if k.fault.MatchString(fault) && k.says.MatchString(w) && (k.log == nil || k.log.MatchString(log)) {
				old = append(old, "known: "+k.bug)
				is = true
				break
			}
		}
		if !is {
			bad = append(bad, w)
		}
	}
	return bad, old
}
