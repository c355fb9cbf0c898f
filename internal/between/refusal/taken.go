package refusal

import "strings"

// What a fix ends with that counts on the file's lying in the directory still.
const (
	triedAgain     = ": the file is tried again by itself"
	triedAgainThen = ": this file is tried again by itself then"
	copyAgain      = ", then copy the file again"
	followsItself  = ": its canary follows by itself"
	orRemove       = ", or remove this file"
	orRelease      = "; or try this one again: plugserverctl release "
)

// TakenAway is a fix as it is where the refused file was taken out of the directory again.
// again is how it gets there: "install it again".
func TakenAway(fix, again string) string {
	for _, end := range []string{triedAgain, triedAgainThen, copyAgain, followsItself} {
		if before, ok := strings.CutSuffix(fix, end); ok {
			return before + ", then " + again
		}
	}
	fix, _, _ = strings.Cut(fix, orRelease)
	return strings.TrimSuffix(fix, orRemove)
}
