package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/api"
	"github.com/andrestc/go-plugserver/internal/terminal"
)

var historyCommand = command{
	name:  "history",
	args:  "NAME",
	short: "list the versions of a handler that can be served, the newest first",
	bind: func(flags *flag.FlagSet) runner {
		asJSON := flags.Bool("json", false, "print one object, for programs")
		return func(ctx context.Context, s *session) error {
			h, err := s.client.History(ctx, s.arg(0))
			if err != nil {
				return err
			}
			if *asJSON {
				return writeJSON(s.out, h)
			}
			writeHistory(s.out, h, time.Now())
			return nil
		}
	},
}

var rollbackCommand = command{
	name:  "rollback",
	args:  "NAME [VERSION]",
	short: "serve an earlier version of a handler, by default the one before, and wait until it is live",
	long: "Versions are those of history. The file in the directory stays as it is: " +
		"copy it again, or release the handler, and it is served.",
	bind: noFlags(rollback),
}

func rollback(ctx context.Context, s *session) error {
	name := s.arg(0)
	out, err := waitFor(ctx, s, name, func(ctx context.Context) (api.Outcome, error) {
		return s.client.Rollback(ctx, name, s.arg(1))
	})
	if err != nil {
		return err
	}
	if out.Problem != "" {
		fmt.Fprintf(s.problems, "problem: %s\n", terminal.Escape(out.Problem))
	}
	if out.Handler == nil {
		return fmt.Errorf("roll back %q: somebody has removed the file", name)
	}
	fmt.Fprintf(s.out, "rolled back: %s\n", terminal.Escape(serves(out.Handler)))
	return nil
}

func writeHistory(w io.Writer, h api.History, now time.Time) {
	if len(h.Versions) == 0 {
		fmt.Fprintf(w, "%s has no version that was live\n", terminal.Escape(h.Name))
		return
	}
	fmt.Fprintf(w, "%-12s  %-20s  %5s\n", "VERSION", "LIVE", "AGE")
	for _, v := range h.Versions {
		var notes []string
		for _, n := range []struct {
			is   bool
			what string
		}{{v.Current, "serves"}, {v.Bad, "crashed too often"}, {v.Held, "rolled back"}} {
			if n.is {
				notes = append(notes, n.what)
			}
		}
		live := "-"
		if !v.Live.IsZero() {
			live = v.Live.UTC().Format("2006-01-02T15:04:05Z")
		}
		line := fmt.Sprintf("%s  %-20s  %5s  %s", terminal.Pad(terminal.Escape(v.Version), 12, false), live, terminal.Age(v.Live, now), strings.Join(notes, ", "))
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}
