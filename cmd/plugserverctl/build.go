package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/andrestc/go-plugserver/internal/badbuild"
	"github.com/andrestc/go-plugserver/internal/catalogue"
	"github.com/andrestc/go-plugserver/internal/elfplug"
	"github.com/andrestc/go-plugserver/internal/gobuild"
	"github.com/andrestc/go-plugserver/internal/terminal"
	"github.com/andrestc/go-plugserver/internal/toolchain"
)

var buildCommand = command{
	name:  "build",
	args:  "PACKAGE|FILE.go",
	short: "compile a handler, with the flags of the installed cell",
	long: "A package of a module is built as go build would build it there. A file or a folder outside of any module needs no go.mod. " +
		"Of several cells the installed one counts, if there is a toolchain of its release here. GOFLAGS and the flags of go build win over those of the cell: " +
		"where they make another cell necessary, build says so. Exit 1 with the compiler's words if it does not compile.",
	bind: func(flags *flag.FlagSet) runner {
		binaries := cellFlags(flags)
		builder := builderFlags(flags)
		own := goFlags(flags)
		out := flags.String("o", "", "write the plugin to `FILE.so`; default is the package's name, in the current folder")
		return func(ctx context.Context, s *session) error {
			b, err := builder()
			if err != nil {
				return err
			}
			if *out == "" {
				*out = pluginName(s.arg(0))
			}
			if err := compile(ctx, s, b, binaries(), s.arg(0), *out, own()); err != nil {
				return err
			}
			fmt.Fprintf(s.out, "built: %s\n", terminal.Escape(*out))
			tellOfCell(s, binaries(), *out)
			return nil
		}
	},
}

// compile builds the plugin out, and prints what a compiler says.
func compile(ctx context.Context, s *session, b *gobuild.Builder, binaries *catalogue.Catalogue, what, out string, own []string) error {
	var target *elfplug.Info
	if c, ok := binaries.BuildFor(toolchain.Releases(b.Toolchains(ctx)), false); ok {
		target = c.Info
	} else {
		fmt.Fprintf(s.problems, "no cell is installed here: building for one without flags\n")
	}
	for _, name := range toolchain.Dropped() {
		fmt.Fprintf(s.problems, "%s does not count here: the plugin is built for this machine and its cell\n", name)
	}
	src := source(what)
	src.Flags = own
	err := b.BuildPlugin(ctx, src, out, target, progress(s.problems))
	if said, ok := errors.AsType[*gobuild.CompileError](err); ok {
		for _, line := range said.Lines {
			fmt.Fprintf(s.problems, "%s\n", terminal.Escape(strings.ReplaceAll(line, "\t", "    ")))
		}
		if r := said.Refusal; r.Mend != badbuild.Compile(nil).Mend { // the compiler's words say what to do
			writeFixes(s.problems, "  ", r.Mend, r.Or)
		}
		return errRefused
	}
	return err
}

// tellOfCell says that no cell loads a plugin that was built, where that is so.
func tellOfCell(s *session, binaries *catalogue.Catalogue, path string) {
	built, err := elfplug.InspectFile(path)
	if err != nil {
		return
	}
	if c, refused := binaries.Choose(built); refused != nil && c.Info != nil {
		fmt.Fprintf(s.problems, "no cell here loads it: %s\n", terminal.Escape(refused.Reason))
		writeFixes(s.problems, "  ", "plugserverctl cell build "+path, nil)
	}
}

// source finds out what an argument names, as go build would.
func source(arg string) gobuild.Source {
	info, err := os.Stat(arg)
	switch {
	case err != nil && !strings.HasSuffix(arg, ".go") && !strings.HasPrefix(arg, ".") && !filepath.IsAbs(arg):
		return gobuild.Source{Path: ".", As: ".", InPlace: true, Package: arg} // an import path
	case err != nil:
		return gobuild.Source{Path: arg, As: filepath.Clean(arg)}
	case info.IsDir():
		return gobuild.Source{Path: arg, As: filepath.Clean(arg), InPlace: inModule(arg)}
	case inModule(filepath.Dir(arg)): // what it imports is what the module requires
		dir, file := filepath.Split(arg)
		return gobuild.Source{Path: filepath.Clean(dir), As: filepath.Clean(dir), InPlace: true, Package: file}
	}
	return gobuild.Source{Path: arg, As: filepath.Clean(arg)}
}

// inModule reports whether a folder is in a module.
func inModule(dir string) bool {
	dir, err := filepath.Abs(dir)
	for err == nil {
		if info, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil && !info.IsDir() {
			return true
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return false
}

var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// pluginName is the file that go build would write, as a plugin.
func pluginName(what string) string {
	if abs, err := filepath.Abs(what); err == nil && (strings.HasPrefix(what, ".") || filepath.IsAbs(what)) {
		what = abs
	}
	name := path.Base(filepath.ToSlash(what))
	if dir := path.Dir(filepath.ToSlash(what)); majorVersion.MatchString(name) && dir != "." && dir != "/" {
		name = path.Base(dir)
	}
	return strings.TrimSuffix(name, ".go") + ".so"
}
