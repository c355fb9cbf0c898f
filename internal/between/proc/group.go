package proc

import (
	"fmt"

	"github.com/andrestc/go-plugserver/internal/between/cgroup"
	"github.com/andrestc/go-plugserver/internal/between/orphans"
)

// Groups is where children get control groups of their own.
type Groups = *cgroup.Tree

// join has the child join its group before it is told what to run, where that bounds it or where there is time. Else
// it starts no later for that; what a plugin has started and put into a session of its own in the first few milliseconds then
// outlives it.
func (c *Child) join(s Spec) error {
	if c.group == nil {
		c.family = orphans.Of(c.PID)
	}
	return c.group.Join(c.PID, s.Ahead || s.Limits.CPU != 0 || s.Limits.Tasks != 0 || s.Limits.Memory != 0)
}

// judge says for which limit the kernel has ended the child.
func (c *Child) judge() {
	crash, _ := c.Crash()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.exceeded != "" || c.err == nil:
	case c.group.OutOfMemory():
		c.exceeded = fmt.Sprintf("it wanted more memory, its limit is %s", mebibytes(c.limits.Memory))
	case crash.NoThread() && c.limits.Tasks != 0 && c.group.OutOfTasks():
		c.exceeded = fmt.Sprintf("it wanted more processes and threads, its limit is %d", c.limits.Tasks)
	}
}
