package equal

import (
	"cmp"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
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
	testbed.CleanUp()
	os.Exit(code)
}

// clients is how many scripts are played at the same time: mostly they wait.
const clients = 40

// outcome is what became of one case.
type outcome struct {
	script script
	mode   string
	ref    *variants
	odd    []transcript // that were not among the reference's when they were played
	runs   int
	err    error
}

// variants are what the reference has done with a case: more than one where it
// varies itself. Whatever net/http can do, plugserver may, and nothing else.
type variants struct {
	mu  sync.Mutex
	all []transcript
}

func (v *variants) add(t transcript) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all = append(v.all, t)
}

// first is what the reference did first, ok whether it was played.
func (v *variants) first() (t transcript, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.all) == 0 {
		return t, false
	}
	return v.all[0], true
}

// fullest is the variant with the most bytes: who has got less was impatient, or is
// one that the reference leaves so.
func (v *variants) fullest() (t transcript, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, other := range v.all {
		if !ok || len(other.got) > len(t.got) {
			t, ok = other, true
		}
	}
	return t, ok
}

func (v *variants) have(s script, got transcript) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.ContainsFunc(v.all, func(w transcript) bool { return same(s, got, w) })
}

// differing are the plays of the product that are none of the reference's variants,
// as far as they are known by now.
func (o *outcome) differing() (list []transcript) {
	for _, t := range o.odd {
		if !o.ref.have(o.script, t) {
			list = append(list, t)
		}
	}
	return list
}

// replaced precedes the names of cases that are played while handlers are
// replaced, where they are looked up in the list of faults.
const replaced = "replaced/"

// board is the outcomes of all cases, by name.
type board struct {
	mode string // "", replaced, secured or lent
	mu   sync.Mutex
	of   map[string]*outcome
	list []script
}

func newBoard(list []script, mode string) *board {
	b := &board{of: make(map[string]*outcome), list: list, mode: mode}
	for _, s := range list {
		b.of[s.name] = &outcome{script: s, mode: mode, ref: &variants{}}
	}
	return b
}

