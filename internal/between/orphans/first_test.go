package orphans

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// The first process of a PID namespace reaps what others have left behind there, and whoever starts a child still gets
// to know how it ended.
func TestFirstReaps(t *testing.T) {
	if os.Getenv("FIRST") == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("unshare", "--map-root-user", "--mount-proc", "--pid", "--fork", "--kill-child", self, "-test.run", "^TestFirstReaps$", "-test.v")
		cmd.Env = append(os.Environ(), "FIRST=yes")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if os.Getpid() != 1 {
		t.Fatalf("it is process %d", os.Getpid())
	}
	Reap()
	ours := exec.Command("sh", "-c", "(true &); (sleep 0.01 &); exit 7")
	if err := ours.Run(); ours.ProcessState.ExitCode() != 7 {
		t.Fatalf("a child of ours: %v", err)
	}
	began := time.Now()
	await(t, "they were reaped", func() bool { return len(adopted()) == 0 })
	t.Logf("reaped after %v", time.Since(began).Round(time.Millisecond))
}
