package observe

import (
	"context"
	"flag"
	"fmt"

	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Show tells what is set for a handler.
var Show = cli.Command{
	Name:     "show",
	Args:     "NAME",
	Complete: cli.Handlers,
	Short:    "show what is set for a handler, and in which line of which file",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		asJSON := flags.Bool("json", false, "print one object, for programs")
		return func(ctx context.Context, s *cli.Session) error {
			shown, err := s.Client.Show(ctx, s.Arg(0))
			if err != nil {
				return err
			}
			if *asJSON {
				return terminal.WriteJSON(s.Out, shown)
			}
			for _, set := range shown.Settings {
				fmt.Fprintf(s.Out, "%s=%s  # %s\n", set.Key, terminal.Escape(set.Value), terminal.Escape(set.Where))
			}
			return nil
		}
	},
}
