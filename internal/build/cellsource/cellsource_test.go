package cellsource

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
)

// releases are the Go releases, besides the one that runs the tests, that a
// cell is built and tested with. Go fetches those that it does not have.
var releases = []string{OldestGo, "go1.24.10", "go1.25.4"}

// The embedded source is all that the cell is built from, and no more.
func TestCellSourceIsComplete(t *testing.T) {
	var have []string
	err := walk(func(path string, _ []byte) error {
		have = append(have, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, p := range cellPackages(t) {
		for _, f := range p.files {
			want = append(want, p.dir+"/"+f)
		}
	}
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("embedded: %q\ngo list: %q", have, want)
	}
}

// A cell that is built from what is laid out says what it is, stripped or not.
func TestLayOutCell(t *testing.T) {
	dir := t.TempDir()
	release := elfplug.Release(runtime.Version())
	if err := LayOut(dir, release); err != nil {
		t.Fatal(err)
	}
	checkCell(t, dir, release, "-ldflags=-s -w")
	if err := LayOut(dir, "devel"); err == nil {
		t.Error("laid out for no release")
	}
}

func checkCell(t *testing.T, dir, release string, flags ...string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "cell")
	run(t, dir, release, append(append([]string{"build", "-o", out}, flags...), Package)...)
	info, err := elfplug.InspectCell(out)
	if err != nil {
		t.Fatal(err)
	}
	if info.Source != Digest() || len(info.Source) != 16 {
		t.Errorf("source %q, want %q", info.Source, Digest())
	}
	if info.Protocol != link.Protocol {
		t.Errorf("protocol %d, want %d", info.Protocol, link.Protocol)
	}
}

// A cell has to be built to match a plugin of another release, and what the
// hand-over knows of net/http has to hold there too: so the tests of the
// cell's rooms run beside the source that is laid out.
func TestOtherGoReleases(t *testing.T) {
	if testing.Short() {
		t.Skip("needs other toolchains; run without -short")
	}
	dir := t.TempDir()
	var packages []string
	for _, p := range cellPackages(t) {
		packages = append(packages, "./"+p.dir)
		for _, f := range p.tests {
			b, err := os.ReadFile(filepath.Join("../../..", p.dir, f))
			if err != nil {
				t.Fatal(err)
			}
			if err := write(dir, p.dir+"/"+f, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			if err := LayOut(dir, release); err != nil {
				t.Fatal(err)
			}
			run(t, dir, release, append([]string{"vet"}, packages...)...)
			checkCell(t, dir, release)
			t.Log(run(t, dir, release, append([]string{"test", "-short"}, packages...)...))
		})
	}
}

// run runs the go command of a release.
func run(t *testing.T, dir, release string, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+release, "GOFLAGS=-buildvcs=false", "GOWORK=off", "CGO_ENABLED=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("GOTOOLCHAIN=%s go %s: %v\n%s", release, strings.Join(args, " "), err, out)
	}
	return string(out)
}

type cellPackage struct {
	dir          string // in this module
	files, tests []string
}

// cellPackages asks the go command what the cell is built from.
func cellPackages(t *testing.T) (packages []cellPackage) {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,GoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles,Module", Package)
	cmd.Dir = "../../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p struct {
			ImportPath                string
			Standard                  bool
			GoFiles, IgnoredGoFiles   []string
			TestGoFiles, XTestGoFiles []string
			Module                    *struct{ Path string }
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if !p.Standard {
			// Those for the race detector come along.
			ignored := slices.DeleteFunc(p.IgnoredGoFiles, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
			p.GoFiles = append(p.GoFiles, ignored...)
			packages = append(packages, cellPackage{strings.TrimPrefix(p.ImportPath, p.Module.Path+"/"), p.GoFiles, append(p.TestGoFiles, p.XTestGoFiles...)})
		}
	}
	return packages
}
