package analysis

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/counter"
)

var rules = Rules{For: 10 * time.Minute, MinRequests: 500, MaxSlowdown: 2}

// world is a made-up pair of versions.
type world struct {
	share            float64              // of the canary
	requests         int                  // of both at a look
	canary, failures func(at int) float64 // what part of the canary's fails, and of the incumbent's
	slow, slower     func(at int) float64 // what part of the incumbent's takes 30 ms, and of the canary's, where others take 1
	times            int                  // as many buckets longer takes the canary's
}

func always(part float64) func(int) float64 { return func(int) float64 { return part } }

// run has the pair judged, at a look a second, until there is a verdict or the looks are over. It returns
// how many requests the canary had had.
func (w world) run(r *rand.Rand, looks int) (v Verdict, requests uint64) {
	var canary, incumbent Counts
	start := time.Unix(0, 0)
	j := New(rules, start, canary, incumbent)
	for at := range looks {
		for range w.requests {
			c, fails, slow, bucket := &incumbent, w.failures, w.slow, 3
			if r.Float64() < w.share {
				c, fails, slow, bucket = &canary, w.canary, w.slower, 3+w.times
			}
			c.Requests++
			switch {
			case fails != nil && r.Float64() < fails(at):
				c.Errors++
			case slow != nil && r.Float64() < slow(at):
				c.Times[bucket]++
			default:
				c.Times[0]++
			}
		}
		if v, _ = j.Look(start.Add(time.Duration(at+1)*time.Second), canary, incumbent); v != Open && v != Awaits {
			break
		}
	}
	return v, canary.Requests
}

// often is how many runs there are, where the environment does not say another number.
func often(runs int) int {
	fmt.Sscan(os.Getenv("CANARY_RUNS"), &runs)
	return runs
}

// A canary that is as good as its incumbent is withdrawn in one run of 500 at the most, looked at each second for its
// whole time, whatever ails both. With CANARY_RUNS=1000 in the environment each pair is judged that often.
func TestFalseAlarms(t *testing.T) {
	runs := often(12)
	outage := func(at int) float64 {
		if at%100 < 10 {
			return 0.9
		}
		return 0.002
	}
	r := rand.New(rand.NewPCG(1, 2))
	withdrawn, all := 0, 0
	for name, fails := range map[string]func(int) float64{"never": nil, "rarely": always(0.001), "often": always(0.05), "outages": outage} {
		for _, load := range []struct {
			share           float64
			requests, looks int
		}{{0.01, 40, 600}, {0.05, 40, 600}, {0.2, 40, 600}, {0.5, 40, 600}, {0.05, 1, 3000}} {
			for range runs {
				w := world{share: load.share, requests: load.requests, canary: fails, failures: fails, slow: always(0.02), slower: always(0.02)}
				v, _ := w.run(r, load.looks)
				all++
				switch {
				case v == Withdraw:
					withdrawn++
					t.Logf("%s, %+v: withdrawn", name, load)
				case v != Promote && load.share >= 0.2:
					t.Fatalf("%s, %+v: %v at the end", name, load, v)
				}
			}
		}
	}
	t.Logf("%d of %d good ones were withdrawn", withdrawn, all)
	if withdrawn > all/500+3 {
		t.Errorf("%d of %d good ones were withdrawn", withdrawn, all)
	}
}

