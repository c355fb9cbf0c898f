package internal

import (
	"bytes"
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A room has one responsibility, and a function fits on a screen.
const (
	mostOfRoom     = 900 // lines, tests not counted
	mostOfFunction = 60  // lines
)

// large are the rooms that may have more lines, each with its reason.
var large = map[string]string{
	"internal/serve/handover":   "a connection's life, from accept to the last byte, in three ways that share its state",
	"internal/between/routers":  "several routers, each in a file of its own",
	"internal/daemon/lifecycle": "one handler's life, canaries' included: every event in every state, and each change of one is a change of all",
	"internal/file/elfplug":     "one file format, and what two builds have to have in common",
	"internal/serve/http1":      "the grammar of HTTP/1 and net/http's answers, byte for byte: it is read with the RFC beside it",
	"internal/test/testbed":     "of tests alone",
}

// small are the rooms that may have fewer, each with its reason.
var small = map[string]int{
	"internal/daemon/supervisor": 700, // everything meets here, and would stay
}

// long are the functions that may have more lines, each with its reason.
var long = map[string]string{}

// Rooms and functions stay small enough to be read at once.
func TestSizes(t *testing.T) {
	lines := make(map[string]int)
	for _, top := range []string{"cmd", "internal", "handlers"} {
		err := filepath.WalkDir(filepath.Join("..", top), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && d.Name() == "testdata" {
				return filepath.SkipDir
			}
			if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			room := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../")
			lines[room] += bytes.Count(text, []byte("\n"))
			functions(t, path, room, text)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for room, n := range lines {
		most := cmp.Or(small[room], mostOfRoom)
		if n > most && large[room] == "" {
			t.Errorf("room %s has %d lines, it may have %d: which of its jobs is another room's?", room, n, most)
		}
	}
	for room := range large {
		if n := lines[room]; n <= mostOfRoom {
			t.Errorf("room %s has %d lines: it is no exception", room, n)
		}
	}
}

// functions checks those of one file.
func functions(t *testing.T, path, room string, text []byte) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		n := files.Position(f.End()).Line - files.Position(f.Pos()).Line + 1
		if name := room + "." + f.Name.Name; n > mostOfFunction && long[name] == "" {
			t.Errorf("%s has %d lines, a function has at most %d", name, n, mostOfFunction)
		}
	}
}
