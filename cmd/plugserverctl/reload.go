package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/andrestc/go-plugserver/internal/api"
	"github.com/andrestc/go-plugserver/internal/terminal"
)

var reloadCommand = command{
	name:  "reload",
	short: "look at the handlers again and wait until all is in force; exit 1 if something was refused",
	bind:  noFlags(reload),
}

var releaseCommand = command{
	name:  "release",
	args:  "NAME",
	short: "try a handler's file again that was given up for crashing",
	bind:  noFlags(release),
}

func reload(ctx context.Context, s *session) error {
	re, err := s.client.Reload(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "reloaded: %d live\n", re.Live)
	// One line a fact, unwrapped: systemd runs this and the journal keeps it.
	for _, name := range slices.Sorted(maps.Keys(re.RolledBack)) {
		fmt.Fprintf(s.out, "rolled back %s: %s\n", terminal.Escape(name), terminal.Escape(re.RolledBack[name].Reason))
	}
	for _, n := range re.Notes {
		fmt.Fprintf(s.out, "note: %s\n", terminal.Escape(n))
	}
	for _, name := range slices.Sorted(maps.Keys(re.Refused)) {
		showRefusal(s.problems, name, re.Refused[name])
	}
	if re.Problem != "" {
		fmt.Fprintf(s.problems, "problem: %s\n", terminal.Escape(re.Problem))
	}
	if len(re.Refused) > 0 || re.Problem != "" {
		return errRefused
	}
	return nil
}

// release reports on the one handler.
func release(ctx context.Context, s *session) error {
	name := s.arg(0)
	re, err := s.client.Release(ctx, name)
	if err != nil {
		return err
	}
	if r, ok := re.Refused[name]; ok {
		showRefusal(s.problems, name, r)
		return errRefused
	}
	if re.Nothing {
		fmt.Fprintf(s.out, "nothing to release: %s is live, with its newest file\n", terminal.Escape(name))
		return nil
	}
	fmt.Fprintf(s.out, "released: %s is live\n", terminal.Escape(name))
	return nil
}

func showRefusal(w io.Writer, name string, r api.Refusal) {
	fmt.Fprintf(w, "refused %s: %s\n", terminal.Escape(name), terminal.Escape(r.Reason))
	writeFixes(w, "  ", r.Mend, r.Or)
}