// How many requests it takes to withdraw a canary that fails one in ten. plugserverd.conf(5) tells these figures; with -v they are printed.
func TestFailsOneInTen(t *testing.T) {
	page, err := os.ReadFile("../../../packaging/deb/man/plugserverd.conf.5")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct {
		share, theirs float64
		median, most  uint64 // of 99 in 100
		told          string // with the median and that
	}{
		{0.01, 0, 55, 130, ".It 1%% Ta %d Ta %d\n"},
		{0.05, 0, 70, 150, ".It 5%% Ta %d Ta %d\n"},
		{0.05, 0.01, 145, 340, "at 5%%: %d and %d.\n"},
		{0.2, 0, 115, 220, ".It 20%% Ta %d Ta %d\n"},
		{0.5, 0, 260, 430, ".It 50%% Ta %d Ta %d\n"},
	} {
		var took []uint64
		for range 500 {
			w := world{share: c.share, requests: int(math.Ceil(4 / c.share)), canary: always(0.1), failures: always(c.theirs)}
			v, requests := w.run(r, 2000)
			if v != Withdraw {
				t.Fatalf("share %v: %v", c.share, v)
			}
			took = append(took, requests)
		}
		slices.Sort(took)
		t.Logf("share %v, incumbent %v: median %d, 99 %% %d, at the most %d", c.share, c.theirs, took[250], took[495], took[499])
		if took[250] > c.median || took[495] > c.most {
			t.Errorf("share %v, incumbent fails %v: median %d, 99 %% %d; want %d, %d", c.share, c.theirs, took[250], took[495], c.median, c.most)
		}
		if told := fmt.Sprintf(c.told, took[250], took[495]); !strings.Contains(string(page), told) {
			t.Errorf("plugserverd.conf(5) does not say %q", told)
		}
	}
}

// Whatever number processes say that they have counted, it takes no time to look at it.
func TestForeign(t *testing.T) {
	j := New(rules, time.Unix(0, 0), Counts{}, Counts{})
	for at := range 15 {
		var c Counts
		n := uint64(1) << (40 + at)
		c.Requests, c.Errors, c.Times[0], c.Times[9] = n, n/2, n/4, n/4
		for s := range c.BySecond {
			c.BySecond[s].Begun = uint32(n>>20) + 1<<31
		}
		if v, why := j.Look(time.Unix(int64(at), 0), c, c); v != Open {
			t.Fatalf("look %d: %v, %q", at, v, why)
		}
	}
}

// Of a handler that gets one request between two looks there are none of both versions to compare: they are gathered.
func TestFewRequests(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	var took []uint64
	for range 21 {
		v, requests := world{share: 0.05, requests: 1, canary: always(0.1)}.run(r, 20_000)
		if v != Withdraw {
			t.Fatalf("it is %v after %d requests", v, requests)
		}
		took = append(took, requests)
	}
	slices.Sort(took)
	t.Logf("withdrawn after a median of %d requests, %d at the most", took[10], took[20])
	if took[10] > 90 {
		t.Errorf("withdrawn after a median of %d requests", took[10])
	}
}

func TestSlow(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct {
		name         string
		slow, slower float64
		want         Verdict
	}{
		{"all of them", 0, 1, Withdraw},
		{"one in ten, where one in 200 was", 0.005, 0.1, Withdraw},
		{"one in four, where one in five was", 0.2, 0.25, Promote},
	} {
		var took []uint64
		for range 50 {
			v, requests := world{share: 0.05, requests: 200, slow: always(c.slow), slower: always(c.slower), times: 1}.run(r, 600)
			if v != c.want {
				t.Fatalf("%s: %v", c.name, v)
			}
			took = append(took, requests)
		}
		slices.Sort(took)
		t.Logf("%s: %v after a median of %d requests, %d at the most", c.name, c.want, took[25], took[49])
	}
}

