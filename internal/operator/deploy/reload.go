package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/report"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Reload looks at the handlers again.
var Reload = cli.Command{
	Name:  "reload",
	Tells: true,
	Short: "look at the handlers again and wait until all is in force; exit 1 if something was refused",
	Bind:  cli.NoFlags(reload),
}

// Release tries a handler again that was given up.
var Release = cli.Command{
	Name:     "release",
	Tells:    true,
	Args:     "NAME",
	Complete: cli.Handlers,
	Short:    "try a handler's file again that was given up for crashing",
	Bind:     cli.NoFlags(release),
}

func reload(ctx context.Context, s *cli.Session) error {
	re, err := WaitFor(ctx, s, "", s.Client.Reload)
	if err != nil {
		return err
	}
	s.Tell(re, "reloaded: %d live\n", re.Live)
	if s.JSON {
		re.RolledBack, re.Notes = nil, nil // they are told
	}
	// One line a fact, unwrapped: systemd runs this and the journal keeps it.
	for _, name := range slices.Sorted(maps.Keys(re.RolledBack)) {
		what := "rolled back"
		if canary.Of(name) != "" {
			what = "withdrawn"
		}
		fmt.Fprintf(s.Out, "%s %s: %s\n", what, terminal.Escape(name), terminal.Escape(re.RolledBack[name].Reason))
	}
	for _, n := range re.Notes {
		fmt.Fprintf(s.Out, "note: %s\n", terminal.Escape(n))
	}
	for _, name := range slices.Sorted(maps.Keys(re.Refused)) {
		report.Refusal(s.Problems, name, re.Refused[name])
	}
	if re.Problem != "" {
		fmt.Fprintf(s.Problems, "problem: %s\n", terminal.Escape(re.Problem))
	}
	if len(re.Refused) > 0 || re.Problem != "" {
		return cli.ErrRefused
	}
	return nil
}

// release reports on the one handler.
func release(ctx context.Context, s *cli.Session) error {
	name := s.Arg(0)
	re, err := WaitFor(ctx, s, name, func(ctx context.Context) (api.Reload, error) { return s.Client.Release(ctx, name) })
	if err != nil {
		return err
	}
	if r, ok := re.Refused[name]; ok {
		s.Tell(re, "")
		report.Refusal(s.Problems, name, r)
		return cli.ErrRefused
	}
	if re.Nothing {
		s.Tell(re, "nothing to release: %s is live, with its newest file\n", terminal.Escape(name))
		return nil
	}
	s.Tell(re, "released: %s is live\n", terminal.Escape(name))
	return nil
}
