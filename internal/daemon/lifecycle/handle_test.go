package lifecycle

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/past"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

var update = flag.Bool("update", false, "write testdata/transitions.txt")

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// trial is a handler under test, with a clock of its own.
type trial struct {
	*Handler
	time  time.Time
	wakes []Wake
}

func newTrial(record store.Record) *trial {
	return &trial{Handler: New("a", record, false, testRules, begin), time: begin}
}

var testRules = Rules{Dir: "/handlers", CrashLimit: 3, CrashWindow: time.Minute}

// canary has the trial be of a canary.
func (t *trial) canary() { t.Handler = New("a.canary", store.Record{}, false, testRules, begin) }

// promoted has the version of a canary take over.
func (t *trial) promoted(v string) {
	t.on(Promote{version(v)})
	t.ready()
}

func (t *trial) on(e Event) []Action {
	t.time = t.time.Add(time.Millisecond)
	actions := t.Handle(Now{Time: t.time}, e)
	for _, a := range actions {
		if w, ok := a.(Wake); ok {
			t.wakes = append(t.wakes, w)
		}
	}
	return actions
}

// due is the newest event of its kind that was asked for.
func due[E Event](t *trial) Event {
	for i := len(t.wakes) - 1; i >= 0; i-- {
		if e, ok := t.wakes[i].Event.(E); ok {
			return e
		}
	}
	return *new(E)
}

func version(name string) store.Version {
	return store.Version{Sum: strings.Repeat(name, 64/len(name))}
}

func file(n uint64) FileSettled { return FileSettled{"a.so", handlerdir.ID{Ino: n, Size: 1}} }

func admitted(n uint64, v string) Admitted {
	return Admitted{Version: version(v), Content: past.Content{Sum: version(v).Sum, Ino: n}}
}

// live makes a version of the file live.
func (t *trial) live(n uint64, v string) {
	t.on(file(n))
	t.on(admitted(n, v))
	t.ready()
}

func (t *trial) die() { t.on(Died{Seat: t.Live, How: "it died"}) }

// backTo has what is live crash too often, and an earlier version take over.
func (t *trial) backTo(v string) {
	for range 2 {
		t.die()
		t.again()
	}
	t.die()
	t.on(Recalled{t.Next, version(v)})
	t.ready()
}

// ready has what is being started take over.
func (t *trial) ready() {
	t.on(IsReady{Seat: t.Next, Patterns: []string{"/a"}})
	t.on(Granted{t.Next, 1})
}

func (t *trial) again() {
	t.on(due[RestartDue](t))
	t.ready()
}

var why = &refusal.Error{Reason: "why"}

