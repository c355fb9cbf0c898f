package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what one process uses at one moment, as the kernel counts it (proc(5)).
type Usage struct {
	// Private is the memory in bytes that would be free if the process ended:
	// RssAnon, RssShmem and VmSwap (proc_pid_status(5)).
	Private int64
	// Proportional is its memory in bytes where what it shares counts in part (Pss,
	// proc_pid_smaps(5)); 0 where the kernel does not tell.
	Proportional int64
	Descriptors  int           // open
	Threads      int           // of the kernel
	CPU          time.Duration // user and system time so far
}

// tick is the unit of the times in /proc/PID/stat: sysconf(_SC_CLK_TCK), which
// is 100 on all of Linux's platforms that have Go.
const tick = time.Second / 100

// UsageOf returns what the process uses. The error is fs.ErrNotExist once it is gone.
func UsageOf(pid int) (Usage, error) {
	u, err := memory(pid)
	if err != nil {
		return u, err
	}
	if u.CPU, err = cpu(pid); err != nil {
		return u, err
	}
	u.Proportional, _ = proportional(pid)
	u.Descriptors, err = descriptors(pid)
	return u, err
}

// private returns Usage.Private alone, at a tenth of the cost.
func private(pid int) (int64, error) {
	u, err := memory(pid)
	return u.Private, err
}

// descriptors returns the number of descriptors that the process has open.
func descriptors(pid int) (int, error) {
	d, err := os.Open(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	return len(names), err
}

func proportional(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			return kibibytes(rest), nil
		}
	}
	return 0, errors.New("read smaps_rollup: it has no Pss")
}

func memory(pid int) (u Usage, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "RssAnon", "RssShmem", "VmSwap":
			u.Private += kibibytes(value)
		case "Threads":
			u.Threads, _ = strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return u, nil
}

// kibibytes reads "   1234 kB" and returns bytes.
func kibibytes(value string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
	return n << 10
}

func cpu(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything; after it the third field comes.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("read stat: too few fields")
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick, nil
}
