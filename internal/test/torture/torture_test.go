package torture

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// A fault hurts the victim, or a process of the daemon itself. It returns once
// what it did is over and the victim answers again.
type fault struct {
	name   string
	weight int // how often it is chosen, beside the others
	hurt   func(a *arena)
}

// TestTorture hurts arenas, several at a time, until the time is up: with each
// fault at least once. What has to wait for the supervisor's patience with a
// stopped process does so in arenas of its own.
func TestTorture(t *testing.T) {
	only, err := regexp.Compile(*faultFlag)
	if err != nil {
		t.Fatal(err)
	}
	lanes := map[string][]fault{
		"processes":   signals,
		"syscalls":    syscalls,
		"plugins":     misdeeds,
		"files":       concat(facts, mutations),
		"excess":      excess,
		"wild":        wild,
		"mute":        mute,
		"descriptors": descriptors,
		"hostile":     hostile,
	}
	flags := map[string][]string{"wild": {"--max-patterns", "5000"}, "hostile": {"--sandbox", "on"}}
	if *forFlag > 0 {
		lanes["unconfined"], flags["unconfined"] = hostile, []string{"--sandbox", "off"}
	}
	if slices.ContainsFunc(mute, func(f fault) bool { return only.MatchString(f.name) }) {
		flags["mute"] = []string{"--cell", testbed.MuteCell(t)}
	}
	if out, _ := exec.Command(testbed.Build(t).Daemon, "--help").Output(); strings.Contains(string(out), "-memory-max") {
		lanes["memory"], flags["memory"] = hungry, []string{"--memory-max", "64M"}
	} else {
		fmt.Println("NOT RUN: memory without end, for plugserverd has no --memory-max")
	}
	for i, f := range patient {
		lanes[fmt.Sprintf("patience%d", i)] = []fault{f}
	}
	table := newTable()
	together := func(is func(lane string) bool) {
		var running sync.WaitGroup
		for name, faults := range lanes {
			faults = slices.DeleteFunc(faults, func(f fault) bool { return !only.MatchString(f.name) })
			if len(faults) == 0 || !is(name) {
				continue
			}
			running.Go(func() { t.Run(name, func(t *testing.T) { run(t, name, faults, table, flags[name]...) }) })
		}
		running.Wait()
	}
	// Those that ask how long a supervisor with much to do takes have the processors to themselves. Then
	// all others at once, however few processors: mostly they wait.
	busy := func(lane string) bool { return lane == "excess" || lane == "wild" }
	together(busy)
	together(func(lane string) bool { return !busy(lane) })
	table.print(*seedFlag)
}

func concat(lists ...[]fault) (all []fault) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// run is one arena's torture.
func run(t *testing.T, lane string, faults []fault, table *table, flags ...string) {
	began := time.Now()
	a := newArena(t, flags...)
	order := rand.New(rand.NewPCG(*seedFlag, 0)).Perm(len(faults))
	if testing.Short() && *forFlag == 0 {
		order = order[:(len(order)+2)/3] // another third with another seed
	}
	sum := 0
	for _, f := range faults {
		sum += f.weight
	}
	said := time.Now()
	failures := 0
	for turn := 0; turn < len(order) || time.Since(began) < *forFlag; turn++ {
		a.rng = rand.New(rand.NewPCG(*seedFlag, uint64(turn)+1))
		var f fault
		if turn < len(order) {
			f = faults[order[turn]]
		} else {
			n := a.rng.IntN(sum)
			for _, f = range faults {
				if n -= f.weight; n < 0 {
					break
				}
			}
		}
		wrong, log := a.turn(f, table)
		if len(wrong) > 0 {
			t.Errorf("turn %d, fault %q, seed %d: %s\nthe log of the turn:\n%s", turn, f.name, *seedFlag, strings.Join(wrong, "\n"), log)
			if failures++; failures >= 10 {
				t.Fatal("that is enough")
			}
			a.replace()
		}
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			fmt.Printf("%-10s %8s turn %5d: %s\n", lane, time.Since(began).Round(time.Second), turn, table.progress())
		}
	}
	try(func() { a.use(lane) })
}

