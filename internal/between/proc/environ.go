package proc

import (
	"os"
	"slices"
	"strings"
)

// Environ is the environment of children: the daemon's own, less what systemd means for
// the daemon alone. Where the service's credentials are is among that.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		for _, p := range []string{"NOTIFY_SOCKET=", "LISTEN_", "WATCHDOG_", "JOURNAL_STREAM=", "CREDENTIALS_DIRECTORY=", "PLUGSERVER_"} {
			if strings.HasPrefix(kv, p) {
				return true
			}
		}
		return false
	})
}

// kept are the variables that every handler's process has of ours: where programs, the
// time zone and the roots of trust are, which language is spoken, and what Go's runtime
// goes by.
var kept = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TZ", "ZONEINFO", "LANG", "LANGUAGE",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "RES_OPTIONS", "LOCALDOMAIN",
	"GODEBUG", "GOTRACEBACK", "GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GORACE", "GOCOVERDIR",
}

// Handlers is the environment of a handler's process: of env, which is Environ's, what all have and
// what pass names; and the assignments of set, where the last of a name stands for all before.
func Handlers(env, pass, set []string) (all []string) {
	at := make(map[string]int)
	put := func(kv string) {
		name, _, _ := strings.Cut(kv, "=")
		if i, ok := at[name]; ok {
			all[i] = kv
			return
		}
		at[name] = len(all)
		all = append(all, kv)
	}
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if slices.Contains(kept, name) || strings.HasPrefix(name, "LC_") || slices.Contains(pass, name) {
			put(kv)
		}
	}
	for _, kv := range set {
		put(kv)
	}
	return all
}

// WithGODEBUG is env with what a process needs of GODEBUG, before what env says of it. It is
// never nil, which a child would take for our own.
func WithGODEBUG(env []string, needs string) []string {
	all := append([]string{}, env...)
	if needs == "" {
		return all
	}
	for _, kv := range env {
		if own, ok := strings.CutPrefix(kv, "GODEBUG="); ok {
			needs += "," + own
		}
	}
	return append(all, "GODEBUG="+needs) // the last holds
}