// everyState is all that a handler may stand in, each by the events that lead there.
var everyState = []struct {
	name string
	past store.Record
	lead func(t *trial)
}{
	{"new", store.Record{}, func(t *trial) {}},
	{"copying", store.Record{}, func(t *trial) { t.on(file(1)) }},
	{"building", store.Record{}, func(t *trial) { t.on(file(1)); t.on(Delayed{"compiling"}) }},
	{"starting", store.Record{}, func(t *trial) { t.on(file(1)); t.on(admitted(1, "1")) }},
	{"proved", store.Record{}, func(t *trial) {
		t.on(file(1))
		t.on(admitted(1, "1"))
		t.on(IsReady{Seat: t.Next, Patterns: []string{"/a"}})
	}},
	{"refused", store.Record{}, func(t *trial) { t.on(file(1)); t.on(Admitted{Refusal: why}) }},
	{"refused in the directory", store.Record{}, func(t *trial) { t.on(FileRefused{"a.so", handlerdir.ID{Ino: 1}, why}) }},
	{"refused, to be tried soon", store.Record{}, func(t *trial) { t.on(file(1)); t.on(Admitted{Refusal: why, Retry: states.Soon}) }},
	{"refused for want of a cell", store.Record{}, func(t *trial) { t.on(file(1)); t.on(Admitted{Refusal: why, Retry: states.WithCells}) }},
	{"refused for its patterns", store.Record{}, func(t *trial) {
		t.on(file(1))
		t.on(admitted(1, "1"))
		t.on(IsReady{Seat: t.Next, Patterns: []string{"/a"}})
		t.on(Denied{t.Next, why})
	}},
	{"recalling after a start", store.Record{Seq: 1, Serves: version("0").Sum, Versions: []store.Served{{Sum: version("0").Sum}}}, func(t *trial) {
		t.on(FallBack{})
	}},
	{"live", store.Record{}, func(t *trial) { t.live(1, "1") }},
	{"live, the next copying", store.Record{}, func(t *trial) { t.live(1, "1"); t.on(file(2)) }},
	{"live, the next building", store.Record{}, func(t *trial) { t.live(1, "1"); t.on(file(2)); t.on(Delayed{"compiling"}) }},
	{"live, the next starting", store.Record{}, func(t *trial) { t.live(1, "1"); t.on(file(2)); t.on(admitted(2, "2")) }},
	{"live, the next proved", store.Record{}, func(t *trial) {
		t.live(1, "1")
		t.on(file(2))
		t.on(admitted(2, "2"))
		t.on(IsReady{Seat: t.Next, Patterns: []string{"/a"}})
	}},
	{"live, the newest refused", store.Record{}, func(t *trial) { t.live(1, "1"); t.on(file(2)); t.on(Admitted{Refusal: why}) }},
	{"live, renewed", store.Record{}, func(t *trial) { t.live(1, "1"); t.on(Renew{}) }},
	{"live, rolled back by hand, starting", store.Record{}, func(t *trial) { t.live(1, "1"); t.live(2, "2"); t.on(RollBack{version("1")}) }},
	{"rolled back by hand", store.Record{}, func(t *trial) {
		t.live(1, "1")
		t.live(2, "2")
		t.on(RollBack{version("1")})
		t.ready()
		t.on(Hold{version("2").Sum})
	}},
	{"missed", store.Record{}, func(t *trial) { t.live(1, "1"); t.on(FileSeen{Missed: true}) }},
	{"orphaned", store.Record{}, func(t *trial) { t.live(1, "1"); t.on(FileOrphaned{}) }},
	{"leaving", store.Record{}, func(t *trial) { t.live(1, "1"); t.on(FileGone{}) }},
	{"leaving, dead", store.Record{}, func(t *trial) { t.live(1, "1"); t.on(FileGone{}); t.die() }},
	{"dead, in a pause", store.Record{}, func(t *trial) { t.live(1, "1"); t.die() }},
	{"dead, started again", store.Record{}, func(t *trial) { t.live(1, "1"); t.die(); t.on(due[RestartDue](t)) }},
	{"dead, proved again", store.Record{}, func(t *trial) {
		t.live(1, "1")
		t.die()
		t.on(due[RestartDue](t))
		t.on(IsReady{Seat: t.Next, Patterns: []string{"/a"}})
	}},
	{"dead, the next copying", store.Record{}, func(t *trial) { t.live(1, "1"); t.on(file(2)); t.die() }},
	{"dead, the next starting", store.Record{}, func(t *trial) { t.live(1, "1"); t.die(); t.on(file(2)); t.on(admitted(2, "2")) }},
	{"died twice", store.Record{}, func(t *trial) { t.live(1, "1"); t.die(); t.again(); t.die(); t.again() }},
	{"recalling an earlier one", store.Record{}, func(t *trial) {
		t.live(1, "1")
		t.live(2, "2")
		t.die()
		t.again()
		t.die()
		t.again()
		t.die()
	}},
	{"rolled back", store.Record{}, func(t *trial) {
		t.live(1, "1")
		t.live(2, "2")
		t.backTo("1")
	}},
	{"quarantined", store.Record{}, func(t *trial) {
		t.live(1, "1")
		t.die()
		t.again()
		t.die()
		t.again()
		t.die()
	}},
	{"live, its canary to be promoted", store.Record{}, func(t *trial) { t.live(1, "1"); t.on(Promote{version("2")}) }},
	{"live, its canary to be promoted, proved", store.Record{}, func(t *trial) {
		t.live(1, "1")
		t.on(Promote{version("2")})
		t.on(IsReady{Seat: t.Next, Patterns: []string{"/a"}})
	}},
	{"its canary promoted", store.Record{}, func(t *trial) { t.live(1, "1"); t.promoted("2") }},
	{"its canary promoted, and dead", store.Record{}, func(t *trial) { t.live(1, "1"); t.promoted("2"); t.die() }},
	{"after a start, its canary was promoted", store.Record{Seq: 1, Serves: version("2").Sum, Superseded: version("1").Sum, Versions: []store.Served{{Sum: version("2").Sum}}}, func(t *trial) {
		t.Handler = New("a", t.Record, true, testRules, begin)
		t.on(file(1))
		t.on(admitted(1, "1"))
	}},
	{"a canary, proved", store.Record{}, func(t *trial) {
		t.canary()
		t.on(file(1))
		t.on(admitted(1, "1"))
		t.on(IsReady{Seat: t.Next, Patterns: []string{"/a"}})
	}},
	{"a canary without an incumbent", store.Record{}, func(t *trial) {
		t.canary()
		t.on(file(1))
		t.on(admitted(1, "1"))
		t.on(IsReady{Seat: t.Next, Patterns: []string{"/a"}})
		t.on(Denied{t.Next, why})
	}},
	{"a canary", store.Record{}, func(t *trial) { t.canary(); t.live(1, "1") }},
	{"a canary, the next starting", store.Record{}, func(t *trial) { t.canary(); t.live(1, "1"); t.on(file(2)); t.on(admitted(2, "2")) }},
	{"a canary, renewed", store.Record{}, func(t *trial) { t.canary(); t.live(1, "1"); t.on(Renew{}) }},
	{"a canary, in a pause", store.Record{}, func(t *trial) { t.canary(); t.live(1, "1"); t.on(Died{Seat: t.Live, How: "it died", Cut: true}) }},
	{"a canary, withdrawn", store.Record{}, func(t *trial) { t.canary(); t.live(1, "1"); t.on(Judged{canary.Verdict{Why: "it fails"}}) }},
	{"a canary, withdrawn in a pause", store.Record{}, func(t *trial) {
		t.canary()
		t.live(1, "1")
		t.on(Died{Seat: t.Live, How: "it died", Cut: true})
		t.on(Judged{canary.Verdict{Why: "it fails"}})
	}},
	{"a canary, promoted", store.Record{}, func(t *trial) { t.canary(); t.live(1, "1"); t.on(Judged{canary.Verdict{Promoted: true}}) }},
}

