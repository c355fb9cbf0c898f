// Package replaced tells which libraries a process runs that were replaced since, as by an upgrade: it goes on with
// those of before.
package replaced

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
)

// Of are the names of the libraries that a process runs and that are gone from where they were; nil where there are none, or it
// cannot be seen.
func Of(pid int) []string {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil
	}
	return in(string(maps))
}

// in reads what proc_pid_maps(5) describes.
func in(maps string) (names []string) {
	for line := range strings.Lines(maps) {
		file, gone := strings.CutSuffix(strings.TrimSuffix(line, "\n"), " (deleted)")
		f := strings.Fields(file)
		if !gone || len(f) < 6 || !strings.Contains(f[1], "x") {
			continue // what is not run may be anything: /memfd:, /dev/zero
		}
		name := path.Base(file[strings.Index(file, f[5]):])
		if (strings.HasSuffix(name, ".so") || strings.Contains(name, ".so.")) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
