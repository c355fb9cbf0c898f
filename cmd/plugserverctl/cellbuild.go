package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/build/gobuild"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/report"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

var cellBuildCommand = cli.Command{
	Name:  "cell build",
	Tells: true,
	Args:  "FILE.so",
	Short: "build the cell that loads a handler's file, and add it; needs a Go toolchain",
	Long: "The file's own build settings tell by which Go release and with which flags. " +
		"Where there is no toolchain, build the cell on another machine with -o, and add it with cell add.",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		binaries := cellFlags(flags)
		builder := builderFlags(flags)
		out := flags.String("o", "", "write the cell to `FILE` and add nothing")
		return func(ctx context.Context, s *cli.Session) error {
			plugin, err := elfplug.InspectFile(s.Arg(0))
			if err != nil {
				return fmt.Errorf("read %q: %w", s.Arg(0), err)
			}
			if *out == "" {
				if c, refused := binaries().Choose(plugin); refused == nil {
					s.Tell(report.JSON(c), "%s loads it already (%s)\n", terminal.Escape(c.Name), terminal.Escape(c.Info.GoVersion))
					return nil
				}
			}
			b, err := builder()
			if err != nil {
				return err
			}
			return buildCell(ctx, s, b, plugin, binaries(), *out)
		}
	},
}

// buildCell writes the cell to out, or where that is empty adds it.
func buildCell(ctx context.Context, s *cli.Session, b *gobuild.Builder, plugin *elfplug.Info, binaries *catalogue.Catalogue, out string) error {
	dir, err := os.MkdirTemp("", "plugserverctl-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path, err := b.BuildCell(ctx, plugin, dir, progress(s.Problems))
	if err != nil {
		return err
	}
	if out != "" {
		if err := gobuild.Place(path, out, 0o755); err != nil {
			return err
		}
		tellBuilt(s, out, "")
		return nil
	}
	c, err := binaries.Add(path, false)
	if err != nil {
		return deniedState(err)
	}
	added(s, c)
	return nil
}
