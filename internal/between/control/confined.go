package control

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// confined reports whether the process at the other end of a socket has more filters of system calls
// than we: cells have, and whatever they start, for good (seccomp(2)). What cannot be looked
// at is taken for one.
func confined(socket, pid int) bool {
	if pid == 0 {
		return false // of another PID namespace: none of ours
	}
	pidfd, err := unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	switch {
	case err == nil:
		defer unix.Close(pidfd)
	case !errors.Is(err, unix.ENOPROTOOPT): // which is before Linux 6.5
		return true
	}
	theirs, err := filters(strconv.Itoa(pid))
	if err != nil {
		return true
	}
	if pidfd > 0 && errors.Is(unix.PidfdSendSignal(pidfd, 0, nil, 0), unix.ESRCH) {
		return true // it has ended: we may have looked at another of its number
	}
	return theirs > ours()
}

// ours is how many we have: systemd's. It does not change.
var ours = sync.OnceValue(func() int {
	n, _ := filters("self")
	return n
})

// filters is how many filters a process has (proc_pid_status(5)).
func filters(pid string) (int, error) {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if n, ok := strings.CutPrefix(line, "Seccomp_filters:"); ok {
			return strconv.Atoi(strings.TrimSpace(n))
		}
	}
	return 0, fmt.Errorf("read the status of process %s: it has no Seccomp_filters", pid)
}
