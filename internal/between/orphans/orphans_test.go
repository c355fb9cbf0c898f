package orphans

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// child starts a shell that is marked before it runs the script, and returns the numbers that this prints.
func child(t *testing.T, script string, n int) (*exec.Cmd, *Family, []int) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "read line\n"+script+"\nexec sleep 1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	Started(cmd.Process.Pid)
	f := Of(cmd.Process.Pid)
	if f == nil {
		t.Fatal("the child cannot be marked")
	}
	io.WriteString(in, "\n")
	pids := make([]int, n)
	r := bufio.NewReader(out)
	for i := range pids {
		if _, err := fmt.Fscan(r, &pids[i]); err != nil {
			t.Fatal(err)
		}
	}
	return cmd, f, pids
}

// end ends a child as its owner does.
func end(cmd *exec.Cmd, f *Family) {
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	cmd.Wait()
	Reaped(cmd.Process.Pid)
	f.End()
}

// parent is the parent of a process, 0 where there is none of that number.
func parent(pid int) (ppid int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		fmt.Sscanf(line, "PPid: %d", &ppid)
	}
	return ppid
}

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to be that %s", what)
		}
	}
}

// leaves has a process in a session of its own lose its parent: once, and by a further fork again.
const leaves = `setsid sh -c 'sleep 1000 >&- & echo $!'
(setsid sh -c '(setsid sleep 1000 >&- & echo $!) & wait' &)`

func TestFamilyEnds(t *testing.T) {
	if err := Begin(); err != nil {
		t.Fatal(err)
	}
	one, ofOne, left := child(t, leaves, 2)
	other, ofOther, stays := child(t, leaves, 2)
	defer end(other, ofOther)
	for _, pid := range append(left, stays...) {
		await(t, "we have adopted it", func() bool { return parent(pid) == os.Getpid() })
	}
	end(one, ofOne)
	for _, pid := range left {
		if p := parent(pid); p != 0 {
			t.Errorf("process %d of the child that has ended is there still, its parent is %d", pid, p)
		}
	}
	for _, pid := range stays {
		if parent(pid) != os.Getpid() {
			t.Errorf("process %d of a child that lives has ended", pid)
		}
	}
}

// What ends by itself is reaped though its child of ours lives.
func TestReaped(t *testing.T) {
	if err := Begin(); err != nil {
		t.Fatal(err)
	}
	cmd, f, left := child(t, leaves, 2)
	defer end(cmd, f)
	await(t, "we have adopted it", func() bool { return parent(left[0]) == os.Getpid() })
	syscall.Kill(left[0], syscall.SIGKILL)
	await(t, "it is reaped", func() bool { return parent(left[0]) == 0 })
}

// What is found of a child while it lives is not taken for an orphan once it has ended: its PID may be another's by then.
func TestEndsBetweenSweeps(t *testing.T) {
	if err := Begin(); err != nil {
		t.Fatal(err)
	}
	cmd, f, _ := child(t, "echo 1", 1)
	lives := func() bool {
		known.Lock()
		defer known.Unlock()
		return known.alive[f.mark] == cmd.Process.Pid
	}
	sweeping.Lock() // a sweep is under way
	done := make(chan struct{})
	go func() { end(cmd, f); close(done) }()
	await(t, "it is reaped", func() bool { return parent(cmd.Process.Pid) == 0 })
	for until := time.Now().Add(50 * time.Millisecond); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if !lives() {
			t.Error("it is none of those that live before the sweep is over")
			break
		}
	}
	sweeping.Unlock()
	<-done
	if lives() {
		t.Error("it lives on")
	}
}

// One that starts itself anew and ends, again and again, is caught.
func TestHops(t *testing.T) {
	if err := Begin(); err != nil {
		t.Fatal(err)
	}
	hop := filepath.Join(t.TempDir(), "hop")
	if err := os.WriteFile(hop, []byte("#!/bin/sh\n\"$0\" &\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd, f, _ := child(t, "setsid "+hop+" >&- & echo 1", 1)
	end(cmd, f)
	await(t, "no hop is left", func() bool {
		for _, pid := range adopted() {
			if mark, ok := markOf(pid); ok && mark == f.mark {
				return false
			}
		}
		return true
	})
	if n, err := filepath.Glob("/proc/[0-9]*/cmdline"); err == nil {
		for _, file := range n {
			if text, _ := os.ReadFile(file); strings.Contains(string(text), hop) {
				t.Errorf("%s: %q", file, text)
			}
		}
	}
}

// A child's mark is its own, and its children's.
func TestUnmarked(t *testing.T) {
	if err := Begin(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if sweep(math.MaxUint64); parent(cmd.Process.Pid) != os.Getpid() {
		t.Error("a child without a mark was taken for an orphan")
	}
	if f := Of(1 << 22); f != nil {
		t.Error("nobody was marked")
	}
	(*Family)(nil).End()
}
