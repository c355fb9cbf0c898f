package gobuild

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/badbuild"
)

// placed is a place in a file, as compiler, cgo, and go list write it.
var placed = regexp.MustCompile(`^(\s*)([^\s:]+\.(?:go|mod|sum|work|s|S|c|h|cc|cpp)):(\d+)(:\d+)?(:.*)$`)

// CompileError is what the go command said of source that it does not compile.
type CompileError struct {
	Refusal *refusal.Error
	Lines   []string // with files named as the source's owner knows them
}

func (e *CompileError) Error() string { return e.Refusal.Error() }
func (e *CompileError) Unwrap() error { return e.Refusal }

// complain words why the go command refused the source: its own lines, the
// first that names a file first.
func (w *work) complain(lines []string) error {
	var said []string
	first := -1
	for _, line := range lines {
		if strings.HasPrefix(line, "# ") || strings.TrimSpace(line) == "" {
			continue
		}
		if m := placed.FindStringSubmatch(line); m != nil {
			line = m[1] + w.known(m[2]) + ":" + m[3] + m[4] + m[5]
			if first < 0 {
				first = len(said)
			}
		} else {
			line = w.rename(line)
		}
		said = append(said, line)
	}
	switch {
	case first > 0:
		said = said[first:]
	case len(said) == 0:
		said = []string{"go build failed and did not say why"}
	}
	all := strings.Join(said, "\n")
	switch {
	case strings.Contains(all, "replacement directory ") && strings.Contains(all, " does not exist"), strings.Contains(all, "(replaced by ") && strings.Contains(all, "no such file or directory"):
		return &CompileError{badbuild.NoReplacement(said, w.src.InPlace), said}
	case strings.Contains(all, "disabled by GOPROXY=off"):
		return &CompileError{badbuild.MissingModule(said), said}
	case strings.Contains(all, "requires exactly one main package"), strings.Contains(all, "no Go files in"),
		strings.Contains(all, "build constraints exclude all Go files"):
		return badbuild.NoSource(w.src.As, strings.TrimPrefix(said[0], "go: "))
	case strings.Contains(all, "requires go >= "):
		return &CompileError{badbuild.NewerGo(said), said}
	}
	return &CompileError{badbuild.Compile(said), said}
}

// known is the name by which the source's owner knows a file that the go
// command names relative to its folder, or absolutely.
func (w *work) known(file string) string {
	if filepath.IsAbs(file) {
		rel, err := filepath.Rel(w.dir, file)
		if err != nil || !filepath.IsLocal(rel) {
			return file // of the standard library, or a module
		}
		file = rel
	}
	if w.file {
		if filepath.Clean(file) == filepath.Base(w.src.Path) {
			return w.src.As
		}
		return filepath.Clean(file)
	}
	return filepath.Join(w.src.As, file)
}

// rename takes the scratch folder's name out of a line.
func (w *work) rename(line string) string {
	if w.src.InPlace {
		return line
	}
	line = strings.ReplaceAll(line, w.dir+string(filepath.Separator), filepath.Dir(filepath.Join(w.src.As, "x"))+"/")
	return strings.ReplaceAll(line, w.dir, w.src.As)
}
