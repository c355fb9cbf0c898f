package toolchain

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/elfplug"
	"github.com/andrestc/go-plugserver/internal/refusal"
)

const small = `package main

import "net/http"

func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	return "GET /hello", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(text)) }
}

func main() {}
`

const text = "package main\n\nconst text = \"hello\"\n"

// tree writes files and returns their folder, which nobody may write to.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	return dir
}

// state is what a folder holds, to tell whether something was written there.
func state(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			files[path] = "folder"
			return err
		}
		b, err := os.ReadFile(path)
		files[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestBuildPlugin(t *testing.T) {
	lib := "package lib\n\nconst Text = \"hello\"\n"
	using := strings.Replace(strings.Replace(small, "import \"net/http\"", "import (\n\t\"net/http\"\n\n\t\"example.com/lib\"\n)", 1), "(text)", "(lib.Text)", 1)
	for _, tt := range []struct {
		name, path string
		files      map[string]string
		inPlace    bool
	}{
		{name: "a file", path: "hi.go", files: map[string]string{"hi.go": small + "\nconst text = \"hello\"\n", "other.go": "no Go at all"}},
		{name: "a folder", path: "hi", files: map[string]string{"hi/a.go": small, "hi/b.go": text}},
		{name: "embedded files", path: "hi", files: map[string]string{
			"hi/a.go":          strings.Replace(small, "import \"net/http\"", "import (\n\t_ \"embed\"\n\t\"net/http\"\n)\n\n//go:embed files/text\nvar text string", 1),
			"hi/files/text":    "hello",
			"hi/.git/unwanted": "",
		}},
		{name: "a module with a package", path: "hi", files: map[string]string{
			"hi/go.mod": "module example.com/hi\n\ngo 1.23\n", "hi/lib/lib.go": lib,
			"hi/a.go": strings.Replace(using, "example.com/lib", "example.com/hi/lib", 1),
		}},
		{name: "a vendor folder", path: "hi", files: map[string]string{
			"hi/go.mod":                        "module example.com/hi\n\ngo 1.23\n\nrequire example.com/lib v1.2.3\n",
			"hi/a.go":                          using,
			"hi/vendor/modules.txt":            "# example.com/lib v1.2.3\n## explicit\nexample.com/lib\n",
			"hi/vendor/example.com/lib/lib.go": lib,
		}},
		{name: "in place", path: "mod/cmd/hi", inPlace: true, files: map[string]string{
			"mod/go.mod": "module example.com/mod\n\ngo 1.23\n", "mod/lib/lib.go": lib,
			"mod/cmd/hi/a.go": strings.Replace(using, "example.com/lib", "example.com/mod/lib", 1),
		}},
		{name: "an odd name", path: "Con.v2 é", files: map[string]string{"Con.v2 é/a.go": small, "Con.v2 é/b.go": text}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, tt.files)
			before := state(t, dir)
			out := filepath.Join(t.TempDir(), "hi.so")
			src := Source{Path: filepath.Join(dir, tt.path), InPlace: tt.inPlace}
			b := newBuilder(t)
			b.cfg.Network = false
			if err := b.BuildPlugin(context.Background(), src, out, plainCell(t), nil); err != nil {
				t.Fatal(err)
			}
			for path, content := range state(t, dir) {
				if was, ok := before[path]; !ok || was != content {
					t.Errorf("%s was written to", path)
				}
			}
			loads(t, plainCellFile(t), out)
			if left, _ := os.ReadDir(filepath.Dir(out)); len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
			first, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.BuildPlugin(context.Background(), src, out, plainCell(t), nil); err != nil {
				t.Fatal(err)
			}
			if second, err := os.ReadFile(out); err != nil || !bytes.Equal(first, second) {
				t.Errorf("the same source gave other bytes (%v)", err)
			}
		})
	}
}

