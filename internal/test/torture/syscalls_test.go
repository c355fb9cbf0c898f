package torture

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
)

// syscalls make one system call of the supervisor fail, each in its turn.
var syscalls = []fault{
	{"the N-th system call of an admission fails", 1, func(a *arena) {
		a.sweep("an admission", func() func() {
			p := beast(a.life, "/newcomer", "newcomer", "")
			return func() { a.d.DropOld("newcomer", p) }
		}, func(hit string) {
			a.livesOrTells("newcomer", hit)
			a.d.Remove("newcomer")
			a.d.Reload()
		})
	}},
	{"the N-th system call of a swap fails", 1, func(a *arena) {
		a.sweep("a swap", func() func() {
			a.may.victim = true
			p := a.next("")
			return func() { a.d.DropOld("victim", p) }
		}, func(hit string) {
			a.livesOrTells("victim", hit)
			if s, b := a.d.Get("/victim"); s != 200 || b != number(a.version) {
				a.life.Errorf("%s: got %d %q, want %q", hit, s, b, number(a.version))
			}
		})
	}},
	{"the N-th system call after a crash fails", 1, func(a *arena) {
		a.sweep("a crash", func() func() {
			pid := a.cell()
			return func() {
				a.kill(pid, syscall.SIGKILL)
				a.gone(pid)
			}
		}, func(hit string) {
			a.recovers(time.Now())
			a.refresh()
		})
	}},
	{"the N-th system call after the gate's death fails", 1, func(a *arena) {
		a.sweep("the gate's death", func() func() {
			pid := a.d.Status().Daemon.GatePID
			if pid == 0 {
				a.life.Fatalf("there is no gate")
			}
			return func() {
				a.kill(pid, syscall.SIGKILL)
				a.gone(pid)
			}
		}, func(hit string) { a.recovers(time.Now()) })
	}},
}

// samples is how many calls of a sweep fail in a short run.
const samples = 6

// sweep does what prepare returns again and again, while the first system call of
// the supervisor fails, then the second, and so on until there are no more.
// judge is called after each.
func (a *arena) sweep(name string, prepare func() func(), judge func(hit string)) {
	if os.Getenv("TORTURE_PTRACE") == "off" {
		fmt.Println("NOT RUN: the N-th system call of", name, "fails, for TORTURE_PTRACE is off")
		return
	}
	tr, err := attach(a.d.PID())
	if err != nil {
		a.life.Fatalf("%v", err)
	}
	defer func() {
		if err := tr.detach(); err != nil {
			a.life.Errorf("tracer: %v", err)
		}
	}()
	check := func(err error) {
		if err != nil {
			a.life.Fatalf("%v", err)
		}
	}
	wrong := 0
	step := func(n int) string {
		mark := a.d.Log.Len()
		do := prepare()
		check(tr.fail(n, *seedFlag))
		do()
		a.d.Ctl("reload") // what is asked may be what fails
		hit, _, err := tr.disarm()
		check(err)
		a.d.Reload()
		what := fmt.Sprintf("call %d: %s", n, hit)
		judge(what)
		a.inFlight(mark)
		a.nothingStrays(what)
		if len(a.life.errors) > wrong {
			if wrong = len(a.life.errors); wrong > 10 {
				a.life.Fatalf("that is enough")
			}
			a.refresh()
		}
		return hit
	}
	// A dry run counts them.
	mark := a.d.Log.Len()
	do := prepare()
	check(tr.fail(1<<30, 0))
	do()
	a.d.Reload()
	_, total, err := tr.disarm()
	if err != nil || total == 0 {
		a.life.Fatalf("%d calls were counted, %v", total, err)
	}
	judge("no call failed")
	a.inFlight(mark)
	if *forFlag > 0 && !a.swept[name] {
		// It is not the same number each time: the last is passed where
		// several in a row find no call. What the daemon does by itself
		// meanwhile may come again and again.
		for n, missed := 1, 0; missed < 3 && n <= 2*total; n++ {
			if step(n) == "" {
				missed++
				continue
			}
			missed = 0
			if n%50 == 0 {
				fmt.Printf("         system call %d of %s, of about %d\n", n, name, total)
			}
		}
	} else {
		for range samples {
			step(1 + a.rng.IntN(total))
		}
	}
	a.swept[name] = true
	a.before = a.d.Status() // who died was told by the log
}

// livesOrTells checks that a handler's newest file is live, or that its refusal
// says why not and how to mend it: and that it helps to touch it.
func (a *arena) livesOrTells(name, hit string) {
	h, _ := a.d.Handler(name)
	for end := time.Now().Add(patience); h.State == api.StateCrashed && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		h, _ = a.d.Handler(name) // what failed has killed its cell: another is on its way
	}
	switch {
	case h.State == api.StateLive && h.Refusal == nil:
		return
	case h.Refusal == nil:
		a.life.Errorf("%s: %s is %+v, neither live nor refused", hit, name, h)
	case h.Refusal.Reason == "" || h.Refusal.Mend == "":
		a.life.Errorf("%s: %s is refused without reason or mend: %+v", hit, name, h.Refusal)
	}
	now := time.Now().Add(-time.Minute)
	if err := os.Chtimes(a.d.Path(name), now, now); err != nil {
		a.life.Fatalf("%v", err)
	}
	if errs, code := a.d.Reload(); code != 0 {
		a.life.Errorf("%s: reload after it was over: exit %d: %s", hit, code, errs)
	}
	if h, _ := a.d.Handler(name); h.State != api.StateLive || h.Refusal != nil {
		a.life.Errorf("%s: %s is %+v after it was touched", hit, name, h)
	}
}

// inFlight allows what was in flight where the log says that a child had to be
// replaced.
func (a *arena) inFlight(mark int) {
	for _, e := range a.d.Log.From(mark) {
		switch {
		case e.Get("event") == "gate_died":
			a.gateDies()
			a.cellDies() // its idle connections may have been in the gate
		case e.Msg() == "crashed: victim":
			a.cellDies()
		case strings.HasPrefix(e.Msg(), "crashed: "):
			a.allow(func(c *crowd) bool { return !c.hurt })
		}
	}
}

// nothingStrays waits until there are but the processes, descriptors and
// files of the supervisor that there should be. The clients do not rest.
func (a *arena) nothingStrays(what string) {
	for end := time.Now().Add(lingering); ; time.Sleep(5 * time.Millisecond) {
		c := a.census()
		c.allFDs, c.gateFDs, c.gateGoroutines = 0, 0, 0
		more := c.beyond(a.base)
		if len(more) == 0 {
			return
		}
		if time.Now().After(end) {
			a.life.Errorf("%s: left over: %s", what, strings.Join(more, "; "))
			return
		}
	}
}
