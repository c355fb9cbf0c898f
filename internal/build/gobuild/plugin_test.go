package gobuild

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
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
			b.configure(func(c *Config) { c.Network = false })
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

// What the one who asks does not watch is not compiled either.
func TestSkippedIsNotCopied(t *testing.T) {
	dir, to := tree(t, map[string]string{"hi/a.go": small, "hi/x~": "", "hi/.git/x": "", "hi/sub/.git": "", "hi/sub/.env": "", "hi/.d/x": ""}), t.TempDir()
	src := Source{Path: filepath.Join(dir, "hi"), Skip: func(name string, isDir bool) bool {
		return name == ".git" || !isDir && name == "x~"
	}}
	if err := copyFolder(src, to); err != nil {
		t.Fatal(err)
	}
	got := state(t, to)
	for _, path := range []string{"", "a.go", ".d", ".d/x", "sub", "sub/.env"} {
		if _, there := got[filepath.Join(to, path)]; !there {
			t.Errorf("%q is not copied", path)
		}
		delete(got, filepath.Join(to, path))
	}
	if len(got) > 0 {
		t.Errorf("copied, too: %q", got)
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
		{name: "a replacement elsewhere", path: "hi", files: map[string]string{
			"hi/go.mod": "module example.com/hi\n\ngo 1.23\n\nrequire example.com/lib v0.0.0\n\nreplace example.com/lib => ../shared\n",
			"hi/a.go":   "package main\n\nimport _ \"example.com/lib\"\n\nfunc main() {}\n", "shared/go.mod": "module example.com/lib\n", "shared/lib.go": "package lib\n"},
			reason: "hi/a.go:3:8: example.com/lib@v0.0.0: replacement directory ../shared does not exist", mend: "copy the modules into the folder, where they all are: go mod vendor"},
		{name: "a replacement that is missing", path: "hi", inPlace: true, files: map[string]string{
			"hi/go.mod": "module example.com/hi\n\ngo 1.23\n\nrequire example.com/lib v0.0.0\n\nreplace example.com/lib => ../shared\n",
			"hi/a.go":   "package main\n\nimport _ \"example.com/lib\"\n\nfunc main() {}\n"},
			reason: "hi/a.go:3:8: example.com/lib@v0.0.0: replacement directory ../shared does not exist", mend: "put what replaces it where go.mod says"},
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
		{name: "memory without end", path: "hi.go", files: map[string]string{"hi.go": "package main\n\n// #include \"/dev/zero\"\nimport \"C\"\n\nfunc main() {}\n"},
			reason: "cc1: out of memory", mend: "mend the source"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, tt.files)
			out := filepath.Join(t.TempDir(), "hi.so")
			b := newBuilder(t)
			b.configure(func(c *Config) { c.Network = false })
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

// The daemon, which inherits nothing else, and the command build by the same
// flags: those of GOFLAGS and of the caller, whatever cell that makes necessary.
func TestOwnFlags(t *testing.T) {
	dir := tree(t, map[string]string{"hi/a.go": small, "hi/b.go": "//go:build mine\n\n" + text})
	cell := plainCell(t)
	for _, tt := range []struct {
		name, goflags string
		flags         []string
		want          string
	}{
		{"GOFLAGS", "-tags=mine", nil, "mine"},
		{"caller", "-tags=other", []string{"-tags=mine"}, "mine"},
		{"another cell", "-buildvcs=false", []string{"-tags=mine,netgo"}, "mine,netgo"},
	} {
		for _, inherit := range []bool{true, false} {
			t.Setenv("GOFLAGS", tt.goflags)
			t.Setenv("CGO_CFLAGS", "-O1")
			b := newBuilder(t)
			b.configure(func(c *Config) { c.Inherit = inherit })
			if !inherit { // its caches are its own, but for what is compiled
				cache, err := exec.Command(goCommand(t), "env", "GOCACHE").Output()
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(strings.TrimSpace(string(cache)), filepath.Join(b.cfg.Cache, "go-build")); err != nil {
					t.Fatal(err)
				}
			}
			out := filepath.Join(t.TempDir(), "hi.so")
			if err := b.BuildPlugin(context.Background(), Source{Path: filepath.Join(dir, "hi"), Flags: tt.flags}, out, cell, nil); err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			built, err := elfplug.InspectFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if got := built.Settings["-tags"]; got != tt.want {
				t.Errorf("%s, inherit %v: tags %q, want %q", tt.name, inherit, got, tt.want)
			}
			if got := built.Settings["CGO_CFLAGS"]; got != "-O1" {
				t.Errorf("%s, inherit %v: C flags %q", tt.name, inherit, got)
			}
		}
	}
}

// What a cell asks for is kept beside what the caller does.
func TestFlagsBesideTheCells(t *testing.T) {
	o := own{"-mod=vendor '-ldflags=-s -w' -trimpath=false", []string{"-tags=b,c", "--gcflags=-N"}}
	got := strings.Join(o.beside([]string{"-race=true", "-trimpath=true", "-gcflags=-l", "-tags=a", "-pgo=off"}), " ")
	if want := "-race=true -pgo=off -tags=b,c --gcflags=-N -tags=a,b,c"; got != want {
		t.Errorf("got %s, want %s", got, want)
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
