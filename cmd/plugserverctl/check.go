package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/routes"
	"github.com/andrestc/go-plugserver/internal/operator/check"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
	"github.com/andrestc/go-plugserver/internal/operator/trial"
)

var checkCommand = cli.Command{
	Name:  "check",
	Tells: true,
	Args:  "FILE.so",
	Short: "tell whether a handler's file would be served, and if not, why, and the fix; needs no daemon",
	Long: "First the file is read, and none of it run: what it says of itself, and whether an installed cell loads it. " +
		"Then it is tried in a cell of its own, which runs its init, Start, Handler and Stop, and ends: " +
		"without a terminal, with PATH, LANG, TZ and the like of the environment, a folder of its own as HOME and TMPDIR, " +
		"in a sandbox, so that it writes nothing else and listens nowhere, " +
		"and, where root asks, as the user plugserver or nobody. Exit 1 if anything is in the way.",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		confined := cli.Switch(flags, "sandbox", "whether the handler is confined, as plugserverd has it")
		noTrial := flags.Bool("no-trial", false, "only read the file")
		binaries := cellFlags(flags)
		var env []string
		flags.Func("env", "let the handler have this variable of the environment; `NAME`, may be repeated", func(name string) error {
			if _, ok := os.LookupEnv(name); !ok {
				return errors.New("it is not set")
			}
			env = append(env, name)
			return nil
		})
		limit := flags.Duration("start-timeout", 10*time.Second, "how long the handler may take to become ready, a `TIME` such as 10s")
		var bounds link.Limits
		flags.IntVar(&bounds.MaxPatterns, "max-patterns", routes.MaxPatterns, "how many patterns the handler may have")
		flags.IntVar(&bounds.MaxPatternBytes, "max-pattern-bytes", routes.MaxPatternBytes, "how long each may be, in `BYTES`")
		flags.Var(&bounds.Mux, "mux", routes.Dialects+": the `ROUTER` whose patterns the handler gives (default std)")
		return func(ctx context.Context, s *cli.Session) error {
			r, err := check.Inspect(s.Arg(0), binaries())
			if err != nil {
				return err
			}
			if !s.JSON {
				r.Write(s.Out, s.Columns) // a trial takes its time
			}
			if r.OK && !*noTrial {
				if err := r.Try(ctx, trial.Trial{Limit: *limit, Env: env, Limits: bounds, Open: !*confined}); err != nil {
					return err
				}
				if !s.JSON {
					r.Last().Write(s.Out)
				}
			}
			if s.JSON {
				if err := terminal.WriteJSON(s.Out, r); err != nil {
					return err
				}
			}
			if !r.OK {
				return cli.ErrRefused
			}
			return nil
		}
	},
}
