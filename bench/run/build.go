package run

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/bench/handlers"
)

// canary is the peer whose handlers have canaries; canaryOf is behind the name of the handler whose one is.
const (
	canary   = "canary"
	canaryOf = ".canary"
)

// In Peer.Needs: the WebAssembly module, and the folder with a build of plugserver that counts no requests.
const (
	guest     = "guest.wasm"
	uncounted = "uncounted"
)

// Build makes what the peers need for the works.
func (l *Lab) Build(peers []Peer, works []Work) error {
	programs := []string{"load"}
	plugins := false
	for _, p := range peers {
		if _, err := exec.LookPath(p.Command); p.Command != "" && err != nil {
			return fmt.Errorf("%s: %w; Debian has a package of this name", p.Name, err)
		}
		programs = append(programs, p.Needs...)
		plugins = plugins || p.Plugins
	}
	var names []string
	for _, w := range works {
		names = append(names, w.Handlers...)
		for _, p := range peers {
			if p.Name == canary && w.Can(p) {
				for _, h := range w.Handlers {
					names = append(names, h+canaryOf)
				}
			}
		}
		if w.Front > 0 {
			if _, err := exec.LookPath("nginx"); err != nil {
				return fmt.Errorf("%s: %w; Debian has a package of this name", w.Name, err)
			}
		}
	}
	for _, name := range sorted(programs) {
		var err error
		switch name {
		case uncounted:
			if err = os.MkdirAll(filepath.Join(l.Bin, name), 0o755); err == nil {
				err = l.build(".", "./cmd/...", name, nil, "-tags", uncounted)
			}
		case guest:
			err = l.build("bench", "./guest", name, []string{"GOOS=wasip1", "GOARCH=wasm"}, "-buildmode=c-shared")
		default:
			err = l.build("bench", "./cmd/"+name, name, nil)
		}
		if err != nil {
			return err
		}
	}
	if !plugins {
		return nil
	}
	for _, name := range sorted(names) {
		if err := l.buildPlugin(name); err != nil {
			return err
		}
	}
	return nil
}

func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// mixed is the source of one of the plugins of which there are many alike.
const mixed = `package main

import (
	"fmt"
	"net/http"
)

func Handler() (string, http.HandlerFunc) {
	return %q, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, %q) }
}

func main() {}
`

// buildPlugin builds the plugin of a handler: a sample of plugserver, this
// module's, or one that is written here.
func (l *Lab) buildPlugin(name string) error {
	to := filepath.Join("plugins", name+".so")
	for n := range handlers.Mixed {
		if path := handlers.MixedPath(n); path == "/"+name {
			dir := filepath.Join(l.Bin, "src", name)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			text := fmt.Appendf(nil, mixed, path, handlers.MixedBody(n))
			if err := os.WriteFile(filepath.Join(dir, "main.go"), text, 0o644); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module bench.example/"+name+"\n\ngo 1.26\n"), 0o644); err != nil {
				return err
			}
			return l.build(dir, ".", to, nil, "-buildmode=plugin")
		}
	}
	if _, err := os.Stat(filepath.Join(l.Root, "bench", "plugins", name)); err == nil {
		return l.build("bench", "./plugins/"+name, to, nil, "-buildmode=plugin")
	}
	of, isCanary := strings.CutSuffix(name, canaryOf)
	flags := []string{"-buildmode=plugin"}
	if isCanary {
		flags = append(flags, "-ldflags=-s") // the same code in another file
	}
	return l.build(".", "./handlers/"+of, to, nil, flags...)
}

// build runs go build in a folder, by default of the repository; to is in Bin.
func (l *Lab) build(dir, from, to string, env []string, flags ...string) error {
	cmd := exec.Command("go", append(append([]string{"build"}, flags...), "-o", filepath.Join(l.Bin, to), from)...)
	if cmd.Dir = dir; !filepath.IsAbs(dir) {
		cmd.Dir = filepath.Join(l.Root, dir)
	}
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=1"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", from, err, out)
	}
	return nil
}
