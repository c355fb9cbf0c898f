package run

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// Build makes what the peers need for the works.
func (l *Lab) Build(peers []Peer, works []Work) error {
	programs := []string{"load"}
	plugins := false
	for _, p := range peers {
		programs = append(programs, p.Needs...)
		plugins = plugins || p.Plugins
	}
	slices.Sort(programs)
	for _, name := range slices.Compact(programs) {
		if err := l.build("bench", "./cmd/"+name, filepath.Join(l.Bin, name)); err != nil {
			return err
		}
	}
	if !plugins {
		return nil
	}
	var names []string
	for _, w := range works {
		names = append(names, w.Handlers...)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		// The samples of plugserver are themselves; the others are this module's.
		where, from := "bench", "./plugins/"+name
		if _, err := os.Stat(filepath.Join(l.Root, "bench", from)); err != nil {
			where, from = ".", "./handlers/"+name
		}
		if err := l.build(where, from, l.plugin(name), "-buildmode=plugin"); err != nil {
			return err
		}
	}
	return nil
}

// build runs go build in a folder of the repository.
func (l *Lab) build(dir, from, to string, flags ...string) error {
	args := append(append([]string{"build"}, flags...), "-o", to, from)
	cmd := exec.Command("go", args...)
	cmd.Dir = filepath.Join(l.Root, dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", from, err, out)
	}
	return nil
}
