package plan

import (
	"fmt"
	"github.com/andrestc/go-plugserver/internal/between/routes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

func id(n int64) handlerdir.ID { return handlerdir.ID{Ino: 1, Size: n} }

func TestNext(t *testing.T) {
	settled := func(name string, n int64) handlerdir.File {
		return handlerdir.File{Name: name, ID: id(n), Settled: true}
	}
	refused := handlerdir.File{Name: "a", ID: id(2), Refusal: &refusal.Error{Reason: "r"}}
	unsettled := handlerdir.File{Name: "a", ID: id(2)}
	for _, c := range []struct {
		name  string
		files []handlerdir.File
		have  []Handler
		want  Actions
	}{
		{"a new file", []handlerdir.File{settled("a", 1)}, nil, Actions{Admit: []handlerdir.File{settled("a", 1)}}},
		{"a tried file", []handlerdir.File{settled("a", 1)}, []Handler{{Name: "a", Tried: id(1)}}, Actions{}},
		{"a changed file", []handlerdir.File{settled("a", 2)}, []Handler{{Name: "a", Tried: id(1)}}, Actions{Admit: []handlerdir.File{settled("a", 2)}}},
		{"a file being written", []handlerdir.File{unsettled}, []Handler{{Name: "a", Tried: id(1)}}, Actions{}},
		{"a refused file", []handlerdir.File{refused}, []Handler{{Name: "a", Tried: id(1)}}, Actions{Refuse: []handlerdir.File{refused}}},
		{"a file refused before", []handlerdir.File{refused}, []Handler{{Name: "a", Tried: id(2), Unread: true}}, Actions{}},
		{"a file that can be read at last", []handlerdir.File{settled("a", 1)}, []Handler{{Name: "a", Tried: id(1), Unread: true}}, Actions{Admit: []handlerdir.File{settled("a", 1)}}},
		{"a file that is gone", []handlerdir.File{settled("b", 1)}, []Handler{{Name: "a", Tried: id(1)}, {Name: "b", Tried: id(1)}}, Actions{Remove: []string{"a"}}},
		{"a file that a directory has lost", nil, []Handler{{Name: "a", Tried: id(1), Orphan: true}}, Actions{}},
		{"nothing", nil, nil, Actions{}},
	} {
		if got := Next(&handlerdir.Snapshot{Files: c.files}, c.have); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestClaim(t *testing.T) {
	live := Claimant{Name: "old", Patterns: []string{"GET /a", "/b/{x}"}, Seniority: 1, Live: true}
	tried := live
	tried.Live = false
	newcomer := tried
	newcomer.Seniority = 0
	for _, c := range []struct {
		name    string
		claim   Claimant
		other   Claimant
		verdict Verdict
		reason  string
	}{
		{"free", Claimant{Name: "new", Patterns: []string{"/c"}}, live, Granted, ""},
		{"more specific", Claimant{Name: "new", Patterns: []string{"/b/c"}}, live, Granted, ""},
		{"taken", Claimant{Name: "new", Patterns: []string{"GET /a"}}, live, Denied, `pattern "GET /a" is taken by handler "old"`},
		{"conflict", Claimant{Name: "new", Patterns: []string{"/b/{y}"}}, live, Denied, `pattern "/b/{y}" conflicts with "/b/{x}" of handler "old"`},
		{"taken by a junior", Claimant{Name: "new", Patterns: []string{"GET /a"}, Seniority: -1}, live, Denied, "taken"},
		{"own", Claimant{Name: "old", Patterns: []string{"GET /a"}}, live, Granted, ""},
		{"a senior is being tried", Claimant{Name: "new", Patterns: []string{"GET /a"}}, tried, Waits, ""},
		{"a senior is being tried by a junior", Claimant{Name: "new", Patterns: []string{"GET /a"}, Seniority: 2}, tried, Waits, ""},
		{"a junior is being tried", Claimant{Name: "new", Patterns: []string{"GET /a"}, Seniority: 2}, Claimant{Name: "old", Patterns: []string{"GET /a"}, Seniority: 3}, Granted, ""},
		{"about to be given up", Claimant{Name: "new", Patterns: []string{"/x"}}, Claimant{Name: "old", Leaving: []string{"/x"}, Live: true}, Waits, ""},
		{"given up in part", Claimant{Name: "new", Patterns: []string{"/x", "GET /a"}}, Claimant{Name: "old", Patterns: []string{"GET /a"}, Leaving: []string{"/x"}, Live: true}, Denied, "taken"},
		{"a newcomer is being tried", Claimant{Name: "new", Patterns: []string{"GET /a"}}, newcomer, Granted, ""},
		{"a senior with other patterns is being tried", Claimant{Name: "new", Patterns: []string{"/c"}}, tried, Granted, ""},
	} {
		verdict, refused := Claim(routes.Std, c.claim, []Claimant{c.other})
		if verdict != c.verdict || (refused != nil) != (c.reason != "") || refused != nil && !strings.Contains(refused.Reason, c.reason) {
			t.Errorf("%s: %v, %v; want %v, %q", c.name, verdict, refused, c.verdict, c.reason)
		}
	}
}

// However many wildcards two handlers have, a claim takes milliseconds: ten
// seconds are what a busy machine may need, and a hundredth of all pairs.
func TestClaimOfMany(t *testing.T) {
	const n = 3000
	many := func(format string) (patterns []string) {
		for i := range n {
			patterns = append(patterns, fmt.Sprintf(format, i))
		}
		return patterns
	}
	for _, c := range []struct{ mine, theirs string }{
		{"/{x}/a%d", "/{x}/b%d"},
		{"/{x}/a%d/", "/{x}/b%d/"},
		{"/{x}/{y}/a%d", "/{x}/{y}/{z}/b%d"},
		{"GET /{x}/a%d", "POST /{y}/a%d"},
		{"a%d.example/{x...}", "b%d.example/{x...}"},
		{"/{x}/a%d/", "one.example/b%d/{x...}"},
		{"/a%d/{x...}", "/b%d/{x...}"},
	} {
		mine := Claimant{Name: "mine", Patterns: many(c.mine)}
		began := time.Now()
		verdict, refused := Claim(routes.Std, mine, []Claimant{{Name: "theirs", Patterns: many(c.theirs), Live: true}})
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s beside %s took %v", c.mine, c.theirs, took)
		}
		if verdict != Granted {
			t.Errorf("%s beside %s: %v", c.mine, c.theirs, refused)
		}
	}
}

func TestRoom(t *testing.T) {
	if r := Room(600, 400, 1000); r != nil {
		t.Errorf("just room enough: %v", r)
	}
	if r := Room(600, 401, 1000); r == nil || !strings.Contains(r.Reason, "with its patterns it would take 1001 bytes, 1000 can be sent") {
		t.Errorf("too much: %v", r)
	}
}

func TestFreed(t *testing.T) {
	if !Freed([]string{"/a", "/b"}, []string{"/a"}) || Freed([]string{"/a"}, []string{"/b", "/a"}) {
		t.Fatal("Freed is wrong")
	}
}
