package badfile

import (
	"fmt"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/words"
)

// Theirs refuses to sync over a file that somebody else has put there.
func Theirs(path string) *refusal.Error {
	return &refusal.Error{
		Reason: fmt.Sprintf("somebody else has put %s there, and the registry has another file", path),
		Mend:   "rm " + words.Shell(path),
		Or:     []string{"plugserverctl sync --replace, which puts the registry's in its place"},
	}
}

// TheirCanary refuses to sync a handler in whose place the version of a canary serves, whose file did not come from the registry.
func TheirCanary(path, version string) *refusal.Error {
	return &refusal.Error{
		Reason: fmt.Sprintf("version %s serves in its place: a canary that somebody else has put there, and that was promoted", version),
		Mend:   "have the next sync serve what the registry has: rm " + words.Shell(path),
		Or:     []string{"push that canary's version to the registry", "plugserverctl sync --replace, which puts the registry's in its place"},
	}
}

// GoneBack refuses to call a canary promoted whose handler serves another version since.
func GoneBack(handler, version string) *refusal.Error {
	return &refusal.Error{
		Reason: fmt.Sprintf("it was promoted, but %s serves version %s since: somebody has rolled it back", handler, version),
		Mend:   "push what is mended",
		Or:     []string{"plugserverctl sync without --canary, which serves it all the same"},
	}
}

// Odd refuses to sync over what is no file.
func Odd(path string) *refusal.Error {
	return &refusal.Error{Reason: path + " is there, and no regular file", Mend: "move it away: mv " + words.Shell(path) + " /tmp"}
}

// OtherSync refuses to sync over a file that another entry has placed.
func OtherSync(entry string) *refusal.Error {
	return &refusal.Error{
		Reason: fmt.Sprintf("the sync %s has placed a handler of that name", entry),
		Mend:   "take it out of what one of the two follows, and push that again",
	}
}

// OtherPlatform refuses a handler that was pushed for other platforms than this.
func OtherPlatform(platform string) *refusal.Error {
	return &refusal.Error{
		Reason: "nothing was pushed of it for " + platform,
		Mend:   "build it on " + platform + ", and push it to the same reference",
		Or:     []string{"plugserverctl sync --partial, which goes without"},
	}
}
