// Package observe is the commands of plugserverctl that tell how the service does, and what
// happens to it.
package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Events lists what has happened.
var Events = cli.Command{
	Name:     "events",
	Tells:    true,
	Args:     "[NAME]",
	Complete: cli.Handlers,
	Short:    "list the last events, a thousand at the most, or those of one handler, the oldest first",
	Bind: cli.NoFlags(func(ctx context.Context, s *cli.Session) error {
		all, err := s.Client.Events(ctx, 0, false)
		if err != nil {
			return err
		}
		kept := []api.Event{}
		for _, e := range all.Events {
			if s.Arg(0) == "" || e.Handler == s.Arg(0) {
				kept = append(kept, e)
			}
		}
		if s.JSON {
			return terminal.WriteJSON(s.Out, api.Events{Events: kept})
		}
		for _, e := range kept {
			writeEvent(s.Out, e)
		}
		return nil
	}),
}

// writeEvent writes an event on one line, and below it why, and the fix.
func writeEvent(w io.Writer, e api.Event) {
	fmt.Fprintf(w, "%s  %-7s  %s\n", e.Time.Local().Format(time.DateTime), e.Level, terminal.Escape(e.Text))
	for _, more := range []string{"reason", "mend"} {
		if text := e.Fields[more]; text != "" {
			fmt.Fprintf(w, "    %s\n", terminal.Escape(text))
		}
	}
}

// Watch tells what happens.
var Watch = cli.Command{
	Name:     "watch",
	Args:     "[NAME]",
	Complete: cli.Handlers,
	Short:    "print events as they happen, of all handlers or of one, as lines of JSON, until interrupted",
	Bind:     cli.NoFlags(watch),
}

func watch(ctx context.Context, s *cli.Session) error {
	all, err := s.Client.Events(ctx, 0, false)
	last := uint64(0)
	if n := len(all.Events); n > 0 {
		last = all.Events[n-1].Seq
	}
	for err == nil {
		if all, err = s.Client.Events(ctx, last, true); ctx.Err() != nil {
			return nil // interrupted
		}
		for _, e := range all.Events {
			if last = e.Seq; s.Arg(0) != "" && e.Handler != s.Arg(0) {
				continue
			}
			line, err := json.Marshal(e)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(s.Out, terminal.EscapeJSON(string(line))+"\n"); err != nil {
				return err
			}
		}
	}
	return err
}
