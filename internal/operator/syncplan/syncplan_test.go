package syncplan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/file/synced"
)

// want is a handler whose file and signature have those digests.
func want(file, signature string) synced.Want {
	w := synced.Want{Manifest: "m" + file, File: synced.Blob{Digest: file, Size: 1}}
	if signature != "" {
		w.Signature = synced.Blob{Digest: signature, Size: 1}
	}
	return w
}

var now = time.Unix(1e9, 0)

// Each row is a handler, users: what is wanted of it, what was placed, what is there, and what follows.
func TestDecide(t *testing.T) {
	next := want("v2", "")
	placed := func(w synced.Want) *synced.Placed { return &synced.Placed{Want: w} }
	for _, tt := range []struct {
		name    string
		desired *synced.Want
		placed  *synced.Placed
		there   There
		change  func(*Input)
		want    string
	}{
		{name: "new", desired: &next, want: "place v2"},
		{name: "as it should be", desired: &next, placed: placed(next), there: There{File: "v2"}, want: "keep v2"},
		{name: "a newer", desired: &next, placed: placed(want("v1", "")), there: There{File: "v1"}, want: "place v2"},
		{name: "deleted by somebody", desired: &next, placed: placed(next), want: "place v2"},
		{name: "replaced by somebody", desired: &next, placed: placed(want("v1", "")), there: There{File: "x"}, want: "refuse: somebody else has put /h/users.so there"},
		{name: "somebody's", desired: &next, there: There{File: "x"}, want: "refuse: somebody else has put /h/users.so there"},
		{name: "somebody's, and never mind", desired: &next, there: There{File: "x"}, change: func(in *Input) { in.Replace = true }, want: "place v2"},
		{name: "somebody's, the same", desired: &next, there: There{File: "v2"}, want: "adopt v2"},
		{name: "somebody's, the same with a signature of theirs", desired: &next, there: There{File: "v2", Signature: "s"}, want: "refuse: somebody else"},
		{name: "another signature", desired: ptr(want("v2", "s2")), placed: placed(want("v2", "s1")), there: There{File: "v2", Signature: "s1"}, want: "place v2"},
		{name: "the signature was deleted", desired: ptr(want("v2", "s2")), placed: placed(want("v2", "s2")), there: There{File: "v2"}, want: "place v2"},
		{name: "interrupted after it was placed", desired: &next, placed: &synced.Placed{Want: want("v1", ""), Next: &next}, there: There{File: "v2"}, want: "keep v2"},
		{name: "interrupted, and wanted otherwise now", desired: ptr(want("v3", "")), placed: &synced.Placed{Want: want("v1", ""), Next: &next}, there: There{File: "v2"}, want: "place v3"},
		{name: "interrupted before it was placed first", desired: &next, placed: &synced.Placed{Next: &next}, want: "place v2"},
		{name: "source is there", desired: &next, there: There{Source: "/h/users.go"}, change: func(in *Input) { in.Replace = true }, want: "refuse: /h/users.go is in the handlers directory"},
		{name: "a folder of that name", desired: &next, there: There{Odd: true}, change: func(in *Input) { in.Replace = true }, want: "refuse: /h/users.so is there, and no regular file"},
		{name: "another entry's", desired: &next, there: There{File: "v2"}, change: func(in *Input) { in.Others = map[string]string{"users": "blog"}; in.Replace = true }, want: "refuse: the sync blog has placed"},
		{name: "for another platform", change: func(in *Input) { in.Lacking = []string{"users"} }, want: "refuse: nothing was pushed of it for linux/amd64"},
		{name: "for another platform now", placed: placed(next), there: There{File: "v2"}, change: func(in *Input) { in.Lacking = []string{"users"} }, want: "refuse: nothing was pushed"},
		{name: "wanted no more", placed: placed(next), there: There{File: "v2"}, want: "remove"},
		{name: "wanted no more, interrupted", placed: &synced.Placed{Want: want("v1", ""), Next: &next}, there: There{File: "v2"}, want: "remove"},
		{name: "wanted no more, and gone", placed: placed(next), want: "forget"},
		{name: "wanted no more, and somebody's by now", placed: placed(next), there: There{File: "x"}, want: "forget"},
		{name: "wanted no more, and somebody's from the first", placed: &synced.Placed{Want: next, Found: true}, there: There{File: "v2"}, want: "forget"},
		{name: "found there, and a newer", desired: &next, placed: &synced.Placed{Want: want("v1", ""), Found: true}, there: There{File: "v1"}, want: "place v2"},
		{name: "refused lately", desired: &next, change: refused("v2", time.Minute, true), want: "refuse: it crashed"},
		{name: "refused lately, and there all the same", desired: &next, placed: placed(next), there: There{File: "v2"}, change: refused("v2", time.Minute, true), want: "keep v2"},
		{name: "refused long ago", desired: &next, change: refused("v2", time.Hour, true), want: "place v2"},
		{name: "another was refused", desired: &next, change: refused("v1", time.Minute, true), want: "place v2"},
		{name: "refused before it was placed", desired: &next, change: refused("v2", time.Minute, false), want: "place v2"},
	} {
		in := Input{Dir: "/h", Platform: "linux/amd64", Now: now, Wait: time.Hour, There: map[string]There{"users": tt.there, "other": {File: "x"}}, Desired: map[string]synced.Want{}, Placed: map[string]synced.Placed{}}
		if tt.desired != nil {
			in.Desired["users"] = *tt.desired
		}
		if tt.placed != nil {
			in.Placed["users"] = *tt.placed
		}
		if tt.change != nil {
			tt.change(&in)
		}
		all := Decide(in)
		if len(all) != 1 || all[0].Handler != "users" || all[0].Was != tt.there.File {
			t.Errorf("%s: %+v", tt.name, all)
			continue
		}
		got := strings.TrimSpace(string(all[0].Kind) + " " + all[0].Want.File.Digest)
		if r := all[0].Refusal; r != nil {
			got = "refuse: " + r.Reason
			if r.Mend == "" {
				t.Errorf("%s: it has no fix", tt.name)
			}
		}
		if got != tt.want && !(strings.HasPrefix(tt.want, "refuse: ") && strings.HasPrefix(got, tt.want)) {
			t.Errorf("%s: %s, not %s", tt.name, got, tt.want)
		}
	}
}

