package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/andrestc/go-plugserver/internal/daemon/settings"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

var checkConfigCommand = cli.Command{
	Name:  "check-config",
	Args:  "[FILE]",
	Short: "check the settings, and their drop-ins, with no daemon; exit 1 if something is wrong",
	Long:  "FILE is by default $PLUGSERVER_CONFIG, else " + settings.DefaultPath + ".",
	Bind:  cli.NoFlags(checkConfig),
}

func checkConfig(_ context.Context, s *cli.Session) error {
	path := cmp.Or(s.Arg(0), os.Getenv("PLUGSERVER_CONFIG"), settings.DefaultPath)
	file, err := settings.Check(path)
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintln(s.Problems, terminal.Escape(line))
		}
		return cli.ErrRefused
	}
	fmt.Fprintf(s.Out, "%s: nothing is wrong; handlers with settings: %d\n", terminal.Escape(path), len(file.Named()))
	return nil
}
