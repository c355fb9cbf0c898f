package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/cgroup"
	"github.com/andrestc/go-plugserver/internal/between/link"
)

// A child that is bounded is in its group before it is told anything; how the kernel has ended it is said in the
// words of its limit, and all that it has started ends with it. (The groups are a folder's: package cgroup has the kernel's.)
func TestGroup(t *testing.T) {
	const noMemory, noTasks = "killed: it wanted more memory, its limit is 64 MiB", "killed: it wanted more processes and threads, its limit is 32"
	for _, tt := range []struct {
		name, file, counts string
		tasks              int
		want               string
	}{
		{"out of memory", "memory.events", "oom 1\noom_kill 1\n", 32, noMemory},
		{"the machine is out of memory", "memory.events", "oom 0\noom_kill 1\n", 32, "exit status 2"},
		{"out of threads", "pids.events", "max 4\n", 32, noTasks},
		{"it was another's thread", "pids.events", "max 0\n", 32, "exit status 2"},
		{"the service is out of threads", "pids.events", "max 4\n", 0, "exit status 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "cgroup.controllers"), []byte("cpu memory pids"), 0o600); err != nil {
				t.Fatal(err)
			}
			var l lines
			c, err := Start(Spec{Path: self, Env: []string{"PROC_CHILD=starved", "GORACE=atexit_sleep_ms=0"}, Output: l.add,
				Groups: cgroup.At(dir), Limits: Limits{Memory: 64 << 20, Tasks: tt.tasks, CPU: 5000}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Link.Close()
			groups, _ := filepath.Glob(filepath.Join(dir, "cell-*"))
			if len(groups) != 1 {
				t.Fatalf("groups: %q", groups)
			}
			files := map[string]string{"cgroup.procs": fmt.Sprint(c.PID), "cpu.max": "50000 100000", "memory.max": "67108864"}
			if tt.tasks != 0 {
				files["pids.max"] = fmt.Sprint(tt.tasks)
			}
			for file, want := range files {
				if got, err := os.ReadFile(filepath.Join(groups[0], file)); string(got) != want {
					t.Errorf("%s is %q, want %q; %v", file, got, want, err)
				}
			}
			if err := os.WriteFile(filepath.Join(groups[0], tt.file), []byte(tt.counts), 0o600); err != nil {
				t.Fatal(err)
			}
			c.Link.Send(link.Message{Kind: link.Ping})
			exited(t, c)
			if got := c.Status(); got != tt.want {
				t.Errorf("it has ended with %q, want %q", got, tt.want)
			}
			if got, _ := os.ReadFile(filepath.Join(groups[0], "cgroup.kill")); string(got) != "1" {
				t.Error("what it has started goes on")
			}
		})
	}
	// Nothing is started without its bounds.
	gone := cgroup.At(filepath.Join(t.TempDir(), "gone"))
	if why := gone.Lacks(cgroup.Tasks); !strings.Contains(why, "cannot leave") {
		t.Errorf("lacks: %q", why)
	}
	if c, err := Start(Spec{Path: self, Env: []string{"PROC_CHILD=print"}, Output: new(lines).add, Groups: gone, Limits: Limits{Tasks: 32}}); err == nil {
		c.Kill()
		t.Error("started without its bounds")
	}
}