func TestBuildPluginRefuses(t *testing.T) {
	bad := strings.Replace(small, "text", "txet", 1)
	for _, tt := range []struct {
		name, path   string
		as           string
		files        map[string]string
		inPlace      bool
		reason, mend string // the beginning
	}{
		{name: "a file", path: "hi.go", files: map[string]string{"hi.go": bad},
			reason: "hi.go:6:", mend: "mend the source: it is compiled again by itself"},
		{name: "a folder", path: "hi", files: map[string]string{"hi/a.go": bad, "hi/b.go": text},
			reason: "hi/a.go:6:85: undefined: txet", mend: "mend the source"},
		{name: "syntax", path: "hi", files: map[string]string{"hi/a.go": "package main\n\nfunc {\n"},
			reason: "hi/a.go:3:6: syntax error", mend: "mend the source"},
		{name: "a package of the module", path: "hi", files: map[string]string{
			"hi/go.mod": "module example.com/hi\n\ngo 1.23\n", "hi/lib/lib.go": "package lib\n\nvar X int = \"no\"\n",
			"hi/a.go": "package main\n\nimport _ \"example.com/hi/lib\"\n\nfunc main() {}\n"},
			reason: "hi/lib/lib.go:3:13: cannot use", mend: "mend the source"},
		{name: "in place", path: "mod/cmd/hi", as: "cmd/hi", inPlace: true, files: map[string]string{
			"mod/go.mod": "module example.com/hi\n\ngo 1.23\n", "mod/lib/lib.go": "package lib\n\nvar X int = \"no\"\n",
			"mod/cmd/hi/a.go": "package main\n\nimport _ \"example.com/hi/lib\"\n\nfunc main() {}\n"},
			reason: "lib/lib.go:3:13: cannot use", mend: "mend the source"},
		{name: "go.mod", path: "hi", files: map[string]string{"hi/a.go": small, "hi/b.go": text, "hi/go.mod": "module example.com/hi\n\nnonsense here\n"},
			reason: "hi/go.mod:3: unknown directive", mend: "mend the source"},
		{name: "a missing module", path: "hi.go", files: map[string]string{"hi.go": "package main\n\nimport _ \"example.com/missing\"\n\nfunc main() {}\n"},
			reason: "hi.go:3:8: ", mend: "put it into the folder: go mod vendor"},
		{name: "a missing package", path: "hi.go", files: map[string]string{"hi.go": "package main\n\nimport _ \"nett/http\"\n\nfunc main() {}\n"},
			reason: "hi.go:3:8: package nett/http is not in std", mend: "mend the source"},
		{name: "a later release", path: "hi", files: map[string]string{"hi/a.go": small, "hi/b.go": text, "hi/go.mod": "module example.com/hi\n\ngo 1.99\n"},
			reason: "go: go.mod requires go >= 1.99", mend: "lower the go line"},
		{name: "a library", path: "hi", files: map[string]string{"hi/a.go": "package hi\n"},
			reason: "hi is no source of a handler: ", mend: "give a NAME.go file"},
		{name: "an empty folder", path: "hi", files: map[string]string{"hi/README": ""},
			reason: "hi is no source of a handler: ", mend: "give a NAME.go file"},
		{name: "nothing", path: "hi", reason: "hi is no source of a handler: it does not exist"},
		{name: "text", path: "hi.txt", files: map[string]string{"hi.txt": small}, reason: "hi.txt is no source of a handler: its name"},
		{name: "cgo", path: "hi.go", files: map[string]string{"hi.go": "package main\n\n// int f(void) { return nonsense; }\nimport \"C\"\n\nfunc main() { C.f() }\n"},
			reason: "hi.go:3", mend: "mend the source"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, tt.files)
			out := filepath.Join(t.TempDir(), "hi.so")
			b := newBuilder(t)
			b.cfg.Network = false
			src := Source{Path: filepath.Join(dir, tt.path), As: tt.as, InPlace: tt.inPlace}
			err := b.BuildPlugin(context.Background(), src, out, plainCell(t), nil)
			r, ok := errors.AsType[*refusal.Error](err)
			if !ok || !strings.HasPrefix(r.Reason, tt.reason) || !strings.HasPrefix(r.Mend, tt.mend) || strings.Contains(r.Error(), b.cfg.Cache) {
				t.Errorf("got  %v\nwant %s ...; %s ...", err, tt.reason, tt.mend)
			}
			if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a plugin was written: %v", err)
			}
		})
	}
}

func plainCell(t *testing.T) *elfplug.Info {
	t.Helper()
	info, err := elfplug.InspectCell(plainCellFile(t))
	if err != nil {
		t.Fatal(err)
	}
	return info
}