// events are all that may happen in any of them.
var events = []struct {
	name string
	make func(t *trial) Event
}{
	{"FileSettled", func(t *trial) Event { return file(9) }},
	{"FileRefused", func(t *trial) Event {
		return FileRefused{"a.so", handlerdir.ID{Ino: 9}, &refusal.Error{Reason: "other"}}
	}},
	{"FileRefused, as before", func(t *trial) Event { return FileRefused{"a.so", t.Tried, why} }},
	{"FileSeen", func(t *trial) Event { return FileSeen{} }},
	{"FileSeen, missed", func(t *trial) Event { return FileSeen{Missed: true} }},
	{"FileGone", func(t *trial) Event { return FileGone{} }},
	{"FileOrphaned", func(t *trial) Event { return FileOrphaned{} }},
	{"TryAgain", func(t *trial) Event { return TryAgain{} }},
	{"FallBack", func(t *trial) Event { return FallBack{} }},
	{"Delayed", func(t *trial) Event { return Delayed{"building"} }},
	{"Admitted, another version", func(t *trial) Event { return admitted(9, "9") }},
	{"Admitted, the one that serves", func(t *trial) Event {
		if t.Live == nil {
			return admitted(9, "8")
		}
		return Admitted{Version: t.Live.Version, Content: past.Content{Sum: t.Live.Version.Sum, Ino: 9}}
	}},
	{"Admitted, touched alone", func(t *trial) Event {
		return Admitted{Version: store.Version{Sum: t.Content.Sum}, Content: t.Content}
	}},
	{"Admitted, changed", func(t *trial) Event { return Admitted{Changed: true} }},
	{"Admitted, refused", func(t *trial) Event { return Admitted{Refusal: &refusal.Error{Reason: "other"}} }},
	{"Recalled, found", func(t *trial) Event { return Recalled{t.seat(), version("0")} }},
	{"Recalled, lost", func(t *trial) Event { return Recalled{t.seat(), store.Version{}} }},
	{"IsReady", func(t *trial) Event { return IsReady{Seat: t.seat(), Patterns: []string{"/b"}} }},
	{"Granted", func(t *trial) Event { return Granted{t.seat(), 7} }},
	{"Denied", func(t *trial) Event { return Denied{t.seat(), &refusal.Error{Reason: "taken"}} }},
	{"Failed", func(t *trial) Event { return Failed{t.seat(), &refusal.Error{Reason: "no"}, states.OnChange} }},
	{"Failed, passing", func(t *trial) Event { return Failed{t.seat(), &refusal.Error{Reason: "no"}, states.Soon} }},
	{"Failed, no cell", func(t *trial) Event { return Failed{t.seat(), &refusal.Error{Reason: "no"}, states.WithCells} }},
	{"Failed, not trusted", func(t *trial) Event { return Failed{t.seat(), &refusal.Error{Reason: "no"}, states.WithTrust} }},
	{"Failed, of a seat of before", func(t *trial) Event { return Failed{&states.Seat{}, why, states.OnChange} }},
	{"Died", func(t *trial) Event { return Died{Seat: t.Live, How: "it died"} }},
	{"Died, cut off", func(t *trial) Event { return Died{Seat: t.Live, How: "it died", Cut: true} }},
	{"Died, shared", func(t *trial) Event { return Died{Seat: t.Live, How: "it died", Shared: true} }},
	{"Died, of a seat of before", func(t *trial) Event { return Died{Seat: &states.Seat{}} }},
	{"Gathered", func(t *trial) Event { return Gathered{&states.Seat{Why: states.Again}} }},
	{"Renew", func(t *trial) Event { return Renew{} }},
	{"RestartDue", func(t *trial) Event { return due[RestartDue](t) }},
	{"RetryDue", func(t *trial) Event { return due[RetryDue](t) }},
	{"HeirsDecided", func(t *trial) Event { return HeirsDecided{} }},
	{"RollBack", func(t *trial) Event { return RollBack{version("0")} }},
	{"Hold", func(t *trial) Event { return Hold{version("9").Sum} }},
	{"Release", func(t *trial) Event { return Release{} }},
	{"Stop", func(t *trial) Event { return Stop{} }},
	{"Promote", func(t *trial) Event { return Promote{version("9")} }},
	{"Judged, withdrawn", func(t *trial) Event { return Judged{canary.Verdict{Why: "it fails"}} }},
	{"Judged, withdrawn by hand", func(t *trial) Event { return Judged{canary.Verdict{Why: "somebody says so", ByHand: true}} }},
	{"Judged, promoted", func(t *trial) Event { return Judged{canary.Verdict{Promoted: true}} }},
	{"Stranded", func(t *trial) Event { return Stranded{} }},
	{"Agreed", func(t *trial) Event { return Agreed{} }},
}

