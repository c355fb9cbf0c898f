package peer

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// looked reports whether the process at the other end of a socket has more filters of system calls
// than we: cells have, and whatever they start, for good (seccomp(2)); and whether it descends from ancestor, as all handlers'
// do of the daemon, in a sandbox or not. What cannot be looked at is taken for one.
func looked(socket, pid, ancestor int) (confined, child bool) {
	if pid == 0 {
		return false, false // of another PID namespace: none of ours
	}
	pidfd, err := unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	switch {
	case err == nil:
		defer unix.Close(pidfd)
	case !errors.Is(err, unix.ENOPROTOOPT): // which is before Linux 6.5
		return true, ancestor != 0
	}
	theirs, err := inStatus(strconv.Itoa(pid), "Seccomp_filters:")
	confined, child = err != nil || theirs > ours(), ancestor != 0 && descends(pid, ancestor)
	if pidfd > 0 && errors.Is(unix.PidfdSendSignal(pidfd, 0, nil, 0), unix.ESRCH) {
		return true, ancestor != 0 // it has ended: we may have looked at another of its number
	}
	return confined, child
}

// descends reports whether ancestor has started pid, or who has started it; not of itself.
func descends(pid, ancestor int) bool {
	parentOf := func(pid int) (int, error) { return inStatus(strconv.Itoa(pid), "PPid:") }
	parent, err := parentOf(pid)
	for range 1000 { // more is nobody's whom we know
		switch {
		case err != nil || parent == ancestor:
			return true
		case parent <= 1:
			return false
		}
		child := pid
		pid = parent
		if parent, err = parentOf(pid); err != nil {
			// Hidden from us, as others' may be (hidepid), or gone; ours are not hidden.
			again, gone := parentOf(child)
			return gone != nil || again != pid
		}
	}
	return true
}

// ours is how many we have: systemd's. It does not change.
var ours = sync.OnceValue(func() int {
	n, _ := inStatus("self", "Seccomp_filters:")
	return n
})

// inStatus is a number that the kernel tells of a process (proc_pid_status(5)).
func inStatus(pid, field string) (int, error) {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if n, ok := strings.CutPrefix(line, field); ok {
			return strconv.Atoi(strings.TrimSpace(n))
		}
	}
	return 0, fmt.Errorf("read the status of process %s: it has no %s", pid, field)
}
