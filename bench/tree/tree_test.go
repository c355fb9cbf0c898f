package tree

import (
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The clock of a process tells what proc(5) and getrusage(2) tell.
func TestCPU(t *testing.T) {
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
	}
	got, err := CPU([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	want := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	if d := want - got; d < -10*time.Millisecond || d > 50*time.Millisecond {
		t.Errorf("CPU is %v, getrusage says %v", got, want)
	}
}

func TestTree(t *testing.T) {
	// The shell burns its time, then waits in its child.
	cmd := exec.Command("sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 60 & echo; wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	root := cmd.Process.Pid
	out.Read(make([]byte, 1))
	pids := Of(root)
	if len(pids) != 2 || pids[0] != root {
		t.Fatalf("the tree of %d is %v", root, pids)
	}
	if slices.Contains(pids, os.Getpid()) || !slices.Contains(Of(os.Getpid()), pids[len(pids)-1]) {
		t.Errorf("wrong relations: %v", pids)
	}
	cpu, err := CPU(pids)
	if err != nil || cpu < time.Millisecond || cpu > time.Minute {
		t.Errorf("CPU: %v, %v", cpu, err)
	}
	// The child outlives its parent, and is ended all the same.
	held := Hold(root)
	cmd.Process.Kill()
	cmd.Wait()
	child, err := unix.PidfdOpen(pids[1], 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(child)
	held.Kill()
	poll := []unix.PollFd{{Fd: int32(child), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 10_000); n != 1 {
		t.Errorf("the child lives: %v", err)
	}
	if _, err := CPU(pids); err == nil {
		t.Error("the CPU time of processes that have gone")
	}
}