// seat is the one that an event is about: the next, or one of before.
func (t *trial) seat() *states.Seat {
	if t.Next != nil {
		return t.Next
	}
	return &states.Seat{}
}

// stands is how a handler stands, in a line.
func (t *trial) stands() string {
	b := []string{
		[]string{"no routes", "serving", "dead", "quarantined"}[t.Standing],
		[]string{"", "missed", "orphaned", "leaving"}[t.Presence],
		[]string{"", "copying", "building"}[t.Admission],
	}
	if t.Live != nil && t.Live.Version.Sum != "" {
		b[0] += " " + t.Live.Version.Sum[:1]
	}
	if t.RolledBack {
		b = append(b, "rolled back")
	}
	if n := t.Next; n != nil {
		sum := ""
		if n.Version.Sum != "" {
			sum = " " + n.Version.Sum[:1]
		}
		b = append(b, []string{"recalling", "starting", "proved"}[n.Phase]+sum+" "+[]string{"as the newest", "again", "back", "by hand", "promoted"}[n.Why])
	}
	if t.restarts.Pausing() {
		b = append(b, "in a pause")
	}
	if r := t.Refusal; r != nil {
		text := "refused, to be tried " + []string{"when it changes", "soon", "with other cells", "when free", "with other settings", "when trusted", "with another incumbent"}[r.Retry]
		switch {
		case r.Held:
			text = "held"
		case r.Promoted:
			text = "promoted beside " + r.Of[:1]
		case r.Of != "":
			text = "given up " + r.Of[:1]
		}
		if r.Patterns != nil && r.Retry != states.WhenFree {
			text += " or when free"
		}
		b = append(b, text)
	}
	if t.Tried == (handlerdir.ID{}) {
		b = append(b, "to be tried")
	}
	kept := b[:0]
	for _, s := range b {
		if s != "" {
			kept = append(kept, s)
		}
	}
	return strings.Join(kept, ", ")
}

