package supervisor

import (
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/intake"
	"github.com/andrestc/go-plugserver/internal/store"
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
		s := &Supervisor{history: store.History{}}
		h := &handler{name: "h", since: time.Now()}
		for _, st := range tt.steps {
			h.since = h.since.Add(st.after)
			c := s.newCell("h").seat("h", intake.Part{Version: store.Version{Sum: st.sum}}, Settings{})
			c.mixed, c.again = st.mixed, st.again
			s.served(h, c)
		}
		var sums []string
		for _, v := range s.history["h"].Versions {
			sums = append(sums, v.Sum)
		}
		if got := strings.Join(sums, " "); got != tt.want {
			t.Errorf("%s: history is %q, want %q", tt.name, got, tt.want)
		}
	}
}
