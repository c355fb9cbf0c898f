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

// A handler's process has what all have, and what it is given.
func TestHandlers(t *testing.T) {
	env := []string{"PATH=/bin", "LC_ALL=C", "DB_PASSWORD=x", "TOKEN=y", "GODEBUG=a=1", "PATHS=/x", "TZ=UTC"}
	for _, tt := range []struct{ pass, set, want []string }{
		{nil, nil, []string{"PATH=/bin", "LC_ALL=C", "GODEBUG=a=1", "TZ=UTC"}},
		{[]string{"TOKEN", "NONE"}, []string{"A=1", "PATH=/mine", "A=2", "B="}, []string{"PATH=/mine", "LC_ALL=C", "TOKEN=y", "GODEBUG=a=1", "TZ=UTC", "A=2", "B="}},
	} {
		if got := Handlers(env, tt.pass, tt.set); !slices.Equal(got, tt.want) {
			t.Errorf("with %q, %q: %q, want %q", tt.pass, tt.set, got, tt.want)
		}
	}
}

func TestWithGODEBUG(t *testing.T) {
	for _, tt := range []struct {
		env   []string
		needs string
		want  []string
	}{
		{nil, "", []string{}},
		{[]string{"A=1"}, "a=1", []string{"A=1", "GODEBUG=a=1"}},
		{[]string{"GODEBUG=b=2"}, "a=1", []string{"GODEBUG=b=2", "GODEBUG=a=1,b=2"}},
	} {
		if got := WithGODEBUG(tt.env, tt.needs); got == nil || !slices.Equal(got, tt.want) {
			t.Errorf("%q with %q: %q, want %q", tt.env, tt.needs, got, tt.want)
		}
	}
}