// does names actions.
func does(actions []Action) string {
	var names []string
	for _, a := range actions {
		name := strings.TrimPrefix(fmt.Sprintf("%T", a), "lifecycle.")
		switch a := a.(type) {
		case Publish:
			name += []string{"(live)", "(live again)", "(rolled back)", "(gathered)", "(retired)"}[a.What]
		case Tell:
			name += []string{"(refused)", "(held)", "(quarantined)", "(not restarted)", "(not served)", "(gone)", "(doing)", "(withdrawn)", "(withdrawn by hand)", "(promoted)", "(superseded)"}[a.What]
		case Wake:
			name += fmt.Sprintf("(%v, %s)", a.After, strings.TrimPrefix(fmt.Sprintf("%T", a.Event), "lifecycle."))
		case Recall:
			name += "("
			for _, sum := range a.Sums {
				name += sum[:1]
			}
			name += ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// Every event in every state leads where testdata/transitions.txt says. With
// -update it is written anew: read what has changed in it.
func TestTransitions(t *testing.T) {
	const golden = "testdata/transitions.txt"
	var b strings.Builder
	b.WriteString("# What every event does in every state: how the handler stands then, and the actions.\n# Written by go test -run TestTransitions -update ./internal/daemon/lifecycle\n")
	for _, st := range everyState {
		lead := func() *trial {
			tr := newTrial(st.past)
			st.lead(tr)
			return tr
		}
		fmt.Fprintf(&b, "\n%s: %s\n", st.name, lead().stands())
		var nothing []string
		for _, ev := range events {
			tr := lead()
			before := tr.stands()
			actions := tr.on(ev.make(tr))
			if len(actions) == 0 && tr.stands() == before {
				nothing = append(nothing, ev.name)
				continue
			}
			line := "  " + ev.name + " -> "
			if after := tr.stands(); after != before {
				line += after
			} else {
				line += "the same"
			}
			fmt.Fprintf(&b, "%s: %s\n", line, does(actions))
		}
		fmt.Fprintf(&b, "  nothing: %s\n", strings.Join(nothing, "; "))
	}
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(b.String(), "\n")
	for i, line := range strings.Split(string(want), "\n") {
		if i >= len(got) || got[i] != line {
			t.Fatalf("%s:%d:\nwant %s\ngot  %s", golden, i+1, line, got[min(i, len(got)-1)])
		}
	}
	if len(got) != strings.Count(string(want), "\n")+1 {
		t.Errorf("%s has too few lines", golden)
	}
}

// An operator's roll-back, and one for crashes, does not hide that a newer file is refused, nor that hide why an earlier version serves.
func TestRefusedFileBesideARollBack(t *testing.T) {
	for name, back := range map[string]func(tr *trial){
		"was rolled back by plugserverctl rollback": func(tr *trial) {
			from := tr.Live.Version.Sum
			tr.on(RollBack{version("1")})
			tr.ready()
			tr.on(Hold{from})
		},
		"crashed 3 times within 1m0s, last with it died": func(tr *trial) {
			tr.backTo("1")
		},
	} {
		tr := newTrial(store.Record{})
		tr.live(1, "1")
		tr.live(2, "2")
		tr.on(file(3))
		tr.on(Admitted{Refusal: why})
		back(tr)
		last := version("2").Short()
		if tr.Live.Version != version("1") || tr.Refusal == nil || tr.Refusal.Reason != why.Reason {
			t.Errorf("%s: serves %v, refused: %v", name, tr.Live.Version, tr.Refusal)
		}
		if got := tr.GaveWay(); got == nil || got.Reason != "version "+last+" "+name || got.Mend != "serve that version all the same: plugserverctl rollback a "+last {
			t.Errorf("%s: gave way: %v", name, got)
		}
		tr.on(RollBack{version("2")})
		tr.ready()
		tr.on(Hold{version("1").Sum})
		if tr.Refusal == nil || tr.Refusal.Reason != why.Reason || tr.GaveWay() != nil {
			t.Errorf("%s, and forth again: refused: %v, gave way: %v", name, tr.Refusal, tr.GaveWay())
		}
	}
}

// A version that is refused while a newer file is being admitted takes nothing from that.
func TestRefusedBehindANewerFile(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(tr *trial)
	}{
		{"it does not become ready", func(tr *trial) { tr.on(Failed{tr.Next, why, states.OnChange}) }},
		{"its patterns are taken", func(tr *trial) {
			tr.on(IsReady{Seat: tr.Next, Patterns: []string{"/a"}})
			tr.on(Denied{tr.Next, why})
		}},
	} {
		tr := newTrial(store.Record{})
		tr.live(1, "1")
		tr.on(file(2))
		tr.on(admitted(2, "2"))
		tr.on(file(3))
		c.end(tr)
		if tr.Admission != states.Copying || tr.Next != nil || tr.Refusal != nil {
			t.Errorf("%s: the newer one stands at %v, %+v, refused: %v", c.name, tr.Admission, tr.Next, tr.Refusal)
		}
		if tr.on(admitted(3, "3")); tr.Next == nil || tr.Next.Version != version("3") {
			t.Errorf("%s: the newer one is not tried", c.name)
		}
	}
}

// A canary that has died, could not be started again for want of something, and is withdrawn meanwhile, does not come
// back: neither with requests, nor to be withdrawn once more.
func TestCanaryWithdrawnInAPause(t *testing.T) {
	tr := newTrial(store.Record{})
	tr.canary()
	tr.live(1, "1")
	tr.on(Died{Seat: tr.Live, How: "it died", Cut: true})
	tr.on(due[RestartDue](tr))
	tr.on(Failed{tr.Next, why, states.Soon})
	tr.on(Judged{canary.Verdict{Why: "it fails"}})
	if actions := tr.on(due[RestartDue](tr)); len(actions) > 0 || tr.Next != nil {
		t.Fatalf("it is started again: %s", does(actions))
	}
	// Were it started all the same, its failure would be no verdict.
	tr.startAgain(states.Again)
	if actions := tr.on(Failed{tr.Next, why, states.OnChange}); strings.Contains(does(actions), "withdrawn") || tr.Live != nil {
		t.Errorf("it is withdrawn once more: %s", does(actions))
	}
}

// A version that was to take over, and was dropped for a file, is not the one that is started when what serves dies.
func TestDroppedTakeOver(t *testing.T) {
	for name, begin := range map[string]Event{"promoted": Promote{version("2")}, "by hand": RollBack{version("2")}} {
		for what, drop := range map[string]Event{"the same again": admitted(2, "1"), "a bad file": Admitted{Refusal: why}, "a good one": admitted(2, "3")} {
			tr := newTrial(store.Record{})
			tr.live(1, "1")
			tr.on(begin)
			tr.on(file(2))
			if tr.on(drop); tr.Next != nil {
				tr.on(Failed{tr.Next, why, states.OnChange})
			}
			tr.die()
			if tr.on(due[RestartDue](tr)); tr.Next == nil || tr.Next.Version != version("1") {
				t.Errorf("%s, and then %s: %+v is started", name, what, tr.Next)
			}
		}
	}
	// What dies while another is to take over is what is given up.
	tr := newTrial(store.Record{})
	tr.live(1, "1")
	tr.die()
	tr.again()
	tr.die()
	tr.again()
	tr.on(Promote{version("2")})
	if tr.die(); tr.IsBad(version("2").Sum) || !tr.IsBad(version("1").Sum) {
		t.Errorf("given up are %q", tr.Record.Bad)
	}
	if tr.on(Failed{tr.Next, why, states.OnChange}); tr.Standing != states.Quarantined || tr.restarts.Pausing() {
		t.Errorf("what was given up is %s", tr.stands())
	}
}

// An event that is unknown is a fault of the caller's, and not passed over.
func TestUnknownEvent(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it is passed over")
		}
	}()
	newTrial(store.Record{}).on(nil)
}

