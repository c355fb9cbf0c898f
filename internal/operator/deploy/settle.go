// Package deploy carries out an operator's changes of the handlers directory: a file
// appears in it whole or not at all, and the daemon's verdict is waited for.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/andrestc/go-plugserver/internal/operator/check"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/report"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// askAgain is how often a wait looks for what is being done.
const askAgain = time.Second

// Outcomes waits for what becomes of handlers.
func Outcomes(ctx context.Context, s *cli.Session, names []string) (map[string]api.Outcome, error) {
	all := make(map[string]api.Outcome)
	if len(names) == 0 {
		return all, nil
	}
	return WaitFor(ctx, s, "", func(ctx context.Context) (map[string]api.Outcome, error) {
		for _, name := range slices.Sorted(slices.Values(names)) {
			out, err := s.Client.Settle(ctx, name)
			if err != nil {
				return nil, err
			}
			all[name] = out
		}
		return all, nil
	})
}

// WaitFor calls ask, which may take as long as a build does, and says meanwhile
// what is being done about the handler, or with no name about any.
func WaitFor[T any](ctx context.Context, s *cli.Session, name string, ask func(context.Context) (T, error)) (out T, err error) {
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		out, err = ask(ctx)
	}()
	tick := time.NewTicker(askAgain)
	defer tick.Stop()
	said := make(map[string]string)
	for {
		select {
		case <-answered:
			return out, err
		case <-tick.C:
		}
		st, err := s.Client.Status(ctx)
		if err != nil {
			continue // ask says why
		}
		for _, h := range st.Handlers {
			if (h.Name == name || name == "") && h.Doing != "" && h.Doing != said[h.Name] {
				said[h.Name] = h.Doing
				fmt.Fprintf(s.Problems, "%s: %s\n", terminal.Escape(h.Name), terminal.Escape(h.Doing))
			}
		}
	}
}

// settle waits until what was done to the handler's file is in force. done
// tells what an interruption does not undo.
func settle(ctx context.Context, s *cli.Session, name, done string) (api.Outcome, error) {
	out, err := WaitFor(ctx, s, name, func(ctx context.Context) (api.Outcome, error) { return s.Client.Settle(ctx, name) })
	if err != nil {
		return out, fmt.Errorf("%w; %s: see plugserverctl status", err, done)
	}
	if out.Problem != "" {
		fmt.Fprintf(s.Problems, "problem: %s\n", terminal.Escape(out.Problem))
	}
	return out, nil
}

// CheckName returns the refusal of a name that no handler can have.
func CheckName(name string) error {
	if handlerdir.ValidName(name) {
		return nil
	}
	return errors.New(badfile.BadName(name+".so").Reason + "; use letters, digits, '.', '_' and '-', and at first a letter or a digit")
}

// denied words an error of the user uid, who changes the handlers directory.
func denied(uid int, err error) error {
	if errors.Is(err, fs.ErrPermission) && uid != 0 {
		return fmt.Errorf("%w; the directory is root's: run it with sudo", err)
	}
	return err
}

// Serves words a handler that serves.
func Serves(h *api.Handler) string {
	return fmt.Sprintf("%s, version %s: %s", h.Name, h.Version, report.Patterns(h.Patterns, check.WellWidth))
}
