package refusal

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// Whatever a file was refused for that was taken out of the directory again: nothing tries it by itself, and there is nothing to release.
func TestTakenAway(t *testing.T) {
	killed, _ := DiedEarly(End{Killed: "x"})
	bySomebody, _ := DiedEarly(End{Status: "signal: killed"})
	for _, e := range []*Error{
		TableFull(2, 1), Taken("/a", "b", "/a"), Start(syscall.ENOENT), killed, bySomebody, Crashed("a", "0123", 3, time.Minute, "exit status 1"),
		From(Full("/s", syscall.ENOSPC)), NoDescriptors(9, 3), NoTasks(9, 3, "TasksMax=", "raise it"), NoProcess(), From(syscall.ENOMEM),
		NoIncumbent("a"), SameAsIncumbent("a", "0123"), Withdrawn("a.canary", "0123", "x"),
	} {
		got := TakenAway(e.Mend, "install it again")
		if got == e.Mend || strings.Contains(got, "itself") || strings.Contains(got, "release") || strings.Contains(got, "this file") {
			t.Errorf("%q is taken away as %q", e.Mend, got)
		}
	}
	if got := TakenAway(Taken("/a", "b", "/a").Mend, "install it again"); got != "change the pattern, or remove b.so, then install it again" {
		t.Errorf("got %q", got)
	}
	if got := TakenAway(NilHandler("/a").Mend, "install it again"); got != NilHandler("/a").Mend {
		t.Errorf("got %q", got)
	}
}
