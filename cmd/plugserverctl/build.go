package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"

	"github.com/andrestc/go-plugserver/internal/build/badbuild"
	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/build/gobuild"
	"github.com/andrestc/go-plugserver/internal/build/toolchain"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

var buildCommand = cli.Command{
	Name:  "build",
	Tells: true,
	Args:  "PACKAGE|FILE.go",
	Short: "compile a handler, with the flags of the installed cell",
	Long: "A package of a module is built as go build would build it there. A file or a folder outside of any module needs no go.mod. " +
		"Of several cells the installed one counts, if there is a toolchain of its release here. GOFLAGS and the flags of go build win over those of the cell: " +
		"where they make another cell necessary, build says so. Exit 1 with the compiler's words if it does not compile.",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		binaries := cellFlags(flags)
		builder := builderFlags(flags)
		own := goFlags(flags)
		out := flags.String("o", "", "write the plugin to `FILE.so`; default is the name of the package, or of the file, in the current folder")
		return func(ctx context.Context, s *cli.Session) error {
			b, err := builder()
			if err != nil {
				return err
			}
			if *out == "" {
				*out = gobuild.PluginName(s.Arg(0))
			}
			if err := compile(ctx, s, b, binaries(), s.Arg(0), *out, own()); err != nil {
				return err
			}
			tellBuilt(s, *out, loader(s, binaries(), *out))
			return nil
		}
	},
}

// compileFlags declares the flags for compiling source. The cells are read, and build compiles into dir, once they are parsed.
func compileFlags(flags *flag.FlagSet) (binaries func() *catalogue.Catalogue, build func(ctx context.Context, s *cli.Session, what, dir string) (string, error)) {
	binaries = cellFlags(flags)
	builder := builderFlags(flags)
	own := goFlags(flags)
	return binaries, func(ctx context.Context, s *cli.Session, what, dir string) (string, error) {
		b, err := builder()
		if err != nil {
			return "", err
		}
		built := filepath.Join(dir, gobuild.PluginName(what))
		return built, compile(ctx, s, b, binaries(), what, built, own())
	}
}

// compile builds the plugin out, and prints what a compiler says.
func compile(ctx context.Context, s *cli.Session, b *gobuild.Builder, binaries *catalogue.Catalogue, what, out string, own []string) error {
	var target *elfplug.Info
	if c, ok := binaries.BuildFor(toolchain.Releases(b.Toolchains(ctx)), false); ok {
		target = c.Info
	} else {
		fmt.Fprintf(s.Problems, "no cell is installed here: building for one without flags\n")
	}
	for _, name := range toolchain.Dropped() {
		fmt.Fprintf(s.Problems, "%s does not count here: the plugin is built for this machine and its cell\n", name)
	}
	src := gobuild.Argument(what)
	src.Flags = own
	err := b.BuildPlugin(ctx, src, out, target, progress(s.Problems))
	if said, ok := errors.AsType[*gobuild.CompileError](err); ok {
		for _, line := range said.Lines {
			fmt.Fprintf(s.Problems, "%s\n", terminal.Line(line))
		}
		if r := said.Refusal; r.Mend != badbuild.Compile(nil).Mend { // the compiler's words say what to do
			terminal.WriteFixes(s.Problems, "  ", r.Mend, r.Or)
		}
		return cli.ErrRefused
	}
	return err
}

// tellBuilt says what was built, and for a plugin which cell loads it.
func tellBuilt(s *cli.Session, path, cell string) {
	s.Tell(struct {
		Built string `json:"built"`
		Cell  string `json:"cell,omitempty"`
	}{path, cell}, "built: %s\n", terminal.Escape(path))
}

// loader is the cell that loads a plugin that was built, "" where none does, which it says.
func loader(s *cli.Session, binaries *catalogue.Catalogue, path string) string {
	built, err := elfplug.InspectFile(path)
	if err != nil {
		return ""
	}
	c, refused := binaries.Choose(built)
	if refused == nil {
		return c.Name
	}
	if c.Info != nil {
		fmt.Fprintf(s.Problems, "no cell here loads it: %s\n", terminal.Escape(refused.Reason))
		terminal.WriteFixes(s.Problems, "  ", "plugserverctl cell build "+path, nil)
	}
	return ""
}
