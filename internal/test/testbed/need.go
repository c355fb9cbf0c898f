package testbed

import (
	"os"
	"os/exec"
)

// Skipper is a TB that may be skipped.
type Skipper interface {
	TB
	Skip(args ...any)
}

// Need skips a test where one of the commands is missing, with how to get it. CI, which
// installs them, may not skip: there the test fails.
func Need(tb Skipper, how string, commands ...string) {
	tb.Helper()
	for _, name := range commands {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		Missing(tb, how)
	}
}

// Missing is Need for what was found to be missing.
func Missing(tb Skipper, how string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf("%s", how)
	}
	tb.Skip(how)
}
