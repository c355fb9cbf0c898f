package report

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Machine tells of this machine, and of the versions of what is measured,
// where root is the repository.
func Machine(root string) []string {
	kernel := first("uname", "-sr")
	lines := []string{
		fmt.Sprintf("%s, %d cores, %s", field("/proc/cpuinfo", "model name"), runtime.NumCPU(), field("/proc/meminfo", "MemTotal")),
		kernel + ", " + strings.Trim(field("/etc/os-release", "PRETTY_NAME"), `"`),
		runtime.Version(),
	}
	if v := first("nginx", "-v"); v != "" {
		lines = append(lines, v)
	}
	if v := first("caddy", "version"); v != "" {
		lines = append(lines, "Caddy "+v)
	}
	list := exec.Command("go", "list", "-m", "-f", "{{.Path}} {{.Version}}", "github.com/hashicorp/go-plugin", "google.golang.org/grpc",
		"github.com/traefik/yaegi", "github.com/tetratelabs/wazero", "github.com/coder/websocket")
	list.Dir = filepath.Join(root, "bench")
	if out, err := list.Output(); err == nil {
		lines = append(lines, strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", ", "))
	}
	return lines
}

// Commit names what is checked out.
func Commit(root string) string {
	commit := first("git", "-C", root, "rev-parse", "--short", "HEAD")
	if commit == "" {
		return "an unknown commit"
	}
	if first("git", "-C", root, "status", "--porcelain") != "" {
		commit += " with changes"
	}
	return "commit " + commit
}

// first is the first line that a command writes, "" where it fails.
func first(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// field is what a file says of a name, after a colon or an equals sign.
func field(file, name string) string {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(strings.TrimLeft(rest, " \t:="))
		}
	}
	return "unknown"
}