// use tells what the daemon has come to.
func (a *arena) use(lane string) {
	a.rest()
	c := a.census()
	a.resume()
	for _, p := range []struct {
		who       string
		pid, n, b int
		rss       int64
	}{
		{"supervisor", a.d.PID(), c.supervisorFDs, a.base.supervisorFDs, c.supervisorRSS},
		{"gate", a.d.Status().Daemon.GatePID, c.gateFDs, a.base.gateFDs, c.gateRSS},
	} {
		fmt.Printf("%-10s the %s has %d descriptors, %d at first, and %d MiB; at most it had %d MiB\n", lane, p.who, p.n, p.b, p.rss>>20, peak(p.pid)>>20)
	}
}

// turn hurts the arena once, and says in which way it did not hold; and then
// what the daemon has logged.
func (a *arena) turn(f fault, table *table) (wrong []string, log string) {
	began := time.Now()
	mark := 0
	ok := try(func() {
		if !a.clean {
			a.refresh()
		}
		a.clean = false
		a.each()
		mark = a.d.Log.Len()
		a.before = a.d.Status()
		a.may.supervisor, a.may.gate, a.may.victim = false, false, false
		a.took = nil
		for _, c := range a.crowds {
			c.allowed, c.before = 0, c.score()
			c.Forget()
		}
		f.hurt(a)
		a.recovers(time.Now()) // it serves, whatever was done
		a.took = a.took[:len(a.took)-1]
	})
	a.rest()
	if ok {
		ok = try(a.nothingIsLeft)
	}
	if ok {
		try(a.unchanged)
	}
	var others, hurt score
	var mayFail, mayHurt int64
	for _, c := range a.crowds {
		s := c.score().less(c.before)
		if *logFlag {
			fmt.Println(f.name, c.name, s, c.Errors())
		}
		if c.hurt {
			hurt, mayHurt = hurt.plus(s), mayHurt+c.allowed
		} else {
			others, mayFail = others.plus(s), mayFail+c.allowed
		}
		if s.failed > c.allowed || s.refused > 0 {
			wrong = append(wrong, fmt.Sprintf("%s: %d of %d requests failed, %d may, %d refused: %v",
				c.name, s.failed, s.requests, c.allowed, s.refused, c.Errors()))
		}
	}
	a.resume()
	wrong = append(wrong, a.life.take()...)
	if *logFlag || len(wrong) > 0 {
		var b strings.Builder
		entries := a.d.Log.From(min(mark, a.d.Log.Len()))
		for i, e := range entries {
			if i < 60 || i >= len(entries)-60 {
				fmt.Fprintf(&b, "%s %s", e.At.Format("15:04:05.000000"), e.Raw)
			}
		}
		log = b.String()
	}
	if *logFlag {
		fmt.Printf("%s:\n%s", f.name, log)
	}
	table.add(f.name, time.Since(began), others, mayFail, hurt, mayHurt, a.took, len(wrong) > 0)
	return wrong, log
}

// unchanged checks that nobody but who may is another process.
func (a *arena) unchanged() {
	now := a.d.Status()
	if !a.may.supervisor && now.Daemon.PID != a.before.Daemon.PID {
		a.life.Errorf("the supervisor was restarted")
	}
	if !a.may.gate && now.Daemon.GatePID != a.before.Daemon.GatePID {
		a.life.Errorf("the gate was restarted")
	}
	for _, h := range now.Handlers {
		for _, b := range a.before.Handlers {
			may := a.may.supervisor || h.Name == "victim" && a.may.victim
			if h.Name == b.Name && h.PID != b.PID && !may {
				a.life.Errorf("the cell of %s was restarted", h.Name)
			}
		}
	}
}

// replace ends the daemon after a turn that went wrong, and starts another
// for the next.
func (a *arena) replace() {
	ok := try(func() {
		a.end()
		a.start()
		a.clear()
	})
	a.life.take()
	if !ok {
		a.t.Fatal(errors.New("no daemon can be started on what the turn has left behind"))
	}
}
