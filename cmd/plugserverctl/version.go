package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

var versionCommand = cli.Command{
	Name:  "version",
	Short: "print the versions of plugserverctl and of the daemon",
	Bind:  cli.NoFlags(showVersion),
}

// showVersion never fails: without a daemon it shows the command's own version.
func showVersion(ctx context.Context, s *cli.Session) error {
	fmt.Fprintf(s.Out, "plugserverctl %s (%s)\n", version, runtime.Version())
	if v, err := s.Client.Version(ctx); err != nil {
		fmt.Fprintf(s.Problems, "plugserverd: %s\n", terminal.Escape(err.Error()))
	} else {
		fmt.Fprintf(s.Out, "plugserverd %s (%s)\n", terminal.Escape(v.Version), terminal.Escape(v.Go))
	}
	return nil
}
