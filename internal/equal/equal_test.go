package equal

import (
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/e2e"
)

var (
	caseFlag    = flag.String("case", "", "only the cases whose name matches the `regexp`")
	showFlag    = flag.Bool("show", false, "print every difference whole")
	updateFlag  = flag.Bool("update", false, "write testdata/faults.txt anew")
	allFlag     = flag.Bool("all", false, "play all cases, not every third")
	roundsFlag  = flag.Int("rounds", 1, "play every case so often at rest, and while handlers are replaced")
	seedFlag    = flag.Uint64("seed", 1, "make the random scripts of this `number`")
	nFlag       = flag.Int("n", 300, "how many random scripts")
	releaseFlag = flag.String("release", "", "build handlers and reference by this Go `release`, such as go1.24.10")
	kindsFlag   = flag.String("kinds", "", "write the differences by their kinds to this `file`")
)

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	e2e.CleanUp()
	os.Exit(code)
}

// clients is how many scripts are played at the same time: mostly they wait.
const clients = 40

// outcome is what became of one case.
type outcome struct {
	script   script
	want     []transcript // of the reference: more than one where it varies
	got      transcript   // the one that differs, if any does
	runs     int
	differed int
	err      error
}

// replaced precedes the names of cases that are played while handlers are
// replaced, where they are looked up in the list of faults.
const replaced = "replaced/"

// board is the outcomes of all cases, by name.
type board struct {
	mode string // "" or replaced
	mu   sync.Mutex
	of   map[string]*outcome
	list []script
}

func newBoard(list []script, mode string) *board {
	b := &board{of: make(map[string]*outcome), list: list, mode: mode}
	for _, s := range list {
		b.of[s.name] = &outcome{script: s}
	}
	return b
}

// wantOf takes over what the reference did for another board.
func (b *board) wantOf(other *board) {
	for name, o := range b.of {
		o.want = other.of[name].want
	}
}

// chosen are the cases to play: every third, or eighth where the test is to be
// short, unless all are asked for.
func chosen(t *testing.T, all []script, part bool) (list []script) {
	t.Helper()
	only, err := regexp.Compile(*caseFlag)
	if err != nil {
		t.Fatal(err)
	}
	known, seen := readFaults(t), make(map[string]bool)
	for _, s := range all {
		if seen[s.name] {
			t.Fatalf("two cases are called %s", s.name)
		}
		seen[s.name] = true
		n := uint32(3)
		if testing.Short() {
			n = 24
		}
		if part && !*allFlag && *caseFlag == "" && crc32.ChecksumIEEE([]byte(s.name))%n != 0 || !only.MatchString(s.name) {
			continue
		}
		s.faulty = known.may(s.name)
		list = append(list, s)
	}
	return list
}

// play plays cases against both servers of their pair.
func (b *board) play(t *testing.T, what string, list []script, normal, tight *pair) {
	t.Helper()
	began := time.Now()
	next := make(chan script)
	var done sync.WaitGroup
	for range clients {
		done.Add(1)
		go func() {
			defer done.Done()
			for s := range next {
				p := normal
				if s.tight {
					p = tight
				}
				b.judge(s, p)
			}
		}()
	}
	for _, s := range list {
		next <- s
	}
	close(next)
	done.Wait()
	t.Logf("%s: %d cases in %v", what, len(list), time.Since(began).Round(time.Millisecond))
}

// judge plays a case, and the reference again where they differ: it may vary.
func (b *board) judge(s script, p *pair) {
	b.mu.Lock()
	o := b.of[s.name]
	want := o.want // one goroutine has the case at a time
	b.mu.Unlock()
	var err error
	var got transcript
	if len(want) == 0 {
		var ref transcript
		ref, err = play(s, p.reference, nil, quiet)
		want = append(want, ref)
	}
	if err == nil {
		got, err = play(s, p.product, &want[0], quiet)
	}
	for i := 0; err == nil && i < 3 && !among(s, got, want); i++ {
		var ref transcript
		ref, err = play(s, p.reference, nil, quiet<<(i+2))
		want = append(want, ref)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	o.want = want
	o.runs++
	if err != nil {
		o.err = err
	} else if !among(s, got, want) {
		o.differed++
		o.got = got
	}
}

func among(s script, got transcript, want []transcript) bool {
	for _, w := range want {
		if same(s, got, w) {
			return true
		}
	}
	return false
}

// The answers are net/http's, byte for byte, at rest and while every handler is
// replaced again and again.
func TestEqual(t *testing.T) {
	list := chosen(t, cases(), true)
	normal := startPair(t, defaults(t))
	narrow := startPair(t, tight, tightFlags...)
	b := newBoard(list, "")
	for range *roundsFlag {
		b.play(t, "at rest", list, normal, narrow)
	}
	for range 3 {
		// What differs by chance may have been equal by chance.
		if again := b.turnedEqual(t); len(again) > 0 {
			b.play(t, "has it become equal?", again, normal, narrow)
		}
	}
	for range 2 {
		// What differs once in three runs may be the machine's doing: it is
		// printed, and counted.
		if again := b.newlyDiffering(t); len(again) > 0 {
			b.play(t, "does it differ again?", again, normal, narrow)
		}
	}
	b.report(t)
	r := newBoard(list, replaced)
	r.wantOf(b)
	whileReplaced(t, []*pair{normal, narrow}, func() {
		for range *roundsFlag {
			r.play(t, "while handlers are replaced", list, normal, narrow)
		}
	})
	r.report(t)
}

// whileReplaced replaces the handlers of the pairs ten times a second while f
// runs.
func whileReplaced(t *testing.T, pairs []*pair, f func()) {
	t.Helper()
	stop := make(chan struct{})
	var n atomic.Int64
	var done sync.WaitGroup
	began := time.Now()
	for _, p := range pairs {
		done.Add(1)
		go func() {
			defer done.Done()
			// The pairs share the ten.
			tick := time.NewTicker(time.Duration(len(pairs)) * 100 * time.Millisecond)
			defer tick.Stop()
			for i := 1; ; i++ {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				name := names[i%len(names)]
				next := plugin(t, name, int(1000*time.Since(began).Seconds())+i)
				mark := p.daemon.Log.Len()
				p.daemon.Drop(name, next)
				if _, err := p.daemon.Log.Wait(mark, time.Minute, func(e e2e.Entry) bool {
					return e.Msg() == "live: "+name && e.Get("version") == next.Version
				}); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				n.Add(1)
			}
		}()
	}
	f()
	close(stop)
	done.Wait()
	took := time.Since(began)
	t.Logf("%d replacements in %v: %.1f a second", n.Load(), took.Round(time.Millisecond), float64(n.Load())/took.Seconds())
	if n.Load() == 0 && took > time.Second {
		t.Errorf("nothing was replaced")
	}
}

// same reports whether two transcripts of a script are equal.
func same(s script, a, b transcript) bool {
	if s.coarse {
		a.got, b.got = firstLine(a.got), firstLine(b.got)
	}
	return a.got == b.got && a.end == b.end && a.events == b.events
}

func (t transcript) String() string {
	return fmt.Sprintf("%q, then %s; told: %q", t.got, t.end, t.events)
}
