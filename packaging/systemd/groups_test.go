//go:build systemd

package systemd

import (
	"fmt"
	"path"
	"strings"
	"testing"
)

// groups looks at the control groups of handlers: each has one of its own, that ends with it, and what is set for it is
// in the kernel's files, or it is said why not.
func groups(t *testing.T, b *box) {
	const dropIn, tree = settings + ".d/g.conf", "/sys/fs/cgroup/system.slice/" + service
	of := func(pid int) string {
		t.Helper()
		in := strings.TrimPrefix(b.run(t, "grep", "^0::", fmt.Sprintf("/proc/%d/cgroup", pid)), "0::/system.slice/"+service+"/")
		if dir, _ := path.Split(in); dir != "" {
			t.Errorf("PID %d is in %s, not in a group of its own below the service's", pid, in)
		}
		return tree + "/" + in
	}
	first := of(b.cell(t, "greet"))
	if gate := of(b.status(t).Daemon.GatePID); gate != tree+"/supervisor" || first == gate {
		t.Errorf("the gate is in %s, the handler in %s", gate, first)
	}
	b.write(t, dropIn, "[Handler greet]\nTasksMax=64\nCPUQuota=50%\nMemoryMax=64M\n")
	b.run(t, "systemctl", "reload", "plugserverd")
	now := of(b.cell(t, "greet"))
	eventually(t, "the group of a cell that is gone is gone", func() bool { _, err := b.try("test", "!", "-e", first); return err == nil })
	shown, has := b.run(t, "plugserverctl", "show", "greet"), strings.Fields(b.run(t, "cat", tree+"/cgroup.controllers"))
	t.Logf("delegated are %q", has)
	for _, c := range []struct{ controller, file, want, key string }{
		{"pids", "pids.max", "64", "TasksMax=64"}, {"cpu", "cpu.max", "50000 100000", "CPUQuota=50%"}, {"memory", "memory.max", "67108864", "MemoryMax=64M"},
	} {
		set := c.key + "  # " + dropIn
		if !strings.Contains("\n"+shown, "\n"+set) {
			t.Errorf("it is not shown that %s is set:\n%s", c.key, shown)
		}
		why := "; not in force: the " + c.controller + " controller is not delegated"
		if text, err := b.try("cat", now+"/"+c.file); err == nil {
			if strings.TrimSpace(text) != c.want || strings.Contains(shown, why) {
				t.Errorf("%s is %q, want %s; shown is:\n%s", c.file, text, c.want, shown)
			}
		} else if c.controller != "memory" && !strings.Contains(shown, why) { // which is bounded without, too
			t.Errorf("it is not said why %s is not in force:\n%s", c.key, shown)
		}
	}
	b.want(t, "/greet", 200, "one")
	b.run(t, "rm", dropIn)
	b.run(t, "systemctl", "reload", "plugserverd")
}
