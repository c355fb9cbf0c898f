package main

import (
	"context"
	"fmt"
	"runtime"
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
		fmt.Fprintf(s.problems, "plugserverd: %s\n", escape(err.Error()))
	} else {
		fmt.Fprintf(s.out, "plugserverd %s (%s)\n", escape(v.Version), escape(v.Go))
	}
	return nil
}
