package torture

import (
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// misdeeds are what a plugin does to its own process, while it serves, while
// it is loaded, and before it is replaced.
var misdeeds = concat(
	deadly("a goroutine panics", "panic"),
	racy(deadly("concurrent writes to a map", "throw")),
	deadly("the stack overflows", "overflow"),
	deadly("an unsafe write", "unsafe"),
	deadly("the heap is overwritten", "corrupt"),
	deadly("SIGSEGV in cgo", "cgo"),
	deadly("a double free in cgo", "abort"),
	deadly("os.Exit", "exit"),
	deadly("log.Fatal", "fatal"),
	deadly("SIGKILL to itself", "kill"),
	piecemeal(deadly("all descriptors closed", "close")),
	deadly("syscall.Exec", "exec"),
	harmless("stdout and stderr closed", "close output"),
	harmless("chdir, umask and an empty environment", "chdir"),
	harmless("signals ignored", "ignore"),
	harmless("a flood of output", "flood"),
	harmless("binary output", "binary"),
	harmless("fifty locked threads", "threads"),
	harmless("processors kept busy", "spin"),
	harmless("a process left behind", "child"),
	loaded("runtime.Goexit", "goexit"),
	loaded("a panic", "panic"),
	loaded("os.Exit", "exit"),
	loaded("SIGSEGV in cgo", "cgo"),
	loaded("all descriptors closed", "close"),
	loaded("syscall.Exec", "exec"),
	loaded("an endless wait", "hang"),
	loaded("SIGSTOP to itself", "stop"),
	loaded("a flood of output", "flood"),
)

// hungry are misdeeds in an arena with a limit on memory.
var hungry = deadly("memory without end", "hog")

// racy is what the race detector would tell of.
func racy(faults []fault) []fault {
	if testbed.Race {
		return nil
	}
	return faults
}

// piecemeal is what loses one connection after the other: whoever comes back may be lost once more, before the cell's link is.
func piecemeal(faults []fault) []fault {
	for i, f := range faults {
		faults[i].hurt = func(a *arena) { a.cellDies(); f.hurt(a) }
	}
	return faults
}

// deadly ends the cell while it serves.
func deadly(name, what string) []fault {
	return []fault{{name: "in a request: " + name, weight: 1, hurt: func(a *arena) {
		a.cellDies()
		pid := a.cell()
		began := time.Now()
		if ans, err := a.ask(what); err == nil && ans.Status != 503 {
			a.life.Errorf("%s: got %d %q from the dead", what, ans.Status, ans.Body)
		}
		a.gone(pid)
		a.recovers(began)
	}}}
}

// harmless leaves the cell alive, and it can be replaced as any other.
func harmless(name, what string) []fault {
	return []fault{{name: "in a request: " + name, weight: 1, hurt: func(a *arena) {
		pid := a.cell()
		if ans, err := a.ask(what); err != nil || ans.Status != 200 {
			a.life.Errorf("%s: got %d %q %v", what, ans.Status, ans.Body, err)
		}
		a.recovers(time.Now())
		if now := a.cell(); now != pid {
			a.life.Errorf("%s: the cell was restarted", what)
		}
		a.refresh()
		a.gone(pid)
		a.recovers(time.Now())
	}}}
}

// loaded happens while the plugin is loaded: it is refused, and the version
// before it serves on.
func loaded(name, what string) []fault {
	return []fault{{name: "in init: " + name, weight: 1, hurt: func(a *arena) {
		pid := a.cell()
		p := a.next(what)
		mark := a.d.Log.Len()
		a.d.DropOld("victim", p)
		e := a.d.WaitLogFrom(mark, "the verdict", func(e testbed.Entry) bool {
			return e.Get("handler") == "victim" && (e.Get("event") == "refused" || e.Get("event") == "live")
		})
		if what == "flood" && e.Get("event") == "live" {
			// Unless it took too long. It serves.
			a.may.victim = true
			a.gone(pid)
			return
		}
		if e.Get("event") != "refused" || e.Get("reason") == "" || e.Get("mend") == "" {
			a.life.Errorf("%s: %s", what, e.Raw)
		}
		a.recovers(time.Now())
		if now := a.cell(); now != pid {
			a.life.Errorf("%s: the cell was restarted", what)
		}
		a.refresh()
	}}}
}
