package gobuild

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/build/toolchain"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
	"github.com/andrestc/go-plugserver/internal/operator/trial"
)

const handlerSource = `package main

import (
	"encoding/json"
	"net/http"
	"os/user"
)

func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	return "GET /hello", func(w http.ResponseWriter, r *http.Request) {
		me, _ := user.Current()
		json.NewEncoder(w).Encode(me)
	}
}

func main() {}
`

// configure changes what the builder was made with.
func (b *Builder) configure(change func(*Config)) {
	cfg := b.cfg
	change(&cfg)
	again, err := New(cfg)
	if err != nil {
		panic(err)
	}
	*b = *again
}

// newBuilder builds as a developer does, with the caches of the tests.
func newBuilder(t *testing.T, goroots ...string) *Builder {
	t.Helper()
	b, err := New(Config{GOROOTs: goroots, Cache: t.TempDir(), Inherit: true, Network: true, Root: true})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// foreign builds a plugin as its owner does, somewhere else.
func foreign(t *testing.T, goCommand string, env []string, args ...string) *elfplug.Info {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module example.com/foreign\n\ngo 1.23\n")
	write(t, filepath.Join(dir, "main.go"), handlerSource)
	out := filepath.Join(dir, "foreign.so")
	cmd := exec.Command(goCommand, append(append([]string{"build", "-buildmode=plugin", "-buildvcs=false", "-o", out}, args...), ".")...)
	cmd.Dir = dir
	b := newBuilder(t)
	cmd.Env = append(b.tools.Env(toolchain.Toolchain{Go: goCommand, Choice: "local"}, ""), env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v %v: %v\n%s", env, cmd.Args, err, text)
	}
	info, err := elfplug.InspectFile(out)
	if err != nil {
		t.Fatal(err)
	}
	pluginFiles[info] = out
	return info
}

var pluginFiles = map[*elfplug.Info]string{}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// loads runs the cell, and waits for the plugin's patterns.
func loads(t *testing.T, cell, plugin string) {
	t.Helper()
	r, err := trial.Trial{File: plugin, Cell: cell, Limit: time.Minute}.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if r.Refusal != nil || len(r.Patterns) != 1 || r.Patterns[0] != "GET /hello" {
		t.Fatalf("refusal %v, patterns %q; it printed %q", r.Refusal, r.Patterns, r.Output)
	}
}

func goCommand(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// BuildCell makes cells for plugins of other releases and with other flags,
// and these cells load them. Each set of flags compiles the standard library
// anew, so those that TestToolchains of room e2e has one by one are not here,
// and the rest is gathered.
func TestBuildCell(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the standard library several times; run without -short")
	}
	here := elfplug.Release(runtime.Version())
	level := "GOAMD64=v1"
	if runtime.GOARCH == "amd64" && supports("v3") {
		level = "GOAMD64=v3"
	}
	// A CPU profile of json.Unmarshal, the same every time: another would have
	// the standard library compiled anew.
	profile, err := filepath.Abs("testdata/json.pprof")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		release string
		env     []string
		args    []string
	}{
		{name: "plain", release: here},
		{name: "another release and tags of std", release: "go1.25.4", args: []string{"-tags=netgo,osusergo"}},
		{name: "all at once", release: here, args: []string{"-race", "-pgo=" + profile}, env: []string{"GOEXPERIMENT=jsonv2", level}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := foreign(t, goCommand(t), append(tt.env, "GOTOOLCHAIN="+tt.release), tt.args...)
			if got := elfplug.Release(p.GoVersion); got != tt.release {
				t.Fatalf("built by %s", got)
			}
			var told []string
			began := time.Now()
			cell, err := newBuilder(t).BuildCell(context.Background(), p, t.TempDir(), func(s string) { told = append(told, s) })
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%v, %d words of progress", time.Since(began).Round(time.Millisecond), len(told))
			if len(told) == 0 || !strings.HasSuffix(told[len(told)-1], " with "+tt.release) {
				t.Errorf("told %q", told)
			}
			loads(t, cell, pluginFiles[p])
		})
	}
}

// supports reports whether this machine runs what is built for a GOAMD64.
func supports(level string) bool {
	text, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && level == "v3" && strings.Contains(string(text), " avx2 ") && strings.Contains(string(text), " bmi2 ")
}

var plainCells string // the folder of the cell that most tests share

func TestMain(m *testing.M) {
	code := m.Run()
	if plainCells != "" {
		os.RemoveAll(plainCells)
	}
	os.Exit(code)
}

var buildPlainCell = sync.OnceValues(func() (string, error) {
	var err error
	if plainCells, err = os.MkdirTemp("", "toolchain"); err != nil {
		return "", err
	}
	b, err := New(Config{Cache: filepath.Join(plainCells, "cache"), Inherit: true, Root: true})
	if err != nil {
		return "", err
	}
	return b.BuildCell(context.Background(), &elfplug.Info{GoVersion: runtime.Version()}, plainCells, nil)
})

// plainCellFile is a cell without any flags.
func plainCellFile(t *testing.T) string {
	t.Helper()
	path, err := buildPlainCell()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Only what is of the standard library is called so, whatever its path.
func TestProgressTellsTheStandardLibrary(t *testing.T) {
	out, err := exec.Command(goCommand(t), "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	each := tell(toolchain.Toolchain{GOROOT: strings.TrimSpace(string(out)), Release: "go1"}, func(s string) { got = append(got, s) })
	for _, line := range []string{"app", "app/net", "example.com/x", "go: downloading x v1", "net/http", "vendor/golang.org/x/net/idna", "command-line-arguments"} {
		each(line)
	}
	want := []string{
		"compiling app with go1", "compiling app/net with go1", "compiling example.com/x with go1", "go: downloading x v1",
		"compiling the standard library with go1, once for its flags: package 1",
		"compiling the standard library with go1, once for its flags: package 2", "compiling command-line-arguments with go1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
