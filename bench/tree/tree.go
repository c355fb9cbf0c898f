// Package tree knows a process with all its descendants, and what they use.
package tree

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Of returns the processes that live now: root and its descendants.
func Of(root int) []int {
	children := make(map[int][]int)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// PID (name) state PPID …, and the name may hold anything.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		parent, _ := strconv.Atoi(fields[1])
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		children[parent] = append(children[parent], pid)
	}
	pids := []int{root}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children[pids[i]]...)
	}
	return pids
}

// Held are processes by descriptors (pidfd_open(2)): their numbers may become
// those of others once they have ended, and do within a minute where much is
// started.
type Held []int

// Hold holds root, which has not been reaped, and its descendants.
func Hold(root int) (h Held) {
	fds := make(map[int]int)
	for _, pid := range Of(root) {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			fds[pid] = fd
		}
	}
	// One that had ended before it was held is no descendant any more.
	for _, pid := range Of(root) {
		if fd, ok := fds[pid]; ok {
			h = append(h, fd)
			delete(fds, pid)
		}
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
	return h
}

// Kill ends those that live, and holds none any more.
func (h Held) Kill() {
	for _, fd := range h {
		unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		unix.Close(fd)
	}
}

// CPU is the time that all threads of the processes have been on a processor,
// those that have ended too: utime and stime of proc(5), in nanoseconds
// instead of its hundredths of a second. A process that has gone is an error.
func CPU(pids []int) (total time.Duration, err error) {
	for _, pid := range pids {
		// The clock of a process by its number, as clock_getcpuclockid(3)
		// makes it: CPUCLOCK_SCHED is 2.
		d, err := clock(int32(^pid<<3 | 2))
		if err != nil {
			return 0, fmt.Errorf("process %d has ended while it was measured: %w", pid, err)
		}
		total += d
	}
	return total, nil
}

// Own is the CPU time of this process.
func Own() (time.Duration, error) { return clock(unix.CLOCK_PROCESS_CPUTIME_ID) }

func clock(id int32) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		return 0, err
	}
	return time.Duration(t.Nano()), nil
}
