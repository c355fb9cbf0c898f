package fleet

import (
	"maps"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// A few boxes come to what the tag names in every scene in which the registry is there, and ask for no more than they have to.
func TestPlay(t *testing.T) {
	testbed.Need(t, "there is no registry to play with: apt-get install docker-registry", "docker-registry")
	const boxes = 20
	rows, err := Play(Spec{Boxes: boxes, Handlers: 3, Size: 1000, Interval: 5 * time.Minute, Dir: t.TempDir()}, Scales{Steady: 3600, Busy: 360})
	if err != nil || len(rows) != 6 {
		t.Fatalf("%v, %d rows", err, len(rows))
	}
	for i, r := range rows {
		t.Log(r)
		if down := i == 3; !down && (r.Behind != 0 || r.Failed != 0) || down && r.Failed != r.Tries || r.Tries < boxes {
			t.Errorf("%s: %d tries, %d failed, %d are behind", r.Scene, r.Tries, r.Failed, r.Behind)
		}
	}
	if want := map[string]int{"HEAD tag": 12 * boxes}; !maps.Equal(rows[1].Kinds, want) {
		t.Errorf("in an hour they ask for %v, want %v", rows[1].Kinds, want)
	}
	if k := rows[2].Kinds; k["GET blob"] != boxes || k["GET manifest"] != 2*boxes {
		t.Errorf("for a release they ask for %v", k)
	}
}
