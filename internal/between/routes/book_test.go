package routes

import (
	"fmt"
	"iter"
	"slices"
	"testing"
)

// A book finds all that there are, however many there have been, and keeps few of those.
func TestBook(t *testing.T) {
	var b Book[int]
	if found := b.Overlapping([]string{"/"}); found != nil {
		t.Errorf("an empty one finds %v", found)
	}
	patterns := func(i int) []string { return []string{fmt.Sprintf("/a/%d", i), fmt.Sprintf("/b/%d/", i)} }
	const live = 50
	for i := range 2000 {
		all := iter.Seq2[int, []string](func(yield func(int, []string) bool) {
			for j := max(0, i-live+1); j <= i && yield(j, patterns(j)); j++ {
			}
		})
		b.Add(Std, i, patterns(i), all)
		b.Add(Std, i, patterns(i), all)
		if len(b.known) > 2*live+100 {
			t.Fatalf("it keeps %d of %d", len(b.known), live)
		}
		found := b.Overlapping([]string{"/a/{x}"})
		slices.Sort(found)
		if n := len(found); n < min(i+1, live) || !slices.Equal(found[n-min(i+1, live):], seq(max(0, i-live+1), i)) {
			t.Fatalf("of those up to %d it finds %v", i, found)
		}
	}
}

func seq(from, to int) (all []int) {
	for ; from <= to; from++ {
		all = append(all, from)
	}
	return all
}