// After a restart of the daemon a version that was given up is refused for what the record tells of it, in a whole
// sentence also where that was written by a release that did not.
func TestGivenUpBefore(t *testing.T) {
	bad := version("1")
	for want, why := range map[string]map[string]string{
		"version 1 crashed 3 times, last with exit status 1":                                {bad.Sum: "version 1 crashed 3 times, last with exit status 1"},
		"version " + bad.Short() + " has crashed too often; why is in the log of that time": nil,
	} {
		tr := &trial{Handler: New("a", store.Record{Bad: []string{bad.Sum}, Why: why}, true, testRules, begin), time: begin}
		tr.on(file(1))
		tr.on(admitted(1, "1"))
		if tr.Refusal == nil || tr.Refusal.Reason != want || !strings.Contains(tr.Refusal.Mend, "plugserverctl release a") {
			t.Errorf("got %+v, want %q", tr.Refusal, want)
		}
	}
}

// How long a file's change took to be live is told where that change had it tried, and nothing else.
func TestChanged(t *testing.T) {
	changed := func(n uint64) FileSettled { return FileSettled{"a.so", handlerdir.ID{Ino: n, Ctime: int64(n)}} }
	tr := newTrial(store.Record{})
	for _, tt := range []struct {
		what  string
		event Event
		told  bool
	}{
		{"its first file", changed(1), true}, {"a newer one", changed(2), true}, {"that is tried again", TryAgain{}, false}, {"as it is", changed(2), false},
		{"another", changed(3), true}, {"that is released", Release{}, false}, {"as it is", changed(3), false}, {"one after it", changed(4), true},
	} {
		tr.on(tt.event)
		if got := tr.Changed(); got.IsZero() == tt.told || tt.told && got.UnixNano() != tr.Tried.Ctime {
			t.Errorf("%s: %v", tt.what, got)
		}
	}
	tr = newTrial(store.Record{})
	tr.Enabled()
	if tr.on(changed(1)); !tr.Changed().IsZero() {
		t.Errorf("enabled: %v", tr.Changed())
	}
	if tr.on(changed(2)); tr.Changed().IsZero() {
		t.Error("enabled, and another file: nothing")
	}
}