func ptr(w synced.Want) *synced.Want { return &w }

func refused(file string, ago time.Duration, tried bool) func(*Input) {
	return func(in *Input) {
		in.Refused = map[string]synced.Refused{"users": {File: file, Reason: "it crashed", Mend: "mend it", Time: now.Add(-ago), Tried: tried}}
	}
}

// Several are decided by their names; what is there already, and signed anew, does not come again.
func TestSeveral(t *testing.T) {
	all := Decide(Input{
		Dir: "/h", Platform: "linux/amd64", Now: now, Lacking: []string{"arm"},
		Desired: map[string]synced.Want{"b": want("v1", "s1"), "a": want("v1", "s2"), "c": want("v3", ""), "d": want("v4", "s4")},
		Placed:  map[string]synced.Placed{"z": {Want: want("v9", "")}, "c": {Want: want("v3", "")}, "d": {Want: want("v4", "")}},
		There:   map[string]There{"z": {File: "v9"}, "c": {File: "v3"}, "d": {File: "v4"}, "mine": {File: "x"}},
	})
	var got, come []string
	for _, a := range all {
		got = append(got, fmt.Sprint(a.Handler, " ", a.Kind))
		if a.Comes() {
			come = append(come, a.Handler)
		}
	}
	if want := []string{"a place", "arm refuse", "b place", "c keep", "d place", "z remove"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := []string{"a", "b"}; !slices.Equal(come, want) {
		t.Errorf("to come are the files of %q, want %q", come, want)
	}
	if len(Refused(all)) != 1 || len(Changes(all)) != 4 {
		t.Errorf("%d are refused, %d are changes", len(Refused(all)), len(Changes(all)))
	}
}

// What is newer of a handler that serves begins as its canary, beside what is there; it takes its place once it serves.
func TestTrials(t *testing.T) {
	for _, tt := range []struct {
		name, serves string
		there        map[string]There
		pushed       bool // a canary
		want         string
		superseded   bool
		wants        string // v2 where it is not said
	}{
		{name: "newer", serves: "v1", there: map[string]There{"users": {File: "sha256:v1"}}, want: "users keep v1, users.canary place v2"},
		{name: "judged", serves: "v1", there: map[string]There{"users": {File: "sha256:v1"}, "users.canary": {File: "sha256:v2"}}, want: "users keep v1, users.canary adopt v2"},
		{name: "promoted", serves: "v2", there: map[string]There{"users": {File: "sha256:v1"}, "users.canary": {File: "sha256:v2"}}, want: "users place v2, users.canary remove "},
		{name: "in its place", serves: "v2", there: map[string]There{"users": {File: "sha256:v2"}}, want: "users keep v2, users.canary forget "},
		{name: "not there", serves: "v1", want: "users place v2, users.canary forget "},
		{name: "serves nothing", there: map[string]There{"users": {File: "sha256:v1"}}, want: "users place v2, users.canary forget "},
		{name: "somebody's", serves: "x", there: map[string]There{"users": {File: "sha256:x"}}, want: "users refuse , users.canary forget "},
		{name: "somebody's canary", serves: "v1", there: map[string]There{"users": {File: "sha256:v1"}, "users.canary": {File: "sha256:x"}}, want: "users keep v1, users.canary refuse "},
		{name: "back after that", serves: "v2", there: map[string]There{"users": {File: "sha256:v1"}, "users.canary": {File: "sha256:v2"}}, superseded: true, wants: "sha256:v1", want: "users place v1 anew, users.canary remove "},
		{name: "back long after that", serves: "v2", there: map[string]There{"users": {File: "sha256:v1"}}, superseded: true, wants: "sha256:v1", want: "users place v1 anew, users.canary forget "},
		{name: "newer after that", serves: "v2", there: map[string]There{"users": {File: "sha256:v1"}, "users.canary": {File: "sha256:v2"}}, superseded: true, wants: "sha256:v3", want: "users keep v1, users.canary place v3"},
		{name: "somebody's canary, promoted", serves: "x", there: map[string]There{"users": {File: "sha256:v1"}, "users.canary": {File: "sha256:x"}}, superseded: true, wants: "sha256:v1", want: "users refuse v1, users.canary forget "},
		{name: "pushed as one, and promoted", serves: "v3", there: map[string]There{"users": {File: "sha256:v1"}, "users.canary": {File: "sha256:v3"}}, pushed: true, superseded: true, wants: "sha256:v1", want: "users keep v1, users.canary adopt v3"},
		{name: "pushed as one", serves: "v1", there: map[string]There{"users": {File: "sha256:v1"}}, pushed: true, want: "users place v2, users.canary place v3"},
	} {
		in := Input{
			Dir: "/h", Now: now, There: tt.there, Desired: map[string]synced.Want{"users": want("sha256:v2", "")},
			Placed: map[string]synced.Placed{"users": {Want: want("sha256:v1", "")}, "users.canary": {}},
		}
		if tt.there["users"].File == "sha256:v2" {
			in.Placed["users"] = synced.Placed{Want: want("sha256:v2", "")}
		}
		if tt.serves == "v2" {
			in.Placed["users.canary"] = synced.Placed{Want: want("sha256:v2", "")}
		}
		if tt.pushed {
			in.Desired["users.canary"] = want("sha256:v3", "")
		}
		if tt.superseded {
			in.Superseded = map[string]string{"users": tt.serves}
		}
		if tt.wants != "" {
			in.Desired["users"] = want(tt.wants, "")
		}
		in = Trials(in, map[string]string{"users": tt.serves})
		var got []string
		for _, a := range Decide(in) {
			got = append(got, fmt.Sprint(a.Handler, " ", a.Kind, " ", a.Want.File.Version(), map[bool]string{true: " anew"}[a.Anew && a.Comes()]))
		}
		if got := strings.Join(got, ", "); got != tt.want {
			t.Errorf("%s: %s, not %s", tt.name, got, tt.want)
		}
	}
}

// In each slot it is tried once, wherever the slots begin.
func TestDue(t *testing.T) {
	at := func(seconds int64) time.Time { return time.Unix(1e9+seconds, 0) } // 1e9 is 100 s behind the beginning of 5 minutes
	for _, tt := range []struct {
		tried, now    time.Time
		every, offset time.Duration
		want          bool
	}{
		{at(0), at(1), 0, 0, true},
		{time.Time{}, at(1), time.Hour, 0, true},
		{at(9), at(1), time.Hour, 0, true}, // the clock was set back
		{at(0), at(200), 5 * time.Minute, 0, true},
		{at(0), at(199), 5 * time.Minute, 0, false},
		{at(0), at(199), 5 * time.Minute, time.Second, true},
		{at(0), at(1000), 5 * time.Minute, 0, true},
	} {
		if got := Due(tt.tried, tt.now, tt.every, tt.offset); got != tt.want {
			t.Errorf("%v, %v later, offset %v: %v", tt.every, tt.now.Sub(tt.tried), tt.offset, got)
		}
	}
}

// The name of a handler may be so long that its canary can have none: what is newer of it takes its place at once.
func TestTrialsOfLongName(t *testing.T) {
	for length, trial := range map[int]bool{93: true, 94: false, 100: false} {
		name := strings.Repeat("a", length)
		in := Trials(Input{
			Desired: map[string]synced.Want{name: want("sha256:v2", "")}, Placed: map[string]synced.Placed{name: {Want: want("sha256:v1", "")}},
			There: map[string]There{name: {File: "sha256:v1"}},
		}, map[string]string{name: "v1"})
		if _, got := in.Desired[name+".canary"]; got != trial {
			t.Errorf("a name of %d letters: it begins as a canary: %v", length, got)
		}
	}
}

// A canary's file that an operator has renamed is its handler's, and goes once nobody wants it.
func TestInherit(t *testing.T) {
	for file, then := range map[string]string{"v2": "users remove", "x": "users forget", "v1": "users remove"} {
		in := Input{
			Placed: map[string]synced.Placed{"users": {Want: want("v1", ""), Found: file == "v2"}, "users.canary": {Want: want("v2", "")}},
			There:  map[string]There{"users": {File: file}},
		}
		Inherit(in.Placed, in.There)
		if a := Decide(in)[0]; a.Handler+" "+string(a.Kind) != then {
			t.Errorf("%s is there: %s %s", file, a.Handler, a.Kind)
		}
	}
}
