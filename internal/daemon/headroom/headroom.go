// Package headroom says whether there is room for one more process, so that what runs goes on where there is none: a service without a
// descriptor neither looks at its directory nor answers its operator, and a Go program that gets no thread ends.
package headroom

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/andrestc/go-plugserver/internal/between/cgroup"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"golang.org/x/sys/unix"
)

const (
	// One of part descriptors is left for what is no process of a handler's, and most at the most; and as many for processes that take
	// the place of others.
	part, most = 8, 128
	// The tasks that are left are for threads of those that run.
	partTasks, mostTasks = 32, 512
)

// left is how many of a limit are left by a process; one that is to take the place of what serves leaves half as many.
func left(limit, part, most int, served bool) int {
	n := min(limit/part, most)
	if !served {
		n *= 2
	}
	return n
}

// descriptors is how many this process may have; others may change that (prlimit(2)).
func descriptors() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil || l.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(l.Cur)
}

// Below is the number below which the descriptors of one more child are to be. The kernel gives the lowest that is free.
func Below(served bool) int {
	limit := descriptors()
	return limit - left(limit, part, most, served)
}

// Tasks returns a refusal where there are nearly as many processes and threads as there may be.
func Tasks(served bool) error {
	for _, b := range append(ofService(), ofMachine()...) {
		if kept := left(b.limit, partTasks, mostTasks, served); b.is+kept > b.limit {
			return refusal.Because(refusal.NoTasks(b.limit, kept, b.what, b.fix), unix.EAGAIN)
		}
	}
	return nil
}

// bound is one on tasks.
type bound struct {
	is, limit int
	what, fix string
}

// ofMachine are those of all processes.
func ofMachine() (all []bound) {
	text, _ := os.ReadFile("/proc/loadavg") // 0.20 0.18 0.12 1/80 11206
	var is int
	if f := strings.Fields(string(text)); len(f) > 3 {
		_, total, _ := strings.Cut(f[3], "/")
		is, _ = strconv.Atoi(total)
	}
	for file, name := range map[string]string{"pid_max": "kernel.pid_max", "threads-max": "kernel.threads-max"} {
		if limit, ok := number("/proc/sys/kernel/" + file); ok {
			all = append(all, bound{is, limit, name, "raise " + name + " by sysctl"})
		}
	}
	return all
}

// groups are the control group that this process is in, and those that it is in.
var groups = sync.OnceValue(func() (dirs []string) {
	dir, err := cgroup.Self()
	for err == nil && dir != "/" {
		if _, err = os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
			dirs = append(dirs, dir)
		}
		dir = filepath.Dir(dir)
	}
	return dirs
})

// ofService are those of the control groups.
func ofService() (all []bound) {
	for _, dir := range groups() {
		if limit, ok := number(filepath.Join(dir, "pids.max")); ok {
			is, _ := number(filepath.Join(dir, "pids.current"))
			all = append(all, bound{is, limit, "TasksMax= of " + filepath.Base(dir), "raise TasksMax= of " + filepath.Base(dir)})
		}
	}
	return all
}

// number reads a file that has one, and no other word such as "max".
func number(path string) (n int, ok bool) {
	text, err := os.ReadFile(path)
	if err == nil {
		n, err = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	return n, err == nil
}

// Worded is an error of a start, with a refusal where this process has no descriptor for it, or the system no process.
func Worded(err error) error {
	var r *refusal.Error
	switch {
	case err == nil || errors.As(err, &r):
		return err
	case errors.Is(err, unix.EMFILE):
		limit := descriptors()
		return refusal.Because(refusal.NoDescriptors(limit, left(limit, part, most, false)), err)
	case errors.Is(err, unix.EAGAIN):
		return refusal.Because(refusal.NoProcess(), err)
	}
	return err
}
