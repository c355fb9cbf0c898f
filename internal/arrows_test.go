// Package internal holds no code: the rooms are its folders, and this test
// keeps the arrows between them.
package internal

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/andrestc/go-plugserver/"

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
}

func list(t *testing.T, args ...string) (packages []listed) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps,Standard"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p listed
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	return packages
}

// room is a row of ARCHITECTURE.md's table of rooms.
type room struct {
	imports []string // rooms, sorted
	never   []string // import paths, or thirdParty
}

const thirdParty = "third-party code"

var quoted = regexp.MustCompile("`([^`]+)`")

// rooms reads the table: | `room` | responsible for | may import | never |.
func rooms(t *testing.T) map[string]room {
	t.Helper()
	text, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]room)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 {
			continue
		}
		name := quoted.FindStringSubmatch(cells[1])
		if name == nil {
			continue
		}
		var r room
		for _, m := range quoted.FindAllStringSubmatch(cells[3], -1) {
			r.imports = append(r.imports, m[1])
		}
		slices.Sort(r.imports)
		for _, m := range quoted.FindAllStringSubmatch(cells[4], -1) {
			r.never = append(r.never, m[1])
		}
		if strings.Contains(cells[4], thirdParty) {
			r.never = append(r.never, thirdParty)
		}
		found[name[1]] = r
	}
	if len(found) == 0 {
		t.Fatal("ARCHITECTURE.md has no table of rooms")
	}
	return found
}

func isThirdParty(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".") && !strings.HasPrefix(path, module)
}

// The rooms import each other exactly as ARCHITECTURE.md states.
func TestArrows(t *testing.T) {
	stated := rooms(t)
	for _, p := range list(t, "./...") {
		name := strings.TrimPrefix(p.ImportPath, module+"internal/")
		if p.ImportPath == module+"internal" {
			continue
		}
		r, ok := stated[name]
		if !ok {
			t.Errorf("room %s is not in ARCHITECTURE.md", name)
			continue
		}
		delete(stated, name)
		var imports []string
		for _, i := range p.Imports {
			if ours, ok := strings.CutPrefix(i, module+"internal/"); ok {
				imports = append(imports, ours)
			}
			if slices.Contains(r.never, i) || isThirdParty(i) && slices.Contains(r.never, thirdParty) {
				t.Errorf("room %s imports %q, which ARCHITECTURE.md says it never does", name, i)
			}
		}
		slices.Sort(imports)
		if !slices.Equal(imports, r.imports) {
			t.Errorf("room %s imports %q, ARCHITECTURE.md says %q", name, imports, r.imports)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(stated)) {
		t.Errorf("ARCHITECTURE.md has a room %s that does not exist", name)
	}
}

// A cell links the standard library and this module alone, so that no
// plugin's dependency can meet another version of itself.
func TestCellLinksTheStandardLibraryAlone(t *testing.T) {
	linked := 0
	for _, p := range list(t, "-deps", "../cmd/plugserver-cell") {
		linked++
		if !p.Standard && !strings.HasPrefix(p.ImportPath, module) {
			t.Errorf("plugserver-cell links %q", p.ImportPath)
		}
	}
	if linked < 50 {
		t.Fatalf("go list names %d packages only", linked)
	}
}

// The supervisor and the gate load no plugin.
func TestOnlyTheCellLoadsPlugins(t *testing.T) {
	for _, p := range list(t, "../cmd/plugserverd", "../cmd/plugserverctl") {
		if slices.Contains(p.Deps, "plugin") {
			t.Errorf("%s links the package plugin", p.ImportPath)
		}
	}
}
