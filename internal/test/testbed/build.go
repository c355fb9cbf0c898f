// Package testbed runs the product as its users do, for tests: real daemons, real
// plugins built by the go command, and clients that never retry. It is not part of any
// product binary.
package testbed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// TB is what the harness needs of a test, a benchmark, or a command.
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Cleanup(func())
}

// workshop is a folder that the whole run shares: binaries, plugins, daemons.
var workshop = sync.OnceValues(func() (string, error) {
	// Short, for the sake of Unix sockets' paths.
	dir, err := os.MkdirTemp("", "e2e")
	if err == nil {
		err = os.Chmod(dir, 0o755) // daemons may run as another user
	}
	return dir, err
})

// CleanUp deletes all that was built. Call it once, when everything is over.
func CleanUp() {
	if dir, err := workshop(); err == nil {
		os.RemoveAll(dir)
	}
}

// Workshop returns the workshop's folder.
func Workshop(tb TB) string {
	tb.Helper()
	dir, err := workshop()
	if err != nil {
		tb.Fatalf("workshop: %v", err)
	}
	return dir
}

// SourceRoot is the checkout: this file is in internal/test/testbed.
func SourceRoot() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(file))))
}

// GoEnv is the environment without what the one who runs the tests may have
// set for their own builds.
func GoEnv(extra ...string) []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "GOFLAGS", "GOEXPERIMENT", "GOAMD64", "GOFIPS140", "GOTOOLCHAIN", "GOWORK", "GODEBUG", "CGO_ENABLED":
		default:
			env = append(env, kv)
		}
	}
	env = append(env, "GOFLAGS=-buildvcs=false", "GOWORK=off", "GOENV=off")
	return append(env, extra...)
}

// slots bounds the builds that run at the same time.
var slots = make(chan struct{}, 2)

func goBuild(dir, out string, env []string, args ...string) error {
	slots <- struct{}{}
	defer func() { <-slots }()
	args = append([]string{"build"}, args...)
	if Race {
		args = append(args, "-race")
	}
	args = append(args, "-o", out)
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = GoEnv(env...)
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, b)
	}
	return nil
}

// Binaries are the product's commands.
type Binaries struct{ Daemon, Cell, Ctl string }

var binaries = sync.OnceValues(func() (Binaries, error) {
	dir, err := workshop()
	if err != nil {
		return Binaries{}, err
	}
	bin := filepath.Join(dir, "bin")
	for _, name := range []string{"plugserverd", "plugserver-cell", "plugserverctl"} {
		cgo := "CGO_ENABLED=0"
		if Race || name == "plugserver-cell" {
			cgo = "CGO_ENABLED=1"
		}
		// The package comes after the flags that goBuild adds: as a folder.
		if err := goBuild(filepath.Join(SourceRoot(), "cmd", name), filepath.Join(bin, name), []string{cgo}); err != nil {
			return Binaries{}, err
		}
	}
	return Binaries{filepath.Join(bin, "plugserverd"), filepath.Join(bin, "plugserver-cell"), filepath.Join(bin, "plugserverctl")}, nil
})

var certifier = sync.OnceValue(func() error {
	dir, err := workshop()
	if err != nil {
		return err
	}
	env := []string{"CGO_ENABLED=0"}
	if Race {
		env = []string{"CGO_ENABLED=1"}
	}
	return goBuild(filepath.Join(SourceRoot(), "cmd", "plugserver-acme"), filepath.Join(dir, "bin", "plugserver-acme"), env)
})

// BuildCertifier builds plugserver-acme, once a run, beside what Build does.
func BuildCertifier(tb TB) {
	tb.Helper()
	if err := certifier(); err != nil {
		tb.Fatalf("%v", err)
	}
}

// Build builds the product's commands, once a run.
func Build(tb TB) Binaries {
	tb.Helper()
	b, err := binaries()
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return b
}

