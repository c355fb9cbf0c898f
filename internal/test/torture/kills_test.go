package torture

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// TestKills kills the victim's cell again and again. Between two kills a new
// version goes live: what a crash costs the next start is forgotten with it.
func TestKills(t *testing.T) {
	a := newArena(t)
	a.rng = rand.New(rand.NewPCG(*seedFlag, 0))
	const kind = "SIGKILL the cell"
	table := newTable()
	said := time.Now()
	for n := range *killsFlag {
		wrong, log := a.turn(fault{kind, 1, func(a *arena) { a.killCell(syscall.SIGKILL) }}, table)
		if len(wrong) > 0 {
			t.Fatalf("kill %d, seed %d: %v\n%s", n, *seedFlag, wrong, log)
		}
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			fmt.Printf("%d of %d cells killed: %s\n", n+1, *killsFlag, table.progress())
		}
	}
	table.print(*seedFlag)
	if r := table.rows[kind]; r == nil || len(r.took) != *killsFlag {
		t.Errorf("not %d recoveries: %+v", *killsFlag, r)
	}
}

// TestMutants drops mutated plugins, of each kind as many.
func TestMutants(t *testing.T) {
	a := newArena(t)
	batch := min(16, max(1, *mutantsFlag/len(mutators)))
	table := newTable()
	said := time.Now()
	live, refused := 0, 0
	for n := 0; n < *mutantsFlag; {
		m := mutators[(n/batch)%len(mutators)]
		some := min(batch, *mutantsFlag-n)
		a.rng = rand.New(rand.NewPCG(*seedFlag, uint64(n)))
		wrong, log := a.turn(fault{"mutants: " + m.name, 1, func(a *arena) {
			l, r := a.mutants(some, m)
			live, refused = live+l, refused+r
		}}, table)
		if len(wrong) > 0 {
			t.Fatalf("mutants from %d on, %s, seed %d: %v\n%s", n, m.name, *seedFlag, wrong, log)
		}
		n += some
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			fmt.Printf("%d of %d mutants: %d live, %d refused; %s\n", n, *mutantsFlag, live, refused, table.progress())
		}
	}
	table.print(*seedFlag)
	fmt.Printf("%d mutants: %d live, %d refused\n", *mutantsFlag, live, refused)
	if live+refused != *mutantsFlag {
		t.Errorf("%d mutants, but %d live and %d refused", *mutantsFlag, live, refused)
	}
}
