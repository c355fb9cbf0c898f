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
