package orphans

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unclaimed is how long a child has to be dead before it is nobody's here: whoever starts one that is not noted (Started) waits for its end.
const unclaimed = time.Second

// Reap has this process, where it is the first of its PID namespace as in a container, reap what the kernel gives it for a child and
// nobody here has started, for good: what is left behind by somebody who has entered the container.
func Reap() {
	if os.Getpid() != 1 {
		return
	}
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGCHLD)
	go func() {
		for range ends {
			for dead := reap(nil); len(dead) > 0; dead = reap(dead) {
				time.Sleep(unclaimed)
			}
		}
	}()
}

// dead are children that have ended and were not reaped, by their PIDs and when they began: a PID comes again.
type dead map[string]bool

// reap reaps those of before that are still there, and returns the others.
func reap(before dead) dead {
	sweeping.Lock()
	defer sweeping.Unlock()
	now := dead{}
	for _, pid := range adopted() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		const state, began = 0, 19 // the third and the 22nd of proc_pid_stat(5)
		if err != nil || len(fields) <= began || string(fields[state]) != "Z" {
			continue
		}
		if id := fmt.Sprintf("%d %s", pid, fields[began]); before[id] {
			unix.Wait4(pid, nil, unix.WNOHANG, nil)
		} else {
			now[id] = true
		}
	}
	return now
}