// share has both boards know of what the reference does for either.
func (b *board) share(other *board) {
	for name, o := range b.of {
		o.ref = other.of[name].ref
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
	b.with(t, what, list, normal, tight, b.judge)
}

// with calls f for each case with its pair; many at the same time.
func (b *board) with(t *testing.T, what string, list []script, normal, tight *pair, f func(script, *pair)) {
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
				f(s, p)
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
	b.mu.Unlock()
	var err error
	var got transcript
	prior, known := o.ref.fullest()
	if !known {
		if prior, err = play(s, p.reference, nil, quiet); err == nil {
			o.ref.add(prior)
		}
	}
	if err == nil {
		got, err = play(s, p.product, &prior, quiet)
	}
	for i := 0; err == nil && i < 3 && !o.ref.have(s, got); i++ {
		err = o.vary(s, p, quiet<<(i+2))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	o.runs++ // one goroutine has the case at a time
	if err != nil {
		o.err = err
	} else if !o.ref.have(s, got) {
		got.awaited = len(prior.got)
		o.odd = append(o.odd, got)
	}
}

// drop forgets the plays of the product that were given up before it had said as
// much as the reference is known to say by now.
func (o *outcome) drop() {
	full, _ := o.ref.fullest()
	n := len(o.odd)
	o.odd = slices.DeleteFunc(o.odd, func(t transcript) bool { return t.end == "open" && t.awaited < len(full.got) })
	o.runs -= n - len(o.odd)
}

// vary plays the reference once more: s is the case's script, or one that sends the
// same.
func (o *outcome) vary(s script, p *pair, quiet time.Duration) error {
	t, err := play(s, p.reference, nil, quiet)
	if err == nil {
		o.ref.add(t)
	}
	return err
}

// varyTogether plays the reference some times at once, as a busy server is, and
// with the texts in other segments: what arrives at one time is the network's to
// decide.
func (o *outcome) varyTogether(p *pair) error {
	errs := make(chan error, together)
	for i := range together {
		s := o.script
		switch i % 4 {
		case 1:
			s = s.inSegments()
		case 3:
			s = s.atOnce()
		}
		go func() { errs <- o.vary(s, p, quiet<<1) }()
	}
	var err error
	for range together {
		err = cmp.Or(<-errs, err)
	}
	return err
}

// often times together the reference is played, before it is said that it does not
// do something.
const often, together = 5, 8

// settle finds out whether what differs and should not is one of the reference's
// own variants, and plays the product twice more where it is not.
func (b *board) settle(t *testing.T, normal, tight *pair) {
	t.Helper()
	for range 2 {
		list := b.newlyDiffering(t)
		if len(list) == 0 {
			return
		}
		b.with(t, "does net/http do that?", list, normal, tight, func(s script, p *pair) {
			o := b.of[s.name]
			for i := 0; i < often && o.err == nil && len(o.differing()) > 0; i++ {
				o.err = o.varyTogether(p)
			}
			o.drop()
		})
		list = slices.DeleteFunc(list, func(s script) bool { return b.of[s.name].runs > 0 && len(b.of[s.name].differing()) == 0 })
		if len(list) > 0 {
			b.play(t, "does it differ again?", list, normal, tight)
		}
	}
}

// The answers are net/http's, byte for byte, at rest and while every handler is
// replaced again and again.
func TestEqual(t *testing.T) {
	list := chosen(t, cases(), true)
	normal := startPair(t, patientLimits(t), patientFlags...)
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
	b.settle(t, normal, narrow)
	b.report(t)
	r := newBoard(list, replaced)
	r.share(b)
	whileReplaced(t, []*pair{normal, narrow}, func() {
		for range *roundsFlag {
			r.play(t, "while handlers are replaced", list, normal, narrow)
		}
		r.settle(t, normal, narrow)
	})
	r.report(t)
}

// secured precedes the names of cases that are played over TLS, where they are looked up
// in the list of faults.
const secured = "tls/"

// Over TLS the answers are those of net/http's ServeTLS, byte for byte, at rest and
// while handlers are replaced. What was seen of the bytes in the clear is not looked for
// again: some cases of each kind do.
func TestEqualTLS(t *testing.T) {
	some(t, secured, "over TLS", func() *pair { return startSecurePair(t, patientLimits(t), patientFlags...) })
}

// lent precedes the names of cases that are played where no handler gets a client's connection, where they are looked up
// in the list of faults.
const lent = "lent/"

// So are they where handlers do not trust each other, and each request comes to its handler by a loan.
func TestEqualTrust(t *testing.T) {
	some(t, lent, "lent", func() *pair { return startPair(t, patientLimits(t), append(patientFlags, "--trust=each")...) })
}

// some plays some cases of each kind in a mode, with -all all, but for those that need tight limits.
func some(t *testing.T, mode, how string, start func() *pair) {
	t.Helper()
	list := slices.DeleteFunc(chosen(t, cases(), true), func(s script) bool {
		return s.tight || *caseFlag == "" && !*allFlag && crc32.ChecksumIEEE([]byte(s.name))%48 != 0
	})
	both(t, list, start(), how+", ", mode, mode)
}

// both plays the cases once at rest, and once while handlers are replaced, each in its mode. What is told of
// that begins with how.
func both(t *testing.T, list []script, p *pair, how, rest, moving string) {
	t.Helper()
	b := newBoard(list, rest)
	b.play(t, how+"at rest", list, p, nil)
	b.settle(t, p, nil)
	b.report(t)
	r := newBoard(list, moving)
	r.share(b)
	whileReplaced(t, []*pair{p}, func() {
		r.play(t, how+"while handlers are replaced", list, p, nil)
		r.settle(t, p, nil)
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
				if _, err := p.daemon.Log.Wait(mark, time.Minute, func(e testbed.Entry) bool {
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
	if s.hurried() && a.got != b.got {
		a.got, b.got = anyMoment(a.got), anyMoment(b.got)
	}
	return a.got == b.got && a.end == b.end && a.events == b.events
}

func (t transcript) String() string {
	return fmt.Sprintf("%q, then %s; told: %q", t.got, t.end, t.events)
}
