package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Limits bound all of a group together; 0 is no bound, and so is what the tree lacks the controller of.
type Limits struct {
	CPU    int   // hundredths of a percent of one processor: CPUQuota=
	Tasks  int   // processes and their threads: TasksMax=
	Memory int64 // bytes: MemoryMax=
}

// period is that of which a group gets its part of the processors.
const period = 100 * time.Millisecond

// Group is one child's. A nil one is none.
type Group struct {
	dir    string
	joined chan struct{} // closed once the child is in it, or never will be; nil before it is about to join
}

// New makes a group, nil where the tree gives none.
func (t *Tree) New(l Limits) (*Group, error) {
	if !t.Gives() {
		return nil, nil
	}
	dir, err := os.MkdirTemp(t.dir, prefix)
	if err != nil {
		if l == (Limits{}) {
			return nil, nil // nothing is bounded: it does without
		}
		return nil, fmt.Errorf("make a control group: %w", err)
	}
	g := &Group{dir: dir}
	for _, set := range []struct {
		of, file string
		wanted   bool
		value    string
	}{
		{CPU, "cpu.max", l.CPU > 0, fmt.Sprintf("%d %d", int64(l.CPU)*period.Microseconds()/(100*100), period.Microseconds())},
		{Tasks, "pids.max", l.Tasks > 0, strconv.Itoa(l.Tasks)},
		{Memory, "memory.oom.group", l.Memory > 0, "1"},
		{Memory, "memory.max", l.Memory > 0, strconv.FormatInt(l.Memory, 10)},
	} {
		if !set.wanted || t.lacks[set.of] != "" {
			continue
		}
		if err := write(dir, set.file, set.value); err != nil {
			g.End()
			return nil, fmt.Errorf("bound a control group: %w", err)
		}
	}
	return g, nil
}

// Join has a process move into the group. It takes the kernel up to some milliseconds, in which the process runs on: a
// grace period of its RCU. Whoever is not to wait is not told of an error. (The clone3 that would start it there is
// forbidden to us, by RestrictNamespaces= and by the child's own sandbox: no filter sees its flags.)
func (g *Group) Join(pid int, wait bool) error {
	if g == nil {
		return nil
	}
	done := make(chan error, 1)
	g.joined = make(chan struct{})
	go func() {
		done <- write(g.dir, "cgroup.procs", strconv.Itoa(pid))
		close(g.joined)
	}()
	if !wait {
		return nil
	}
	if err := <-done; err != nil && !errors.Is(err, syscall.ESRCH) { // it has ended
		return fmt.Errorf("join a control group: %w", err)
	}
	return nil
}

// Kill ends all that is in the group, at once (since Linux 5.14).
func (g *Group) Kill() {
	if g != nil {
		write(g.dir, "cgroup.kill", "1")
	}
}

// Joined returns once no process is about to join: until then the number of the one that was to must not become
// another's.
func (g *Group) Joined() {
	if g != nil && g.joined != nil {
		<-g.joined
	}
}

// OutOfMemory reports whether the kernel has killed the group for its own memory: where the service, or the machine, was out of it,
// a kill is counted here, too.
func (g *Group) OutOfMemory() bool {
	return g.count("memory.events", "oom") > 0 && g.count("memory.events", "oom_kill") > 0
}

// OutOfTasks reports whether the group was refused a process or a thread; older kernels count what was refused to the service here, too.
func (g *Group) OutOfTasks() bool { return g.count("pids.events", "max") > 0 }

// count reads one of the numbers of what has happened to the group; 0 where the kernel does not count.
func (g *Group) count(file, key string) (n int) {
	if g == nil {
		return 0
	}
	text, _ := os.ReadFile(filepath.Join(g.dir, file))
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == key {
			n, _ = strconv.Atoi(f[1])
		}
	}
	return n
}

// How long it is tried to remove a group: what was killed in it has to be reaped by its parent, which may be busy.
const (
	removePause = 10 * time.Millisecond
	removeTries = 1000
)

// End ends what is in the group and removes it, soon. What cannot be removed the next daemon removes, or the service manager.
func (g *Group) End() {
	if g == nil {
		return
	}
	g.Kill()
	if gone(syscall.Rmdir(g.dir)) {
		return
	}
	go func() {
		for range removeTries {
			time.Sleep(removePause)
			if gone(syscall.Rmdir(g.dir)) {
				return
			}
			g.Kill() // one may have been forked meanwhile
		}
	}()
}

func gone(err error) bool { return err == nil || errors.Is(err, os.ErrNotExist) }
