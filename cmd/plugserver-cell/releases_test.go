package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/cell"
)

// releases are the Go releases, besides the one that runs the tests, that a
// cell is built and tested with. Go fetches those that it does not have.
var releases = []string{cell.OldestGo, "1.24.10", "1.25.4"}

// A cell has to be built to match a plugin of another release, and what the
// hand-over knows of net/http has to hold there too. So a cell's sources,
// with their tests, are laid out as a module of their own, which names that
// release and no dependency.
func TestOtherGoReleases(t *testing.T) {
	if testing.Short() {
		t.Skip("needs other toolchains; run without -short")
	}
	dir := t.TempDir()
	packages := layOut(t, dir)
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			mod := "module github.com/andrestc/go-plugserver\n\ngo " + release + "\n"
			if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{
				append([]string{"vet"}, packages...),
				{"build", "-o", os.DevNull, "./cmd/plugserver-cell"},
				append([]string{"test", "-short"}, packages...),
			} {
				cmd := exec.Command("go", args...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "GOTOOLCHAIN=go"+release, "GOFLAGS=-buildvcs=false", "GOWORK=off")
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("GOTOOLCHAIN=go%s go %s: %v\n%s", release, strings.Join(args, " "), err, out)
				}
				t.Logf("go%s %s\n%s", release, args[0], out)
			}
		})
	}
}

// layOut copies the cell's packages to dir and returns their paths there.
func layOut(t *testing.T, dir string) (packages []string) {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,Standard,GoFiles,TestGoFiles,Module", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p struct {
			ImportPath, Dir      string
			Standard             bool
			GoFiles, TestGoFiles []string
			Module               *struct{ Path, Dir string }
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if p.Standard {
			continue
		}
		rel := strings.TrimPrefix(p.ImportPath, p.Module.Path+"/")
		packages = append(packages, "./"+rel)
		if err := os.MkdirAll(filepath.Join(dir, rel), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range append(p.GoFiles, p.TestGoFiles...) {
			b, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, rel, f), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return packages
}
