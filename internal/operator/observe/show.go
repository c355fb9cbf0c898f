package observe

import (
	"context"
	"fmt"

	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/report"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Show tells what is set for a handler.
var Show = cli.Command{
	Name:     "show",
	Tells:    true,
	Args:     "NAME",
	Complete: cli.Handlers,
	Short:    "show what is set for a handler, and in which line of which file",
	Bind: cli.NoFlags(func(ctx context.Context, s *cli.Session) error {
		shown, err := s.Client.Show(ctx, s.Arg(0))
		if err != nil {
			return err
		}
		if s.JSON {
			return terminal.WriteJSON(s.Out, shown)
		}
		if shown.Signed != nil {
			fmt.Fprintf(s.Out, "# version %s, %s\n", terminal.Escape(shown.Version), report.Signed(shown.Signed))
		}
		if shown.Origin != nil {
			fmt.Fprintf(s.Out, "# came from %s\n", terminal.Escape(report.Origin(shown.Origin)))
		}
		for _, set := range shown.Settings {
			where := set.Where
			if set.NotInForce != "" {
				where += "; not in force: " + set.NotInForce
			}
			fmt.Fprintf(s.Out, "%s=%s  # %s\n", set.Key, terminal.Escape(set.Value), terminal.Escape(where))
		}
		return nil
	}),
}