// Source is a plugin's source.
type Source struct {
	// Files are the contents by path. Without a go.mod the plugin gets a
	// module of its own. Local modules may lie in folders of their own.
	Files map[string]string
	Dir   string   // of the plugin's package in Files; "" is the top
	Flags []string // besides -buildmode=plugin
	Env   []string
}

// Go is the source of a plugin of one file.
func Go(text string) Source { return Source{Files: map[string]string{"main.go": text}} }

// Plugin is the content of a plugin's file.
type Plugin struct {
	Bytes   []byte // not to be changed
	Version string // what log and status call it
}

// NewPlugin returns a plugin of the content, whatever that is.
func NewPlugin(content []byte) Plugin {
	sum := sha256.Sum256(content)
	return Plugin{content, hex.EncodeToString(sum[:])[:12]}
}

// Patched returns the plugin with string constants (old, new, old, new, …)
// replaced by others, filled up with dots: another version of the handler
// without the linker's second. It is as good as a build where the string is
// but data to the handler.
func (p Plugin) Patched(tb TB, oldnew ...string) Plugin {
	tb.Helper()
	b := bytes.Clone(p.Bytes)
	for i := 0; i+1 < len(oldnew); i += 2 {
		old, new := oldnew[i], oldnew[i+1]
		at := bytes.Index(b, []byte(old))
		if at < 0 || len(new) > len(old) || bytes.Contains(b[at+1:], []byte(old)) {
			tb.Fatalf("patch plugin: %q does not fit, or is not there just once: %q", new, old)
		}
		copy(b[at:], new+strings.Repeat(".", len(old)-len(new)))
	}
	return NewPlugin(b)
}

var (
	buildsMu sync.Mutex
	builds   = make(map[string]func() (string, error)) // by source
)

// TryPlugin builds the source, once a run.
func TryPlugin(src Source) (Plugin, error) {
	key := fmt.Sprint(src)
	buildsMu.Lock()
	once, ok := builds[key]
	if !ok {
		n := len(builds)
		once = sync.OnceValues(func() (string, error) { return buildPlugin(n, src) })
		builds[key] = once
	}
	buildsMu.Unlock()
	path, err := once()
	if err != nil {
		return Plugin{}, err
	}
	b, err := os.ReadFile(path)
	return NewPlugin(b), err
}

// Build builds the source, once a run.
func (src Source) Build(tb TB) Plugin {
	tb.Helper()
	p, err := TryPlugin(src)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return p
}

func buildPlugin(n int, src Source) (string, error) {
	top, err := workshop()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(top, "src", fmt.Sprintf("p%d", n))
	files := map[string]string{"go.mod": fmt.Sprintf("module e2e.example/p%d\n\ngo 1.25\n", n)}
	for name, text := range src.Files {
		files[name] = text
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	out := filepath.Join(top, "plugins", fmt.Sprintf("p%d.so", n))
	env := append([]string{"CGO_ENABLED=1"}, src.Env...)
	flags := append([]string{"-buildmode=plugin"}, src.Flags...)
	return out, goBuild(filepath.Join(dir, src.Dir), out, env, flags...)
}

// Sample builds one of the sample handlers in handlers/.
func Sample(tb TB, name string) Plugin {
	tb.Helper()
	dir := filepath.Join(SourceRoot(), "handlers", name)
	key := "sample " + name
	buildsMu.Lock()
	once, ok := builds[key]
	if !ok {
		once = sync.OnceValues(func() (string, error) {
			top, err := workshop()
			if err != nil {
				return "", err
			}
			out := filepath.Join(top, "plugins", name+".so")
			return out, goBuild(dir, out, []string{"CGO_ENABLED=1"}, "-buildmode=plugin")
		})
		builds[key] = once
	}
	buildsMu.Unlock()
	path, err := once()
	if err != nil {
		tb.Fatalf("%v", err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return NewPlugin(b)
}
