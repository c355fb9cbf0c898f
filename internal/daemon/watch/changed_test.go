package watch

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

func (r *run) wantChanged(sure bool, want ...string) {
	r.t.Helper()
	names, got := r.Changed()
	slices.Sort(names)
	if got != sure || strings.Join(names, " ") != strings.Join(want, " ") {
		r.t.Errorf("changed are %q, sure %v; want %q, %v", names, got, want, sure)
	}
}

// Who follows a nudge learns what has changed, and once; and where that is not known, that
// it is not.
func TestChanged(t *testing.T) {
	bubble(t, newFake(nil), func(r *run) {
		r.wantChanged(false) // what was there before
		r.wantChanged(true)
		r.fake.events <- fsnotify.Event{Name: "/h/.new", Op: fsnotify.Rename}
		r.fake.events <- fsnotify.Event{Name: "/h/a.so", Op: fsnotify.Create}
		r.wantNudge(0)
		r.fake.events <- fsnotify.Event{Name: "/h/pack/deep/x.go", Op: fsnotify.Chmod}
		r.wantNudge(gap)
		r.wantChanged(true, ".new", "a.so", "pack")
		r.wantChanged(true)

		for _, doubt := range []func(){
			func() { r.fake.events <- fsnotify.Event{Name: "/h", Op: fsnotify.Chmod} },
			func() { r.fake.errors <- fsnotify.ErrEventOverflow },
			func() { r.fake.events <- fsnotify.Event{Name: "/h", Op: fsnotify.Remove} },
		} {
			doubt()
			<-r.C()
			r.wantChanged(false)
			r.wantChanged(true)
			time.Sleep(gap)
		}
		<-r.C() // the poll's
		r.wantChanged(false)
		r.reports = nil
	})
}

// So many that nobody wants to have them one by one are not kept.
func TestMostChanged(t *testing.T) {
	w := New("/h", poll, nil)
	for n := range 2 * maxChanged {
		w.count(fsnotify.Event{Name: "/h/" + strings.Repeat("x", n+1), Op: fsnotify.Create})
	}
	if len(w.changed) > maxChanged {
		t.Errorf("%d names are kept", len(w.changed))
	}
	if _, sure := w.Changed(); sure {
		t.Error("they pass for all")
	}
}
