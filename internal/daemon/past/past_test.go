package past

import (
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
)

// A version is history once it has served for a while, or another file took its
// place, or it is known to be whole: what the next one was written over a moment
// later may be a mixture.
func TestOnlyWhatLivedIsHistory(t *testing.T) {
	const whole, over = false, true // or renamed into place
	type step struct {
		sum   string
		mixed bool
		after time.Duration
		again bool
	}
	for _, tt := range []struct {
		name  string
		steps []step
		want  string
	}{
		{"written over, each after a while", []step{{"a", whole, 0, false}, {"b", over, livedTime, false}, {"c", over, livedTime, false}}, "a b c"},
		{"written over at once", []step{{"a", whole, 0, false}, {"b", over, time.Second, false}}, "a b"},
		{"mixtures in between", []step{{"a", whole, 0, false}, {"m", over, time.Second, false}, {"n", over, time.Second, false}, {"o", over, time.Second, false}, {"b", over, time.Second, false}}, "a b"},
		{"renamed over a mixture", []step{{"a", whole, 0, false}, {"m", over, time.Second, false}, {"b", whole, time.Second, false}}, "a b"},
		{"renamed over at once", []step{{"a", whole, 0, false}, {"b", whole, time.Second, false}}, "a b"},
		{"whole ones written over at once", []step{{"a", whole, 0, false}, {"b", whole, time.Second, false}, {"c", whole, time.Second, false}}, "a b c"},
		{"a mixture between whole ones", []step{{"a", whole, 0, false}, {"b", whole, time.Second, false}, {"m", over, time.Second, false}, {"c", whole, time.Second, false}}, "a b c"},
		{"the same again", []step{{"a", over, 0, false}, {"a", over, time.Second, false}}, "a"},
		{"rolled back in between", []step{{"a", whole, 0, false}, {"m", over, livedTime, false}, {"a", whole, time.Second, true}, {"b", over, time.Second, false}}, "a b"},
	} {
		p, now := New(store.Record{}, false), time.Now()
		for _, st := range tt.steps {
			now = now.Add(st.after)
			p.Served(Served{Sum: st.sum, Mixed: st.mixed, Newest: !st.again, Live: now}, 1)
		}
		var sums []string
		for _, v := range p.Record.Versions {
			sums = append(sums, v.Sum)
		}
		if got := strings.Join(sums, " "); got != tt.want {
			t.Errorf("%s: history is %q, want %q", tt.name, got, tt.want)
		}
	}
}

// The record tells why versions are bad, of those alone, and with bounds.
func TestWhyOutlivesTheDaemon(t *testing.T) {
	bad := func(why string) *refusal.Error { return refusal.Crashed("a", "0123", 3, time.Minute, why) }
	p := New(store.Record{Bad: []string{"old"}}, false)
	p.GiveUp("a", bad("exit status 1"), 0)
	before := p.Record
	for i := range BadKept {
		if !p.GiveUp(strconv.Itoa(i), bad(strings.Repeat("ä", maxWhy)), 0) {
			t.Errorf("%d is no change", i)
		}
	}
	if want := bad("exit status 1").Reason; before.Why["a"] != want || len(before.Why) != 1 {
		t.Errorf("got %q, want %q", before.Why, want)
	}
	if got := p.Record.Why; len(got) != BadKept || got["a"] != "" || len(got["0"]) > maxWhy+len("...") || !utf8.ValidString(got["0"]) {
		t.Errorf("got %q", got)
	}
	if !p.GiveUp("1", bad("exit status 2"), 0) || p.GiveUp("1", bad("exit status 2"), 0) {
		t.Error("another reason is no change, or the same is one")
	}
	if p.notBad("1"); p.Record.Why["1"] != "" || p.Record.Why["2"] == "" {
		t.Errorf("it is told why a version is bad that is not: %q", p.Record.Why)
	}
	if p.Judge(canary.Verdict{Sum: "c"}, bad("x"), 0); p.Record.Why["c"] != "" {
		t.Error("a verdict is told twice")
	}
	if p.Forgive(); p.Record.Why != nil {
		t.Errorf("forgiven, and told why: %q", p.Record.Why)
	}
}

// A version that was given up is tried again where somebody asks for it, by
// copying it anew; chmod(1), chown(1) and touch(1) change none of this.
func TestAnew(t *testing.T) {
	then := Content{Sum: "a", Dev: 1, Ino: 2, Writes: 3}
	for name, tt := range map[string]struct {
		now     Content
		atStart bool
		want    bool
	}{
		"chmod, chown, touch":    {now: then},
		"other content":          {now: Content{"b", 1, 2, 4}, want: true},
		"moved in":               {now: Content{"a", 1, 9, 3}, want: true},
		"from another disk":      {now: Content{"a", 9, 2, 3}, want: true},
		"written over":           {now: Content{"a", 1, 2, 5}, want: true},
		"after the daemon began": {now: then, atStart: true},
	} {
		before := then
		if tt.atStart {
			before = Content{}
		}
		if got := Anew(tt.now, before, tt.atStart); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
