package proc

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Limits bound what a child may use; 0 is no bound. A child that is beyond its
// memory is killed, within a second, or by the kernel at once where it has a control group; beyond
// its descriptors the kernel gives it none (EMFILE), and it goes on. CPU and Tasks bound where there
// are control groups.
type Limits struct {
	Memory      int64 // bytes of private memory (Usage.Private)
	Descriptors int   // RLIMIT_NOFILE, getrlimit(2)
	CPU         int   // hundredths of a percent of one processor
	Tasks       int   // processes and threads, with all that it starts
}

// And bounds what two may use together that share a child; where one has no bound,
// they have none.
func (l Limits) And(o Limits) Limits {
	return Limits{sumOrNone(l.Memory, o.Memory), sumOrNone(l.Descriptors, o.Descriptors), sumOrNone(l.CPU, o.CPU), sumOrNone(l.Tasks, o.Tasks)}
}

func sumOrNone[N int | int64](a, b N) N {
	if a == 0 || b == 0 {
		return 0
	}
	return a + b
}

// sampleEvery is how often a child that has a limit on memory is looked at.
const sampleEvery = 250 * time.Millisecond

// environ tells the Go runtime to keep below the limit: it collects harder
// then (https://pkg.go.dev/runtime, GOMEMLIMIT). A limit in env stands.
func (l Limits) environ(env []string) []string {
	if l.Memory == 0 {
		return env
	}
	for _, kv := range env {
		if strings.HasPrefix(kv, "GOMEMLIMIT=") {
			return env
		}
	}
	return append(env[:len(env):len(env)], fmt.Sprintf("GOMEMLIMIT=%d", l.Memory/10*9))
}

// apply sets what the kernel itself keeps.
func (l Limits) apply(pid int) error {
	if l.Descriptors == 0 {
		return nil
	}
	n := uint64(l.Descriptors)
	var has unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &has); err != nil {
		return fmt.Errorf("limit descriptors: %w", err)
	}
	if has.Max <= n {
		return nil // it has less than that
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}, nil); err != nil {
		return fmt.Errorf("limit descriptors: %w", err)
	}
	return nil
}

// exceeded says which limit the process is beyond, "" if none.
func (l Limits) exceeded(pid int) string {
	if l.Memory > 0 {
		if n, err := private(pid); err == nil && n > l.Memory {
			return fmt.Sprintf("it used %s of memory, its limit is %s", mebibytes(n), mebibytes(l.Memory))
		}
	}
	return ""
}

func mebibytes(n int64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/(1<<20)), ".0") + " MiB"
}

// watch is the goroutine that keeps a child within its limits; it ends with
// the child.
func (c *Child) watch(l Limits) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-c.exited:
			return
		case <-tick.C:
		}
		if why := l.exceeded(c.PID); why != "" {
			c.mu.Lock()
			c.exceeded = why
			c.mu.Unlock()
			c.Kill()
			return
		}
	}
}

// Exceeded says which limit the child was killed for, "" if for none.
func (c *Child) Exceeded() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exceeded
}
