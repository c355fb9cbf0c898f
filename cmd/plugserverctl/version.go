package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/andrestc/go-plugserver/internal/terminal"
)

var versionCommand = command{
	name:  "version",
	short: "print the versions of plugserverctl and of the daemon",
	bind:  noFlags(showVersion),
}

// showVersion fails never: without a daemon the command's own version stands.
func showVersion(ctx context.Context, s *session) error {
	fmt.Fprintf(s.out, "plugserverctl %s (%s)\n", version, runtime.Version())
	if v, err := s.client.Version(ctx); err != nil {
		fmt.Fprintf(s.problems, "plugserverd: %s\n", terminal.Escape(err.Error()))
	} else {
		fmt.Fprintf(s.out, "plugserverd %s (%s)\n", terminal.Escape(v.Version), terminal.Escape(v.Go))
	}
	return nil
}
