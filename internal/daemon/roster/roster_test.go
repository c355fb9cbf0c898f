package roster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/routes"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/past"
	"github.com/andrestc/go-plugserver/internal/daemon/plan"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const patience = 10 * time.Second

func with(handlers ...*lifecycle.Handler) *Roster {
	r := New(store.History{}, Rules{Patience: patience})
	for i, h := range handlers {
		h.Tried = handlerdir.ID{Ino: uint64(i + 1)}
		r.Handlers[h.Name] = h
		r.Note(h)
	}
	r.Snapshot, r.Looks.applied = &handlerdir.Snapshot{Dir: handlerdir.ID{Ino: 1}}, 1
	return r
}

// serving serves the patterns, in a table in which its routes take some bytes.
func serving(name, patterns string) *lifecycle.Handler {
	return &lifecycle.Handler{Name: name, Standing: states.Serving, Past: past.Past{Record: store.Record{Seq: 1}}, Live: &states.Seat{Patterns: strings.Fields(patterns), Size: 10}}
}

func (r *Roster) saw(files ...handlerdir.File) *handlerdir.Snapshot {
	return &handlerdir.Snapshot{Dir: r.Snapshot.Dir, Files: files}
}

// proved wants other patterns than it serves, if it serves any.
func proved(h *lifecycle.Handler, patterns string) *lifecycle.Handler {
	h.Next = &states.Seat{Phase: states.Proved, Patterns: strings.Fields(patterns), ProvedAt: begin}
	h.Wanting = begin
	return h
}

func leaving(h *lifecycle.Handler) *lifecycle.Handler {
	h.Presence, h.LeavingSince = states.Leaving, begin
	return h
}

func refusedFor(name, patterns string) *lifecycle.Handler {
	return &lifecycle.Handler{Name: name, Refusal: &states.Refusal{Error: &refusal.Error{Reason: "why"}, Retry: states.WhenFree, Patterns: strings.Fields(patterns)}}
}

func fresh(name string) *lifecycle.Handler { return &lifecycle.Handler{Name: name} }

func copying(h *lifecycle.Handler) *lifecycle.Handler {
	h.Admission = states.Copying
	return h
}

