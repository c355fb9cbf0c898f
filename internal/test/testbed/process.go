package testbed

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process is one process of a daemon's tree.
type Process struct {
	PID  int
	Args string // its command line
	FDs  int    // open descriptors
	RSS  int64  // bytes
	// Threads are kernel tasks; the Go runtime keeps those that it made.
	Threads int
}

// processes returns the living processes that have mark in their environment.
func processes(mark string) []Process {
	var out []Process
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		env, err := os.ReadFile(dir + "/environ")
		if err != nil || !bytes.Contains(append([]byte{0}, env...), []byte("\x00"+mark+"\x00")) {
			continue // a zombie has no environment
		}
		pid, _ := strconv.Atoi(filepath.Base(dir))
		args, _ := os.ReadFile(dir + "/cmdline")
		p := Process{PID: pid, Args: strings.TrimSpace(strings.ReplaceAll(string(args), "\x00", " "))}
		fds, _ := os.ReadDir(dir + "/fd")
		p.FDs = len(fds)
		status, _ := os.ReadFile(dir + "/status")
		for line := range strings.Lines(string(status)) {
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				p.RSS = kb << 10
			}
			if rest, ok := strings.CutPrefix(line, "Threads:"); ok {
				p.Threads, _ = strconv.Atoi(strings.TrimSpace(rest))
			}
		}
		out = append(out, p)
	}
	return out
}

// AwaitDeath returns once the process is gone (pidfd_open(2)).
func AwaitDeath(pid int, limit time.Duration) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return fmt.Errorf("watch process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	for end := time.Now().Add(limit); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(end)/time.Millisecond)+1)
		switch {
		case n > 0:
			return nil
		case err != nil && err != unix.EINTR:
			return fmt.Errorf("watch process %d: %w", pid, err)
		case time.Now().After(end):
			return fmt.Errorf("process %d is still there after %v", pid, limit)
		}
	}
}
