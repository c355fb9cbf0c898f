package torture

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// row is what came of one fault.
type row struct {
	times, wrong     int
	spent            time.Duration
	others, hurt     score
	mayFail, mayHurt int64 // what was in flight, at the most
	took             []time.Duration
}

// table is what came of all.
type table struct {
	mu   sync.Mutex // guards rows
	rows map[string]*row
}

func newTable() *table { return &table{rows: make(map[string]*row)} }

func (t *table) add(name string, spent time.Duration, others score, mayFail int64, hurt score, mayHurt int64, took []time.Duration, wrong bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rows[name]
	if r == nil {
		r = &row{}
		t.rows[name] = r
	}
	r.times++
	r.spent += spent
	r.others, r.mayFail = r.others.plus(others), r.mayFail+mayFail
	r.hurt, r.mayHurt = r.hurt.plus(hurt), r.mayHurt+mayHurt
	r.took = append(r.took, took...)
	if wrong {
		r.wrong++
	}
}

// sum is the row of all rows.
func (t *table) sum() (all row) {
	for _, r := range t.rows {
		all.times += r.times
		all.wrong += r.wrong
		all.spent += r.spent
		all.others, all.mayFail = all.others.plus(r.others), all.mayFail+r.mayFail
		all.hurt, all.mayHurt = all.hurt.plus(r.hurt), all.mayHurt+r.mayHurt
		all.took = append(all.took, r.took...)
	}
	return all
}

func (t *table) progress() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.sum()
	return fmt.Sprintf("%d faults of %d kinds, %d wrong; others: %d requests, %d failed, %d may, %d refused; hurt: %d, %d failed, %s may",
		all.times, len(t.rows), all.wrong, all.others.requests, all.others.failed, all.mayFail, all.others.refused,
		all.hurt.requests, all.hurt.failed, may(all.mayHurt))
}

// print prints the whole table. "May" is what was in flight at the most.
func (t *table) print(seed uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const head = "%-52s %6s %6s | %9s %6s %6s %7s | %8s %6s %6s | %8s %8s\n"
	fmt.Printf(head, fmt.Sprintf("seed %d", seed), "", "", "others", "", "", "", "hurt", "", "", "recovery", "")
	fmt.Printf(head, "fault", "times", "wrong", "requests", "failed", "may", "refused", "requests", "failed", "may", "p50", "p99")
	line := func(name string, r *row) {
		p50, p99 := "-", "-"
		if len(r.took) > 0 {
			p50, p99 = percentile(r.took, 50).String(), percentile(r.took, 99).String()
		}
		fmt.Printf(head, name, fmt.Sprint(r.times), fmt.Sprint(r.wrong),
			fmt.Sprint(r.others.requests), fmt.Sprint(r.others.failed), fmt.Sprint(r.mayFail), fmt.Sprint(r.others.refused+r.hurt.refused),
			fmt.Sprint(r.hurt.requests), fmt.Sprint(r.hurt.failed), may(r.mayHurt), p50, p99)
	}
	for _, name := range slices.Sorted(maps.Keys(t.rows)) {
		line(name, t.rows[name])
	}
	all := t.sum()
	line("all", &all)
}

// may words how many may fail; a fault that hurts the victim for good allows any.
func may(n int64) string {
	if n >= 1<<30 {
		return "any"
	}
	return fmt.Sprint(n)
}

// percentile returns the nearest rank, rounded for people.
func percentile(d []time.Duration, p int) time.Duration {
	d = slices.Sorted(slices.Values(d))
	i := (len(d)*p + 99) / 100
	return d[max(0, i-1)].Round(100 * time.Microsecond)
}
