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
	Tells: true,
	Args:  "[FILE]",
	Short: "check the settings, and their drop-ins, with no daemon; exit 1 if something is wrong",
	Long:  "FILE is by default $PLUGSERVER_CONFIG, else " + settings.DefaultPath + ".",
	Bind:  cli.NoFlags(checkConfig),
}

// checked is what it tells programs.
type checked struct {
	File     string   `json:"file"`
	Handlers int      `json:"handlers"` // with settings
	Problems []string `json:"problems"`
}

func checkConfig(_ context.Context, s *cli.Session) error {
	path := cmp.Or(s.Arg(0), os.Getenv("PLUGSERVER_CONFIG"), settings.DefaultPath)
	file, err := settings.Check(path)
	if err != nil {
		s.Tell(checked{path, 0, strings.Split(err.Error(), "\n")}, "")
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintln(s.Problems, terminal.Escape(line))
		}
		return cli.ErrRefused
	}
	s.Tell(checked{path, len(file.Named()), []string{}}, "%s: nothing is wrong; handlers with settings: %d\n", terminal.Escape(path), len(file.Named()))
	return nil
}