func TestVerdicts(t *testing.T) {
	counts := func(requests, errors, quick, slow uint64) (c Counts) {
		c.Requests, c.Errors, c.Times[0], c.Times[5] = requests, errors, quick, slow
		return c
	}
	open := func(n uint64, c Counts) Counts {
		c.Open = n
		return c
	}
	start := time.Unix(1000, 0)
	for _, c := range []struct {
		name              string
		canary, incumbent Counts
		after             time.Duration
		want              Verdict
		why               string
	}{
		{"in its time", counts(500, 0, 500, 0), counts(9500, 0, 9500, 0), 9 * time.Minute, Open, ""},
		{"at its end", counts(600, 1, 599, 0), counts(9500, 9, 9491, 0), 10 * time.Minute, Promote,
			"1 of 600 (0.167 %) failed, of the incumbent's in the same time 9 of 9500 (0.0947 %); p50 ≤ 5ms and p99 ≤ 5ms, the incumbent's ≤ 5ms and ≤ 5ms"},
		{"at its end, and some are open", open(7, counts(600, 0, 600, 0)), counts(9500, 0, 9500, 0), 10 * time.Minute, Promote,
			"0 of 600 (0 %) failed, of the incumbent's in the same time 0 of 9500 (0 %); p50 ≤ 5ms and p99 ≤ 5ms, the incumbent's ≤ 5ms and ≤ 5ms"},
		{"too few", counts(499, 0, 499, 0), counts(9500, 0, 9500, 0), time.Hour, Awaits, "499 of 500 requests that it takes to judge it"},
		{"nothing to compare it with", counts(600, 0, 600, 0), counts(7, 0, 7, 0), time.Hour, Awaits, "7 of 500 requests of the incumbent that it takes to judge it"},
		{"it fails", counts(60, 12, 48, 0), counts(1140, 2, 1138, 0), time.Minute, Withdraw, "12 of 60 (20 %) failed, of the incumbent's in the same time 2 of 1140 (0.175 %)"},
		{"both fail", counts(60, 58, 2, 0), counts(1140, 1102, 38, 0), time.Minute, Open, ""},
		{"it fails alone", counts(40, 30, 10, 0), counts(0, 0, 0, 0), time.Minute, Withdraw, "30 of 40 (75 %) failed, and the incumbent had too few requests to compare that with: 0 of 0"},
		{"a few fail alone", counts(40, 19, 21, 0), counts(0, 0, 0, 0), time.Minute, Open, ""},
	} {
		before := counts(7, 7, 0, 0) // which are not its doing
		j := New(rules, start, before, before)
		add := func(a Counts) Counts {
			a.Requests, a.Errors = a.Requests+7, a.Errors+7
			return a
		}
		if got, why := j.Look(start.Add(c.after), add(c.canary), add(c.incumbent)); got != c.want || why != c.why {
			t.Errorf("%s: %v, %q; want %v, %q", c.name, got, why, c.want, c.why)
		}
	}
}

// The hypergeometric mean is the sum over all outcomes, whose probabilities are those of the urn.
func TestLogMean(t *testing.T) {
	choose := func(n, k uint64) float64 {
		product := 1.
		for i := range k {
			product = product * float64(n-i) / float64(i+1)
		}
		return product
	}
	for _, s := range []sample{{5, 7, 2, 1}, {5, 7, 0, 1}, {1, 100, 1, 0}, {3, 2, 2, 2}, {40, 60, 10, 20}} {
		k := s.bad + s.theirs
		mean := 0.
		for x := uint64(0); x <= min(k, s.n); x++ {
			if k-x <= s.m {
				mean += choose(s.n, x) * choose(s.m, k-x) / choose(s.n+s.m, k) * math.Pow(3, float64(x))
			}
		}
		if got := s.logMean(3); math.Abs(got-math.Log(mean)) > 1e-9 {
			t.Errorf("%+v: %v, want %v", s, got, math.Log(mean))
		}
	}
	if got := (sample{n: 500_000, m: 500_000, bad: 250_000, theirs: 250_000}).logMean(100); math.IsNaN(got) || math.IsInf(got, 0) {
		t.Errorf("of many it is %v", got)
	}
}

// What is told of times is the bound of a bucket, which is what is known.
func TestQuantile(t *testing.T) {
	for want, times := range map[string]map[int]uint64{
		"≤ 5ms ≤ 5ms":   {0: 1000},
		"≤ 5ms ≤ 250ms": {0: 50, 6: 50},
		"≤ 10ms ≤ 10ms": {1: 1},
		"≤ 25ms > 7.5s": {0: 40, 2: 40, counter.Buckets - 1: 20},
		"> 7.5s > 7.5s": {counter.Buckets - 2: 3},
	} {
		var all [counter.Buckets]uint64
		for i, n := range times {
			all[i] = n
		}
		f := Counts{Times: all}.figures()
		if got := counter.AtMost(f.P50) + " " + counter.AtMost(f.P99); got != want {
			t.Errorf("%v: got %s, want %s", times, got, want)
		}
	}
	if got := quantile([counter.Buckets]uint64{}, 0.5); got != 0 {
		t.Errorf("of none: %v", got)
	}
}
