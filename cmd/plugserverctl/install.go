package main

import (
	"context"
	"flag"
	"os"
	"strings"

	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/deploy"
)

var installCommand = cli.Command{
	Name:  "install",
	Tells: true,
	Args:  "FILE.so|PACKAGE|FILE.go",
	Short: "check a handler's file, put it into the daemon's directory, and wait until it is live or refused",
	Long: "Source is compiled, as build does. The file is then read, as check does without its trial: what cannot be served is not installed, unless the daemon builds the cell for it. " +
		"It then takes the place of the handler's earlier file in one step. " +
		"Exit 1 if it was refused: the file is taken away again then, and the version before goes on serving.",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		name := flags.String("name", "", "the handler's `NAME`; default is the file's, without .so, and of main.go its folder's")
		plugin := sourceFlags(flags)
		return func(ctx context.Context, s *cli.Session) error {
			return plugin(ctx, s, s.Arg(0), func(path string, binaries *catalogue.Catalogue) error {
				return deploy.Install(ctx, s, path, *name, binaries)
			})
		}
	},
}

var canaryCommand = deploy.Canary(sourceFlags)

// sourceFlags declares the flags for compiling source.
func sourceFlags(flags *flag.FlagSet) deploy.Source {
	binaries, build := compileFlags(flags)
	return func(ctx context.Context, s *cli.Session, path string, use func(string, *catalogue.Catalogue) error) error {
		if strings.HasSuffix(path, ".so") {
			return use(path, binaries())
		}
		dir, err := os.MkdirTemp("", "plugserverctl-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		built, err := build(ctx, s, path, dir)
		if err != nil {
			return err
		}
		return use(built, binaries())
	}
}

var removeCommand = cli.Command{
	Name:     "remove",
	Tells:    true,
	Args:     "NAME",
	Complete: cli.Handlers,
	Short:    "delete a handler's file, NAME.so or NAME.go, and wait until its routes are gone",
	Long:     "What it has begun to answer is answered. The earlier versions go with it.",
	Bind:     cli.NoFlags(func(ctx context.Context, s *cli.Session) error { return deploy.Remove(ctx, s, s.Arg(0)) }),
}
