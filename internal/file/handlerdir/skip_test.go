package handlerdir

import (
	"slices"
	"testing"
)

// What the rules skip is as if it were not there, at once, and is told.
func TestSkip(t *testing.T) {
	r := newRoom(t)
	for _, file := range []string{"a.so", "b.so", "c.so"} {
		r.write(file, 100, 100, start)
	}
	names := func(s *Snapshot) (all []string) {
		for _, f := range s.Files {
			all = append(all, f.Name)
		}
		return all
	}
	first := r.scan(nil, start)
	if got := names(first); !slices.Equal(got, []string{"a", "b", "c"}) || first.Skipped != nil {
		t.Errorf("%q, skipped %q", got, first.Skipped)
	}
	r.rules.Skip = func(name string) bool { return name != "b" }
	second := r.scan(first, start)
	if got := names(second); !slices.Equal(got, []string{"b"}) || !slices.Equal(second.Skipped, []string{"a", "c"}) {
		t.Errorf("%q, skipped %q", got, second.Skipped)
	}
	r.rules.Skip = nil
	if got := names(r.scan(second, start)); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("%q", got)
	}
}
