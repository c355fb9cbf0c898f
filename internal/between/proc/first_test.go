package proc

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/orphans"
)

// Where this is the first process of its PID namespace, and so reaps what nobody has started, it is known how a child of ours has
// ended that is dead for long before it is reaped, as while all of its control group is ended.
func TestFirst(t *testing.T) {
	if os.Getenv("FIRST") == "" {
		cmd := exec.Command("unshare", "--map-root-user", "--mount-proc", "--pid", "--fork", "--kill-child", self, "-test.run", "^TestFirst$", "-test.v")
		cmd.Env = append(os.Environ(), "FIRST=yes")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	orphans.Reap()
	began := make(chan *Child)
	go func() {
		runtime.LockOSThread() // which ends with this, so that its children are the first thread's, of which those are that are reaped
		c, err := Start(Spec{Path: self, Env: []string{"PROC_CHILD=print", "GORACE=atexit_sleep_ms=0"}, Output: new(lines).add})
		if err != nil {
			t.Error(err)
		} else {
			c.mu.Lock() // Kill waits
		}
		began <- c
	}()
	c := <-began
	if c == nil {
		return
	}
	await(t, c.PID, true)
	var left int
	text, err := exec.Command("sh", "-c", "sleep 0.01 >&- & echo $!").Output()
	if _, scans := fmt.Sscan(string(text), &left); err != nil || scans != nil {
		t.Fatal(err, scans)
	}
	await(t, left, false) // it was there after c was dead, and has been reaped
	c.mu.Unlock()
	exited(t, c)
	if got := c.Status(); got != "exit status 3" {
		t.Errorf("its status is %q", got)
	}
}

// await waits until a process is dead, or also was reaped.
func await(t *testing.T, pid int, there bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		switch {
		case there && strings.Contains(string(stat), ") Z "), !there && os.IsNotExist(err) && syscall.Kill(pid, 0) == syscall.ESRCH:
			return
		case time.Now().After(end):
			t.Fatalf("process %d: %s", pid, stat)
		}
	}
}
