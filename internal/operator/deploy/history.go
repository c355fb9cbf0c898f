package deploy

import (
	"context"
	"fmt"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/report"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// History lists the versions of a handler.
var History = cli.Command{
	Name:     "history",
	Tells:    true,
	Args:     "NAME",
	Complete: cli.Handlers,
	Short:    "list the versions of a handler that can be served, the newest first",
	Bind: cli.NoFlags(func(ctx context.Context, s *cli.Session) error {
		h, err := s.Client.History(ctx, s.Arg(0))
		if err != nil {
			return err
		}
		if s.JSON {
			return terminal.WriteJSON(s.Out, h)
		}
		report.History(s.Out, h, time.Now())
		return nil
	}),
}

// Rollback has an earlier version serve.
var Rollback = cli.Command{
	Name:     "rollback",
	Tells:    true,
	Args:     "NAME [VERSION]",
	Complete: cli.Versions,
	Short:    "serve an earlier version of a handler, by default the one before, and wait until it is live",
	Long: "Versions are those of history. The file in the directory stays as it is: " +
		"copy it again, or release the handler, and it is served.",
	Bind: cli.NoFlags(rollback),
}

func rollback(ctx context.Context, s *cli.Session) error {
	name := s.Arg(0)
	out, err := WaitFor(ctx, s, name, func(ctx context.Context) (api.Outcome, error) {
		return s.Client.Rollback(ctx, name, s.Arg(1))
	})
	if err != nil {
		return err
	}
	if out.Problem != "" {
		fmt.Fprintf(s.Problems, "problem: %s\n", terminal.Escape(out.Problem))
	}
	if out.Handler == nil {
		return fmt.Errorf("roll back %q: somebody has removed the file", name)
	}
	s.Tell(out, "rolled back: %s\n", terminal.Escape(Serves(out.Handler)))
	return nil
}
