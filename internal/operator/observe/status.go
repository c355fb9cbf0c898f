package observe

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/words"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/report"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Status tells how handlers stand.
var Status = cli.Command{
	Name:     "status",
	Tells:    true,
	Args:     "[NAME...]",
	Complete: cli.Handlers,
	Short:    "show every handler, or those named, and why one is not served",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		resources := flags.Bool("resources", false, "show what each handler uses, and may use, in place of what it serves")
		return func(ctx context.Context, s *cli.Session) error {
			st, err := s.Client.Status(ctx)
			if err != nil {
				return err
			}
			if st.Handlers, err = named(st.Handlers, s.Args, !s.JSON); err != nil {
				return err
			}
			if s.JSON {
				return terminal.WriteJSON(s.Out, st)
			}
			table := report.Routes
			if *resources {
				table = report.Resources
			}
			var b bytes.Buffer
			report.Status(&b, st, table, time.Now(), s.Columns)
			if len(s.Args) > 0 {
				report.Details(&b, st.Handlers, s.Columns)
			}
			s.Out.Write(b.Bytes())
			return nil
		}
	},
}

// named are the handlers of those names, all where there are none; with their canaries, where those are wanted.
func named(all []api.Handler, names []string, canaries bool) (some []api.Handler, err error) {
	if len(names) == 0 {
		return all, nil
	}
	var known []string
	for _, h := range all {
		known = append(known, h.Name)
		if slices.Contains(names, h.Name) || canaries && canary.Of(h.Name) != "" && slices.Contains(names, canary.Of(h.Name)) {
			some = append(some, h)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no handler %q%s", name, cmp.Or(words.DidYouMean(name, known), "; see plugserverctl status"))
		}
	}
	return some, nil
}
