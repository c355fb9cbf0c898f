package deploy

import (
	"context"
	"fmt"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/report"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// The commands that change how a handler runs, and leave its file as it is.
var (
	Restart = cli.Command{
		Name:     "restart",
		Args:     "NAME",
		Tells:    true,
		Complete: cli.Handlers,
		Short:    "give a handler a new process, and wait until it serves; no request fails",
		Bind:     cli.NoFlags(restart),
	}
	Disable = cli.Command{
		Name:     "disable",
		Args:     "NAME",
		Tells:    true,
		Complete: cli.Handlers,
		Short:    "serve a handler's file no longer, until it is enabled, and wait until its routes are gone",
		Long:     "It holds from one start of the daemon to the next. The file stays where it is.",
		Bind:     cli.NoFlags(disable),
	}
	Enable = cli.Command{
		Name:     "enable",
		Args:     "NAME",
		Tells:    true,
		Complete: cli.Handlers,
		Short:    "serve a handler's file again that was disabled, and wait until it is live",
		Bind:     cli.NoFlags(enable),
	}
)

func restart(ctx context.Context, s *cli.Session) error {
	name := s.Arg(0)
	out, err := WaitFor(ctx, s, name, func(ctx context.Context) (api.Outcome, error) { return s.Client.Restart(ctx, name) })
	if err != nil {
		return err
	}
	if out.Handler == nil {
		return fmt.Errorf("restart %q: somebody has removed the file", name)
	}
	s.Tell(out, "restarted: %s\n", terminal.Escape(Serves(out.Handler)))
	return nil
}

func disable(ctx context.Context, s *cli.Session) error {
	name := s.Arg(0)
	out, err := WaitFor(ctx, s, name, func(ctx context.Context) (api.Outcome, error) { return s.Client.Disable(ctx, name) })
	switch {
	case err != nil:
		return err
	case out.Handler == nil:
		s.Tell(out, "disabled: %s, of which there is no file\n", terminal.Escape(name))
	case out.Handler.State != api.StateDisabled:
		return fmt.Errorf("disable %q: it is %s; see plugserverctl status", name, out.Handler.State)
	default:
		s.Tell(out, "disabled: %s\n", terminal.Escape(name))
	}
	return nil
}

func enable(ctx context.Context, s *cli.Session) error {
	name := s.Arg(0)
	out, err := WaitFor(ctx, s, name, func(ctx context.Context) (api.Outcome, error) { return s.Client.Enable(ctx, name) })
	switch {
	case err != nil:
		return err
	case out.Handler == nil:
		s.Tell(out, "enabled: %s, of which there is no file\n", terminal.Escape(name))
	case out.Handler.Refusal != nil:
		s.Tell(out, "")
		report.Refusal(s.Problems, name, *out.Handler.Refusal)
		return cli.ErrRefused
	default:
		s.Tell(out, "enabled: %s\n", terminal.Escape(Serves(out.Handler)))
	}
	return nil
}
