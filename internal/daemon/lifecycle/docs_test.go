package lifecycle

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
)

// docs/states.md names every state, and exactly the changes of standing that there are.
func TestStatesArePictured(t *testing.T) {
	text, err := os.ReadFile("../../../docs/states.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	file, err := parser.ParseFile(token.NewFileSet(), "../states/states.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := 0
	for _, d := range file.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, s := range group.Specs {
			for _, name := range s.(*ast.ValueSpec).Names {
				if name.IsExported() && !strings.HasPrefix(name.Name, "State") {
					names++
					if !strings.Contains(page, "`"+name.Name+"`") {
						t.Errorf("docs/states.md does not name %s", name.Name)
					}
				}
			}
		}
	}
	if names < 15 {
		t.Errorf("%d states are looked for", names)
	}
	standings := []string{"None", "Serving", "Dead", "Quarantined"}
	found := make(map[string][]string)
	for _, st := range append(everyState, lostStates...) {
		for _, ev := range events {
			tr := newTrial(st.past)
			st.lead(tr)
			before := tr.Standing
			tr.on(ev.make(tr))
			if tr.Standing != before {
				change := standings[before] + " " + standings[tr.Standing]
				name, _, _ := strings.Cut(ev.name, ",")
				if !slices.Contains(found[change], name) {
					found[change] = append(found[change], name)
				}
			}
		}
	}
	pictured := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| `(\\w+)` \\| (.*) \\|$").FindAllStringSubmatch(page, -1) {
		change := m[1] + " " + m[2]
		pictured[change] = true
		events := found[change]
		slices.Sort(events)
		if want := "`" + strings.Join(events, "`, `") + "`"; m[3] != want {
			t.Errorf("%s: docs/states.md says %s, it is %s", change, m[3], want)
		}
	}
	for change := range found {
		if !pictured[change] {
			t.Errorf("docs/states.md does not have the change %s", change)
		}
	}
}

// lostStates lead to what only a loss brings about.
var lostStates = []struct {
	name string
	past store.Record
	lead func(t *trial)
}{
	{"an earlier one that fails for the third time", store.Record{}, func(t *trial) {
		t.live(1, "1")
		t.die()
		t.again()
		t.die()
		t.on(due[RestartDue](t))
	}},
	{"quarantined, its file copying again", store.Record{}, func(t *trial) {
		t.live(1, "1")
		t.die()
		t.again()
		t.die()
		t.again()
		t.die()
		t.on(file(1))
	}},
	{"quarantined, rolled back by hand", store.Record{}, func(t *trial) {
		t.live(1, "1")
		t.live(2, "2")
		for range 3 {
			t.die()
			t.again()
			t.die()
			t.again()
			t.die()
			if t.Next != nil {
				t.on(Recalled{t.Next, version("1")})
				t.on(IsReady{Seat: t.Next, Patterns: []string{"/a"}})
				t.on(Granted{t.Next, 1})
			}
			if t.Standing == states.Quarantined {
				break
			}
		}
		t.on(RollBack{version("1")})
		t.on(IsReady{Seat: t.Next, Patterns: []string{"/a"}})
	}},
}