// told is what steps tell, sorted.
func told(steps []Step) string {
	var all []string
	for _, st := range steps {
		all = append(all, fmt.Sprintf("%s %s", st.Name, strings.TrimPrefix(fmt.Sprintf("%T", st.Event), "lifecycle.")))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// Who may have what another gives up is decided once nobody is under way for it, or
// it was waited for long enough.
func TestPassOn(t *testing.T) {
	for _, tt := range []struct {
		name  string
		r     *Roster
		after time.Duration
		leave string
		grant string
		deny  string
		ok    bool
	}{
		{"nothing", with(serving("a", "/a")), 0, "", "", "", false},
		{"nobody wants it", with(leaving(serving("a", "/a"))), 0, "a HeirsDecided", "", "", true},
		{"an heir is proved", with(leaving(serving("a", "/v")), proved(fresh("b"), "/v")), 0, "a HeirsDecided", "b", "", true},
		{"an heir is being tried", with(leaving(serving("a", "/v")), copying(fresh("b"))), patience, "", "", "", false},
		{"and that for too long", with(leaving(serving("a", "/v")), copying(fresh("b"))), patience + 1, "a HeirsDecided", "", "", true},
		{"one who waits for too long claims by itself", with(serving("a", "/v"), proved(fresh("b"), "/w"), copying(fresh("c"))), patience + 1, "", "", "", true},
		{"two want it", with(leaving(serving("a", "/v")), proved(fresh("b"), "/v"), proved(fresh("c"), "/v")), 0, "a HeirsDecided", "b", "c Denied", true},
		{"it is not given up", with(serving("a", "/v"), proved(fresh("b"), "/v")), 0, "", "", "b Denied", true},
		{"two change places", with(proved(serving("a", "/v"), "/w"), proved(serving("b", "/w"), "/v")), 0, "", "a b", "", true},
	} {
		p, ok := tt.r.PassOn(begin.Add(tt.after))
		var granted []string
		for _, c := range p.Grant {
			granted = append(granted, c.Handler.Name)
			if c.Handler.Next != c.Seat {
				t.Errorf("%s: %s is granted for another seat", tt.name, c.Handler.Name)
			}
		}
		slices.Sort(granted)
		if got := strings.Join(granted, " "); told(p.Leave) != tt.leave || got != tt.grant || told(p.Deny) != tt.deny || ok != tt.ok {
			t.Errorf("%s: leave %q, grant %q, deny %q, %v", tt.name, told(p.Leave), got, told(p.Deny), ok)
		}
	}
	r := with(leaving(serving("a", "/v")))
	r.Snapshot = nil
	if _, ok := r.PassOn(begin); ok {
		t.Error("it is decided before the directory was looked at")
	}
}

// Those who were refused are tried again where that may help.
func TestHeirs(t *testing.T) {
	big := refusedFor("b", "/v")
	big.Refusal.Size = link.MaxRoutes
	for _, tt := range []struct {
		name string
		r    *Roster
		want string
	}{
		{"it is another's", with(serving("a", "/v"), refusedFor("b", "/v")), ""},
		{"it is given up", with(leaving(serving("a", "/v")), refusedFor("b", "/v")), "b TryAgain"},
		{"its next version does without", with(proved(serving("a", "/v /w"), "/w"), refusedFor("b", "/v")), "b TryAgain"},
		{"a part is kept", with(proved(serving("a", "/v /w"), "/w"), refusedFor("b", "/v /w")), ""},
		{"it is being tried already", with(leaving(serving("a", "/v")), copying(refusedFor("b", "/v"))), ""},
		{"it was refused for something else", with(&lifecycle.Handler{Name: "b", Refusal: &states.Refusal{}}), ""},
		{"there is no room", with(serving("a", "/a"), big), ""},
	} {
		if got := told(tt.r.Heirs()); got != tt.want {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}

// A version that is proved has to wait where it gives up what another may want, but
// not for ever.
func TestGivesUp(t *testing.T) {
	for _, tt := range []struct {
		name  string
		h     *lifecycle.Handler
		after time.Duration
		want  bool
	}{
		{"the first", proved(fresh("a"), "/v"), 0, false},
		{"with all that it had", proved(serving("a", "/v"), "/v /w"), 0, false},
		{"without", proved(serving("a", "/v /w"), "/v"), 0, true},
		{"for too long", proved(serving("a", "/v /w"), "/v"), patience + 1, false},
	} {
		if got := with(tt.h).GivesUp(tt.h, begin.Add(tt.after)); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// The incumbent keeps what it has; after a start the senior does.
func TestDecide(t *testing.T) {
	later := func(r *Roster, name string, record store.Record) *Roster {
		r.Save(&lifecycle.Handler{Name: name, Past: past.Past{Record: record}})
		r.Snapshot.Files = append(r.Snapshot.Files, handlerdir.File{Name: name})
		return r
	}
	b := proved(fresh("b"), "/v")
	for _, tt := range []struct {
		name string
		r    *Roster
		want plan.Verdict
	}{
		{"nobody has it", with(b, serving("a", "/a")), plan.Granted},
		{"it is another's", with(b, serving("a", "/v")), plan.Denied},
		{"who leaves", with(b, leaving(serving("a", "/v"))), plan.Waits},
		{"a senior is not tried yet", later(with(b), "a", store.Record{Seq: 1, Patterns: []string{"/v"}}), plan.Waits},
		{"one that wants other patterns is not", later(with(b), "a", store.Record{Seq: 1, Patterns: []string{"/a"}}), plan.Granted},
	} {
		if got, _ := tt.r.Decide(b); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	// One that serves is granted what it has, and no more than is free.
	for patterns, want := range map[string]plan.Verdict{"/v": plan.Granted, "/v /w": plan.Granted, "/v /a": plan.Denied, "/x": plan.Granted, "/v /l": plan.Waits} {
		h := proved(serving("b", "/v /w"), patterns)
		if got, _ := with(h, serving("a", "/a"), leaving(serving("l", "/l"))).Decide(h); got != want {
			t.Errorf("%s: %v", patterns, got)
		}
	}
}

// A grant has the next seniority, and needs room.
func TestGrant(t *testing.T) {
	h := proved(fresh("b"), "/v")
	r := with(h, serving("a", "/a"))
	r.Save(&lifecycle.Handler{Name: "z", Past: past.Past{Record: store.Record{Seq: 7}}})
	h.Next.Size = link.MaxRoutes - 10
	if e, ok := r.Grant(h).(lifecycle.Granted); !ok || e.Seq != 8 || e.Seat != h.Next {
		t.Errorf("got %+v", r.Grant(h))
	}
	h.Next.Size++
	if e, ok := r.Grant(h).(lifecycle.Denied); !ok || e.Refusal == nil {
		t.Errorf("got %+v", r.Grant(h))
	}
}

// What a look has seen becomes steps; who has no file in another directory stays,
// until a look that an operator asks for.
func TestLook(t *testing.T) {
	file := func(name string, ino uint64) handlerdir.File {
		return handlerdir.File{Name: name, Path: "/h/" + name + ".so", Settled: true, ID: handlerdir.ID{Ino: ino}}
	}
	refused := file("a", 9)
	refused.Refusal = &refusal.Error{Reason: "why"}
	library := refused
	library.Name, library.Library = "lib", true
	for _, tt := range []struct {
		name     string
		h        *lifecycle.Handler
		files    []handlerdir.File
		replaced bool
		accept   bool
		orphans  string
		want     string
	}{
		{"nothing new", serving("a", "/a"), []handlerdir.File{file("a", 1)}, false, false, "", ""},
		{"a new one", serving("a", "/a"), []handlerdir.File{file("a", 1), file("b", 2)}, false, false, "", "b FileSettled"},
		{"another file", serving("a", "/a"), []handlerdir.File{file("a", 2)}, false, false, "", "a FileSettled"},
		{"a refused one", serving("a", "/a"), []handlerdir.File{refused}, false, false, "", "a FileRefused"},
		{"a library", serving("a", "/a"), []handlerdir.File{file("a", 1), library}, false, false, "", ""},
		{"there again", leaving(serving("a", "/a")), []handlerdir.File{file("a", 1)}, false, false, "", "a FileSeen"},
		{"removed", serving("a", "/a"), nil, false, false, "", "a FileGone"},
		{"another directory", serving("a", "/a"), nil, true, false, "a", ""},
		{"and that is meant", serving("a", "/a"), nil, true, true, "", "a FileGone"},
		{"another directory, nothing served", fresh("a"), nil, true, false, "", "a FileGone"},
		{"another directory with it", serving("a", "/a"), []handlerdir.File{file("a", 1)}, true, false, "", ""},
	} {
		r := with(tt.h)
		snap := &handlerdir.Snapshot{Dir: r.Snapshot.Dir, Files: tt.files}
		if tt.replaced {
			snap.Dir.Ino++
		}
		look := uint64(2)
		if r.Looks.begun = 1; tt.accept {
			look = r.Looks.Accept()
		}
		steps, orphans := r.See(look, snap)
		for _, st := range steps {
			r.Handlers[st.Name].Handle(lifecycle.Now{Time: begin}, st.Event)
			r.Note(r.Handlers[st.Name])
		}
		if got := strings.Join(orphans, " "); got != tt.orphans || strings.Join(r.Orphans(), " ") != tt.orphans {
			t.Errorf("%s: orphaned are %q, %q", tt.name, got, r.Orphans())
		}
		if got := told(r.Compare(func(string) uint64 { return 0 })); got != tt.want {
			t.Errorf("%s: %q", tt.name, got)
		}
		for _, f := range tt.files {
			if r.File(f.Name).ID != f.ID {
				t.Errorf("%s: the file of %s is %+v", tt.name, f.Name, r.File(f.Name))
			}
		}
	}
}

// There is one look at a time, and whoever asks during one gets another: at all where that was asked for,
// and after one that was in vain.
func TestLooks(t *testing.T) {
	var l Looks
	first, whole, ok := l.Begin(false)
	if !ok || whole || l.quiet() || l.Reached(first) {
		t.Errorf("the first: %+v", l)
	}
	want := l.Accept()
	if _, _, ok := l.Begin(true); ok || want != first+1 {
		t.Errorf("two at a time: %+v", l)
	}
	l.Ended(first, true, false)
	if !l.Again() || !l.Reached(first) || l.Reached(want) {
		t.Errorf("after the first: %+v", l)
	}
	if second, whole, ok := l.Begin(false); !ok || !whole || second != want || l.Again() {
		t.Errorf("the second: %+v", l)
	}
	if l.Ended(want, false, true); l.quiet() || l.UnderWay() {
		t.Errorf("it asks for another: %+v", l)
	}
	third, whole, _ := l.Begin(false)
	if l.Ended(third, true, false); !l.quiet() || !whole {
		t.Errorf("all was seen: %+v", l)
	}
	if _, whole, _ := l.Begin(false); whole {
		t.Errorf("after all was seen: %+v", l)
	}
}

// What is under way for a handler is known by its name.
func TestConcluded(t *testing.T) {
	file := handlerdir.File{Name: "a", Settled: true, ID: handlerdir.ID{Ino: 1}}
	writing, changed := file, file
	writing.Settled, changed.ID.Ino = false, 2
	for _, tt := range []struct {
		name string
		h    *lifecycle.Handler
		file handlerdir.File
		want bool
	}{
		{"tried", serving("a", "/a"), file, true},
		{"changed", serving("a", "/a"), changed, false},
		{"being written", serving("a", "/a"), writing, false},
		{"being copied", copying(serving("a", "/a")), file, false},
		{"waiting for its patterns", proved(serving("a", "/a"), "/b"), file, false},
		{"leaving", leaving(serving("a", "/a")), file, false},
		{"not begun", fresh("b"), file, false},
	} {
		r := with(tt.h)
		r.Snapshot = r.saw(tt.file)
		if got := r.Concluded("a"); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// What may be served now or later is needed, and what was forgotten is not.
func TestNeeded(t *testing.T) {
	h := proved(serving("a", "/a"), "/a")
	h.Live.Version.Sum, h.Next.Version.Sum = "1", "2"
	r := with(h)
	r.History["a"] = store.Record{Versions: []store.Served{{Sum: "0"}, {Sum: "1"}}}
	all := map[string]bool{"0": true, "1": true, "2": true, "3": true}
	left := maps.Clone(all)
	if r.Needed(left); len(left) != 1 || !left["3"] {
		t.Errorf("unneeded are %v", left)
	}
	if left, changed := r.Forget(h); left != nil || !changed || r.Has(h) {
		t.Error("it is not forgotten")
	}
	left = maps.Clone(all)
	if r.Needed(left); len(left) != len(all) {
		t.Errorf("unneeded are %v", left)
	}
}

// A history of patterns that another router took is no obstacle, in whatever order it is read.
func TestHistoryOfAnotherDialect(t *testing.T) {
	for range 20 {
		past := store.History{"a": {Seq: 1, Patterns: []string{"/*x/y", "/a"}}}
		for i := range 5 {
			past[fmt.Sprint(i)] = store.Record{Seq: 1, Patterns: []string{fmt.Sprint("/", i)}}
		}
		r := New(past, Rules{Dialect: routes.Chi})
		if got := r.beside([]string{"/a"}); !slices.Equal(got, []string{"a"}) || len(past["a"].Patterns) != 1 {
			t.Fatalf("those with /a are %q, of %+v", got, past)
		}
	}
}

// How far signed versions of a name have come outlives the handler: its file is removed, and an older one put there.
func TestNewestOutlivesItsHandler(t *testing.T) {
	mark := store.Mark{Version: "3"}
	r := with(serving("a", "/a"))
	r.History["a"] = store.Record{Seq: 1, Newest: mark, Versions: []store.Served{{Sum: "0"}}}
	left, changed := r.Forget(r.Handlers["a"])
	if !changed || left == nil || left.Newest != mark || left.Seq != 0 || left.Versions != nil || r.History["a"].Newest != mark {
		t.Errorf("left is %+v, in the history %+v", left, r.History["a"])
	}
	if len(r.Lost()) > 0 || !r.Ignores(handlerdir.File{Name: "a", Library: true}) {
		t.Error("it is taken for one that may serve")
	}
	if h := r.Handler("a", time.Now()); h.Record.Newest != mark {
		t.Errorf("the next of that name has %+v", h.Record)
	}
}

// Who decides on one claim among many looks at those alone that it concerns.
func TestDecideLooksAtFew(t *testing.T) {
	var all []*lifecycle.Handler
	for i := range 1000 {
		all = append(all, serving(fmt.Sprint("h", i), fmt.Sprintf("/h%d", i)))
	}
	b := proved(fresh("b"), "/h7")
	r := with(append(all, b)...)
	if got, _ := r.Decide(b); got != plan.Denied {
		t.Errorf("got %v", got)
	}
	if n := testing.AllocsPerRun(10, func() { r.Decide(b); r.Quiet(); r.Heirs(); r.Grant(b) }); n > 200 {
		t.Errorf("%v allocations", n)
	}
}
