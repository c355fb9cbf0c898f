package past

import (
	"strings"
	"testing"
	"time"

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
