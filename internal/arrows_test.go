// Package internal holds no code: the rooms are its folders, and this test
// keeps the arrows between them.
package internal

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path"
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
	folder  string   // under internal/
	imports []string // rooms, sorted
	never   []string // import paths, or thirdParty
}

const thirdParty = "third-party code"

var quoted = regexp.MustCompile("`([^`]+)`")

// heading begins the table of a folder's rooms.
var heading = regexp.MustCompile("^### `internal/(\\w+)/`")

// folders reads the table of folders: | `folder/` | what it is | folders that it may import |.
func folders(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]string)
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)/` \\|[^|]*\\|([^|]*)\\|$").FindAllStringSubmatch(string(text), -1) {
		found[m[1]] = []string{m[1]}
		for _, q := range quoted.FindAllStringSubmatch(m[2], -1) {
			found[m[1]] = append(found[m[1]], q[1])
		}
		if strings.TrimSpace(m[2]) == "all" {
			found[m[1]] = nil
		}
	}
	if len(found) == 0 {
		t.Fatal("ARCHITECTURE.md has no table of folders")
	}
	return found
}

// rooms reads the tables of each folder's rooms: | `room` | responsible for | may import | never |.
func rooms(t *testing.T) map[string]room {
	t.Helper()
	text, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]room)
	folder := ""
	for line := range strings.Lines(string(text)) {
		if m := heading.FindStringSubmatch(line); m != nil {
			folder = m[1]
		}
		cells := strings.Split(line, "|")
		if len(cells) != 6 {
			continue
		}
		name := quoted.FindStringSubmatch(cells[1])
		if name == nil {
			continue
		}
		r := room{folder: folder}
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

func isThirdParty(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return strings.Contains(first, ".") && !strings.HasPrefix(imported, module)
}

// The rooms import each other exactly as ARCHITECTURE.md states.
func TestArrows(t *testing.T) {
	stated, may := rooms(t), folders(t)
	for _, p := range list(t, "./...") {
		if p.ImportPath == module+"internal" {
			continue
		}
		folder, name := path.Split(strings.TrimPrefix(p.ImportPath, module+"internal/"))
		folder = strings.TrimSuffix(folder, "/")
		r, ok := stated[name]
		if !ok {
			t.Errorf("room %s is not in ARCHITECTURE.md", name)
			continue
		}
		delete(stated, name)
		if folder != r.folder {
			t.Errorf("room %s is in %q, ARCHITECTURE.md has it in %q", name, folder, r.folder)
		}
		allowed, ok := may[folder]
		if !ok {
			t.Errorf("folder %s is not in ARCHITECTURE.md", folder)
		}
		var imports []string
		for _, i := range p.Imports {
			if ours, ok := strings.CutPrefix(i, module+"internal/"); ok {
				imports = append(imports, path.Base(ours))
				if allowed != nil && !slices.Contains(allowed, path.Dir(ours)) {
					t.Errorf("room %s of %s imports %s: ARCHITECTURE.md lets that folder import %q", name, folder, ours, allowed)
				}
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
// plugin's dependency can meet another version of itself; and the source that the daemon
// builds cells of has every room of it.
func TestCellLinksTheStandardLibraryAlone(t *testing.T) {
	source, err := os.ReadFile("../source.go")
	if err != nil {
		t.Fatal(err)
	}
	linked := 0
	for _, p := range list(t, "-deps", "../cmd/plugserver-cell") {
		linked++
		if !p.Standard && !strings.HasPrefix(p.ImportPath, module) {
			t.Errorf("plugserver-cell links %q", p.ImportPath)
		}
		if room, ours := strings.CutPrefix(p.ImportPath, module); ours && !strings.Contains(string(source), " "+room+"/") {
			t.Errorf("source.go carries no %s", room)
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

// What runs all the time speaks to no registry.
func TestOnlyTheOperatorSpeaksToRegistries(t *testing.T) {
	for _, p := range list(t, "../cmd/plugserverd", "../cmd/plugserver-acme", "../cmd/plugserver-cell") {
		for _, d := range p.Deps {
			if strings.HasPrefix(d, "oras.land/") || d == module+"internal/operator/registry" {
				t.Errorf("%s links %s", p.ImportPath, d)
			}
		}
	}
}

// bans are what a room never comes to import, not through others either unless itself
// is said, each with its reason.
var bans = []struct {
	rooms  []string
	never  []string
	itself bool
	why    string
}{
	{
		rooms:  []string{"supervisor", "roster", "standing", "operate", "cells", "files", "notice"},
		never:  []string{"os", "os/exec", "syscall", "io/fs", "net", "internal/between/proc", "internal/file/elfplug", "internal/build/toolchain", "internal/build/gobuild", "internal/build/catalogue"},
		itself: true,
		why:    "what has to do with files and processes is left to intake and fleet, which never have the loop wait",
	},
	{
		rooms: []string{"lifecycle", "plan", "table", "intake", "fleet"},
		never: []string{"internal/daemon/lifecycle", "internal/daemon/plan", "internal/daemon/table", "internal/daemon/intake", "internal/daemon/fleet", "internal/daemon/supervisor"},
		why:   "what decides, what touches files and what runs processes are connected by the supervisor alone",
	},
	{
		rooms: []string{"lifecycle", "past", "backoff", "states", "plan", "table", "roster", "notice"},
		never: []string{"os/exec", "internal/between/proc", "internal/build/toolchain", "internal/build/gobuild"},
		why:   "a decision depends on what it is given, and on nothing else",
	},
	{
		rooms: []string{"supervisor", "operate", "standing", "files", "cells", "fleet", "intake", "control"},
		never: []string{"plugin", "internal/serve/gate", "internal/serve/cell"},
		why:   "what decides runs no handler's code, and reads no client's bytes",
	},
	{
		rooms: []string{"gate", "cell", "handover", "http1"},
		never: []string{"os/exec", "internal/daemon/supervisor", "internal/daemon/store", "internal/build/toolchain", "internal/build/gobuild"},
		why:   "what serves clients starts no process and writes no file of the daemon's",
	},
}

// What is banned is banned through others, too, but where a room itself is meant.
func TestBans(t *testing.T) {
	deps, imports := make(map[string][]string), make(map[string][]string)
	for _, p := range list(t, "./...") {
		name := path.Base(p.ImportPath)
		deps[name], imports[name] = p.Deps, p.Imports
	}
	for _, ban := range bans {
		for _, name := range ban.rooms {
			comes := deps[name]
			if len(comes) == 0 {
				t.Errorf("there is no room %s", name)
			}
			if ban.itself {
				comes = imports[name]
			}
			for _, banned := range ban.never {
				full := banned
				if strings.HasPrefix(banned, "internal/") {
					full = module + banned
				}
				if path.Base(full) != name && slices.Contains(comes, full) {
					t.Errorf("room %s comes to import %s, though %s", name, banned, ban.why)
				}
			}
		}
	}
}

// A pure room is told what time it is, and starts nothing.
func TestPureRoomsAskNoClock(t *testing.T) {
	impure := regexp.MustCompile(`\btime\.(Now|Since|Until|After|AfterFunc|Sleep|NewTimer|NewTicker|Tick)\b|\bgo func\b|\bmake\(chan\b`)
	for _, room := range []string{"lifecycle", "past", "backoff", "states", "plan", "table", "roster", "notice", "standing"} {
		room := rooms(t)[room].folder + "/" + room
		files, err := os.ReadDir(room)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
				continue
			}
			text, err := os.ReadFile(room + "/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			if found := impure.Find(text); found != nil {
				t.Errorf("%s/%s has %s: it is to be pure", room, f.Name(), found)
			}
		}
	}
}
