package event

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every constant is known with its ID, and whatever is logged as an event is one of
// the constants: an event that is spelled out in some other room has no ID, and
// nobody explains it.
func TestEveryEventIsOneOfThese(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	constants := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && spec.Type != nil {
			constants++
			value := strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)
			if Event(value).MessageID() == "" {
				t.Errorf("event %q has no MESSAGE_ID", value)
			}
		}
		return true
	})
	if n := len(All()); n != constants || n < 10 {
		t.Errorf("%d constants, %d with an ID", constants, n)
	}
	root := os.DirFS("../../..")
	looked := 0
	for _, dir := range []string{"internal", "cmd"} {
		err := fs.WalkDir(root, dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
				slices.Contains([]string{"e2e", "torture", "equal", "event"}, filepath.Base(filepath.Dir(path))) {
				return err
			}
			looked++
			text, err := fs.ReadFile(root, path)
			if strings.Contains(string(text), `"`+Field+`":`) || strings.Contains(string(text), `WithField("`+Field+`"`) || strings.Contains(string(text), `["`+Field+`"] =`) {
				t.Errorf("%s logs an event by another way than event.Field and a constant", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if looked < 50 {
		t.Errorf("%d files were looked at", looked)
	}
}
