package sd

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

const (
	notifyWait = time.Second // for room in the service manager's queue
	maxStatus  = 1024        // bytes; the service manager ignores messages beyond 4096
)

// Notifier speaks sd_notify(3) with the service manager. It is safe for
// concurrent use. Where nobody listens (the zero Notifier, or no NOTIFY_SOCKET
// in the environment) its methods do nothing and return nil. They wait a second
// at most.
//
// A status is one line for `systemctl status`; an empty one leaves the last
// one standing.
type Notifier struct {
	socket   string // "" is mute
	interval time.Duration
}

// NewNotifier takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the
// environment, so that no child speaks for the supervisor.
func NewNotifier() *Notifier {
	// A malformed interval is the manager's own mistake; it is off then.
	limit, _ := daemon.SdWatchdogEnabled(true)
	n := &Notifier{socket: os.Getenv("NOTIFY_SOCKET"), interval: limit / 2}
	os.Unsetenv("NOTIFY_SOCKET")
	return n
}

// Heard reports whether somebody listens.
func (n *Notifier) Heard() bool { return n.socket != "" }

// Ready says that the start, or a reload, is done.
func (n *Notifier) Ready(status string) error {
	return n.send(daemon.SdNotifyReady, statusLine(status))
}

// Status says what the daemon does now.
func (n *Notifier) Status(status string) error {
	return n.send(statusLine(status))
}

// Reloading says that a reload began now (CLOCK_MONOTONIC). Ready ends it.
func (n *Notifier) Reloading() error {
	return n.send(daemon.SdNotifyReloading, daemon.SdNotifyMonotonicUsec())
}

// Stopping says that the daemon drains and will exit.
func (n *Notifier) Stopping(status string) error {
	return n.send(daemon.SdNotifyStopping, statusLine(status))
}

// Extend asks for d from now, to the microsecond, before the start or the stop
// under way counts as hung. It never shortens the unit's own limit; beyond that
// one, the next Extend must come within d.
func (n *Notifier) Extend(d time.Duration) error {
	return n.send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", max(d.Microseconds(), 1)))
}

// Watchdog says that the daemon is well.
func (n *Notifier) Watchdog() error {
	return n.send(daemon.SdNotifyWatchdog)
}

// Interval is the pause between two calls of Watchdog: half of what the unit's
// WatchdogSec= allows; 0 where no watchdog waits for this process.
func (n *Notifier) Interval() time.Duration { return n.interval }

// statusLine is a STATUS= assignment; a line break in it would begin another
// assignment, and bytes that are no UTF-8 would void it.
func statusLine(s string) string {
	if s == "" {
		return ""
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	return "STATUS=" + strings.ToValidUTF8(s[:min(len(s), maxStatus)], "")
}

// send is not daemon.SdNotify: that one reads NOTIFY_SOCKET anew for each
// message, and waits without a bound.
func (n *Notifier) send(assignments ...string) error {
	state := strings.TrimSpace(strings.Join(assignments, "\n"))
	if n.socket == "" || state == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err == nil {
		defer c.Close()
		c.SetWriteDeadline(time.Now().Add(notifyWait))
		_, err = c.Write([]byte(state))
	}
	if err != nil {
		what, _, _ := strings.Cut(state, "\n")
		return fmt.Errorf("notify systemd of %q: %w", what, err)
	}
	return nil
}
