package proc

import (
	"slices"
	"strings"
	"testing"
)

// A child is not told what is the daemon's: neither systemd's words to it, nor where the
// service's credentials are.
func TestEnviron(t *testing.T) {
	for _, name := range []string{"NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC", "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY", "PLUGSERVER_POLL"} {
		t.Setenv(name, "daemon's")
	}
	t.Setenv("CREDENTIALS", "handler's")
	env := Environ()
	if i := slices.IndexFunc(env, func(kv string) bool { return strings.HasSuffix(kv, "=daemon's") }); i >= 0 {
		t.Errorf("a child gets %s", env[i])
	}
	if !slices.Contains(env, "CREDENTIALS=handler's") {
		t.Error("a child does not get what is its own")
	}
}
