package gobuild

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// Argument finds out what source an argument of go build names.
func Argument(arg string) Source {
	info, err := os.Stat(arg)
	switch {
	case err != nil && !strings.HasSuffix(arg, ".go") && !strings.HasPrefix(arg, ".") && !filepath.IsAbs(arg):
		return Source{Path: ".", As: ".", InPlace: true, Package: arg} // an import path
	case err != nil:
		return Source{Path: arg, As: filepath.Clean(arg)}
	case info.IsDir():
		return Source{Path: arg, As: filepath.Clean(arg), InPlace: inModule(arg)}
	case inModule(filepath.Dir(arg)): // what it imports is what the module requires
		dir, file := filepath.Split(arg)
		return Source{Path: filepath.Clean(dir), As: filepath.Clean(dir), InPlace: true, Package: file}
	}
	return Source{Path: arg, As: filepath.Clean(arg)}
}

// inModule reports whether a folder is in a module.
func inModule(dir string) bool {
	abs, err := filepath.Abs(dir)
	return err == nil && above(abs, "go.mod") != ""
}

var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// PluginName is the file that go build would write, as a plugin. A main.go says nothing: its folder does.
func PluginName(what string) string {
	if dir, file := filepath.Split(what); file == "main.go" {
		if abs, err := filepath.Abs(dir); err == nil && abs != "/" {
			return PluginName(abs)
		}
	}
	if abs, err := filepath.Abs(what); err == nil && (strings.HasPrefix(what, ".") || filepath.IsAbs(what)) {
		what = abs
	}
	name := path.Base(filepath.ToSlash(what))
	if dir := path.Dir(filepath.ToSlash(what)); majorVersion.MatchString(name) && dir != "." && dir != "/" {
		name = path.Base(dir)
	}
	return strings.TrimSuffix(name, ".go") + ".so"
}
