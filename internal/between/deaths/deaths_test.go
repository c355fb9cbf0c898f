package deaths

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// run starts a shell, and says how it has ended.
func run(t *testing.T, script string) (pid int, ended chan int) {
	t.Helper()
	Begin()
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", script}, new(os.ProcAttr))
	if err != nil {
		t.Fatal(err)
	}
	pid, ended = p.Pid, make(chan int, 1)
	p.Release()
	Await(pid, func() {
		var s unix.WaitStatus
		if _, err := unix.Wait4(pid, &s, unix.WNOHANG, nil); err != nil {
			t.Error(err)
		}
		ended <- s.ExitStatus()
	})
	return pid, ended
}

func want(t *testing.T, ended chan int, status int) {
	t.Helper()
	select {
	case is := <-ended:
		if is != status {
			t.Errorf("it has ended with %d, not with %d", is, status)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("its death is not told")
	}
}

// Of many at a time, of which one signal may tell, none is missed.
func TestMany(t *testing.T) {
	var all []chan int
	for range 40 {
		_, ended := run(t, "kill -STOP $$; exit 7")
		all = append(all, ended)
	}
	alive.Lock()
	for pid := range alive.then {
		var is unix.Siginfo
		unix.Waitid(unix.P_PID, pid, &is, unix.WSTOPPED, nil)
		unix.Kill(pid, unix.SIGCONT)
	}
	alive.Unlock()
	for _, ended := range all {
		want(t, ended, 7)
	}
}

// One that is dead before it is awaited is told, too.
func TestBefore(t *testing.T) {
	cmd := exec.Command("/bin/true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid, told := cmd.Process.Pid, make(chan int, 1)
	for dead(unix.P_PID, pid) != pid {
		time.Sleep(time.Millisecond)
	}
	Await(pid, func() { told <- 0; cmd.Wait() })
	want(t, told, 0)
}

// A death is told though another child's, whom somebody else reaps, stands before it in the kernel's list.
func TestBehindAnothers(t *testing.T) {
	cmd := exec.Command("/bin/true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	for dead(unix.P_PID, cmd.Process.Pid) == 0 {
		time.Sleep(time.Millisecond)
	}
	for range 3 { // each is told by a signal of its own
		_, ended := run(t, "exit 3")
		want(t, ended, 3)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("that of the other: %v", err)
	}
}

// What stops is not dead.
func TestStopped(t *testing.T) {
	pid, ended := run(t, "kill -STOP $$; exit 5")
	var is unix.Siginfo
	if err := unix.Waitid(unix.P_PID, pid, &is, unix.WSTOPPED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	_, other := run(t, "exit 3")
	want(t, other, 3)
	if len(ended) != 0 {
		t.Error("it is told as dead")
	}
	unix.Kill(pid, unix.SIGCONT)
	want(t, ended, 5)
}
