package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

var versionCommand = cli.Command{
	Name:  "version",
	Tells: true,
	Short: "print the versions of plugserverctl and of the daemon",
	Bind:  cli.NoFlags(showVersion),
}

// showVersion never fails: without a daemon it shows the command's own version.
func showVersion(ctx context.Context, s *cli.Session) error {
	own := api.Version{Version: version, Go: runtime.Version()}
	v, err := s.Client.Version(ctx)
	both := map[string]*api.Version{"plugserverctl": &own, "plugserverd": &v}
	if err != nil {
		delete(both, "plugserverd")
	}
	s.Tell(both, "plugserverctl %s (%s)\n", own.Version, own.Go)
	if err != nil {
		fmt.Fprintf(s.Problems, "plugserverd: %s\n", terminal.Escape(err.Error()))
	} else if !s.JSON {
		fmt.Fprintf(s.Out, "plugserverd %s (%s)\n", terminal.Escape(v.Version), terminal.Escape(v.Go))
	}
	return nil
}
