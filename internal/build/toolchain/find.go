package toolchain

import (
	"context"
	"errors"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/build/badbuild"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
)

// Toolchain is one Go release that can be run.
type Toolchain struct {
	Go      string // path of the go command
	GOROOT  string // of the release
	Release string // such as "go1.25.4"
	Choice  string // GOTOOLCHAIN: "local", or the release that Go switches to
}

func (t Toolchain) String() string { return t.Release + " in " + t.GOROOT }

// Installed are the places of Go's own archive and of Debian's packages. Tests have others.
var Installed = []string{"/usr/local/go", "/usr/lib/go", "/usr/lib/go-[0-9]*"}

// fetched are the places where the go command puts the toolchains that it
// fetches (https://go.dev/doc/toolchain#download): the module caches of the
// builder, of whoever runs it, and the folder of golang.org/dl.
func (s *Set) fetched() []string {
	const module = "golang.org/toolchain@v*." + runtime.GOOS + "-" + runtime.GOARCH
	caches := []string{filepath.Join(s.cfg.Cache, "gopath", "pkg", "mod")}
	env := os.Environ()
	if s.cfg.Inherit {
		env = s.inherited()
	}
	home := ""
	for _, kv := range env {
		switch name, value, _ := strings.Cut(kv, "="); {
		case !filepath.IsAbs(value):
		case name == "GOMODCACHE":
			caches = append(caches, value)
		case name == "GOPATH":
			caches = append(caches, filepath.Join(filepath.SplitList(value)[0], "pkg", "mod"))
		case name == "HOME":
			home = value
			caches = append(caches, filepath.Join(value, "go", "pkg", "mod"))
		}
	}
	var patterns []string
	for _, dir := range caches {
		patterns = append(patterns, filepath.Join(escapeGlob(dir), module))
	}
	if home != "" {
		patterns = append(patterns, filepath.Join(escapeGlob(home), "sdk", "go1*"))
	}
	return patterns
}

// escapeGlob quotes a path for filepath.Glob.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// All returns the Go installations found: those that the configuration
// names, then that of the PATH, then the well-known, then those that go fetched.
func (s *Set) All(ctx context.Context) []Toolchain {
	var commands []string
	for _, root := range s.cfg.GOROOTs {
		commands = append(commands, filepath.Join(root, "bin", "go"))
	}
	if path, err := exec.LookPath("go"); err == nil {
		commands = append(commands, path)
	}
	for _, pattern := range append(slices.Clone(Installed), s.fetched()...) {
		roots, _ := filepath.Glob(pattern) // the patterns are well-formed
		for _, root := range roots {
			commands = append(commands, filepath.Join(root, "bin", "go"))
		}
	}
	var found []Toolchain
	for _, path := range commands {
		t, ok := s.probe(ctx, path)
		if ok && !slices.ContainsFunc(found, func(f Toolchain) bool { return f.GOROOT == t.GOROOT }) {
			found = append(found, t)
		}
	}
	return found
}

// A probe is what a go command said of itself, as long as the file is the same.
type probe struct {
	size, mtime int64
	toolchain   Toolchain
	ok          bool
}

func (s *Set) probe(ctx context.Context, path string) (Toolchain, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return Toolchain{}, false
	}
	s.mu.Lock()
	p, ok := s.probed[path]
	s.mu.Unlock()
	if !ok || p.size != info.Size() || p.mtime != info.ModTime().UnixNano() {
		p = probe{size: info.Size(), mtime: info.ModTime().UnixNano()}
		p.toolchain, err = s.ask(ctx, path, "local")
		p.ok = err == nil
		if ctx.Err() != nil {
			return Toolchain{}, false
		}
		s.mu.Lock()
		s.probed[path] = p
		s.mu.Unlock()
	}
	return p.toolchain, p.ok
}

// ask runs a go command to learn its release, or that of the toolchain that it
// switches to, which it may have to fetch.
func (s *Set) ask(ctx context.Context, path, choice string) (Toolchain, error) {
	t := Toolchain{Go: path, Choice: choice}
	out, err := s.output(ctx, t, "env", "GOVERSION", "GOROOT")
	if err != nil {
		return Toolchain{}, err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 {
		return Toolchain{}, errors.New("go env said " + out)
	}
	t.Release, t.GOROOT = elfplug.Release(lines[0]), lines[1]
	return t, nil
}

// Find returns the toolchains of a release: those that are installed, or else
// one that the newest of them switches to (https://go.dev/doc/toolchain).
func (s *Set) Find(ctx context.Context, release string, progress func(string)) ([]Toolchain, error) {
	all := s.All(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if len(all) == 0 {
		return nil, badbuild.NoToolchain()
	}
	var fit []Toolchain
	var have []string
	for _, t := range all {
		if t.Release == release {
			fit = append(fit, t)
		}
		have = append(have, t.String())
	}
	if len(fit) > 0 {
		return fit, nil
	}
	newest := slices.MaxFunc(all, func(a, b Toolchain) int { return version.Compare(a.Release, b.Release) })
	cause := "it is no release"
	if version.IsValid(release) {
		if s.cfg.Network {
			progress("looking for " + release)
		}
		t, err := s.ask(ctx, newest.Go, release)
		if err == nil {
			return []Toolchain{t}, nil
		}
		cause = err.Error()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, badbuild.NoRelease(release, have, s.cfg.Network, cause)
}

// HasPackage reports whether a package is of the standard library. Its path does
// not tell: a module of one word has no dot either.
func (t Toolchain) HasPackage(path string) bool {
	info, err := os.Stat(filepath.Join(t.GOROOT, "src", filepath.FromSlash(path)))
	return err == nil && info.IsDir()
}

// Releases are those of the toolchains.
func Releases(toolchains []Toolchain) (releases []string) {
	for _, t := range toolchains {
		releases = append(releases, t.Release)
	}
	return releases
}
