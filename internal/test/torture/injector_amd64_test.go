package torture

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// injector is the tracer's own side.
type injector struct {
	pid int

	mu      sync.Mutex // guards the rest
	left    int        // calls until the one that fails; 0 is none
	calls   int        // since it was armed
	rng     *rand.Rand
	hit     string
	failing map[int]unix.Errno // by thread: in a call that is to fail
}

// trace is the tracer's process: it answers each line of stdin with one of
// stdout. Its end lets all go that it traced.
func trace(pid int) int {
	in := &injector{pid: pid, failing: make(map[int]unix.Errno)}
	attached := make(chan error)
	go func() {
		runtime.LockOSThread() // a tracer is a thread
		err := seize(pid)
		attached <- err
		if err == nil {
			in.run()
		}
	}()
	if err := <-attached; err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("tracing")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var n int
		var seed uint64
		if _, err := fmt.Sscan(lines.Text(), &n, &seed); err != nil {
			fmt.Fprintln(os.Stderr, "tracer:", err)
			return 1
		}
		in.mu.Lock()
		fmt.Println(in.calls, in.hit)
		in.left, in.calls, in.hit, in.rng = n, 0, "", rand.New(rand.NewPCG(seed, uint64(n)))
		in.mu.Unlock()
	}
	for {
		in.mu.Lock()
		busy := len(in.failing) > 0
		in.left = 0
		in.mu.Unlock()
		if !busy {
			return 0
		}
		time.Sleep(time.Millisecond) // a call that was skipped is over at once
	}
}

// seize attaches to all threads and interrupts them.
func seize(pid int) error {
	tids := make(map[int]bool)
	for more := true; more; {
		more = false
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		if err != nil || len(tasks) == 0 {
			return fmt.Errorf("trace process %d: it is gone", pid)
		}
		for _, task := range tasks {
			tid, _ := strconv.Atoi(filepath.Base(task))
			if tids[tid] {
				continue
			}
			const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE
			switch _, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(tid), 0, options, 0, 0); e {
			case 0:
				tids[tid], more = true, true
				unix.PtraceInterrupt(tid)
			case unix.ESRCH: // it has ended meanwhile
			case unix.EPERM:
				if traced(tid) == os.Getpid() {
					tids[tid], more = true, true // its parent was seized: it came with it
					continue
				}
				return fmt.Errorf("trace thread %d: %w; ptrace has to be permitted (kernel.yama.ptrace_scope, CAP_SYS_PTRACE), or set TORTURE_PTRACE=off", tid, e)
			default:
				return fmt.Errorf("trace thread %d: %w", tid, e)
			}
		}
	}
	return nil
}

// traced returns whose tracee a thread is; of a thread, its process.
func traced(tid int) int {
	tracer := field(fmt.Sprintf("/proc/%d/status", tid), "TracerPid:")
	return field(fmt.Sprintf("/proc/%d/status", tracer), "Tgid:")
}

func field(path, name string) int {
	b, _ := os.ReadFile(path)
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(v))
			return n
		}
	}
	return 0
}

// run is the tracer's loop. It ends with the process.
func (t *injector) run() {
	for {
		var ws unix.WaitStatus
		tid, err := unix.Wait4(-1, &ws, unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		if !ws.Stopped() {
			continue
		}
		event, sig := int(ws)>>16, ws.StopSignal()
		deliver := 0
		switch {
		case sig == unix.SIGTRAP|0x80:
			t.call(tid)
		case event == unix.PTRACE_EVENT_STOP && sig != unix.SIGTRAP:
			unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_LISTEN, uintptr(tid), 0, 0, 0, 0) // stopped by a signal
			continue
		case event == 0:
			deliver = int(sig)
		}
		unix.PtraceSyscall(tid, deliver) // an error says that it is dead
	}
}

// info is struct ptrace_syscall_info (ptrace(2)), of an entry.
type info struct {
	op   uint8
	_    [3]byte
	_    uint32
	_    [2]uint64
	nr   uint64
	args [6]uint64
	_    [16]byte
}

const (
	getInfo = 0x420e // PTRACE_GET_SYSCALL_INFO
	entry   = 1
	exit    = 2
)

// call is a thread's entry into a system call, or its exit.
func (t *injector) call(tid int) {
	var in info
	if _, _, e := unix.Syscall6(unix.SYS_PTRACE, getInfo, uintptr(tid), unsafe.Sizeof(in), uintptr(unsafe.Pointer(&in)), 0, 0); e != 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.failing[tid]; e != 0 && in.op == exit {
		delete(t.failing, tid)
		setResult(tid, e)
		return
	}
	if in.op != entry || t.left == 0 {
		return
	}
	c, ok := fallible[in.nr]
	if !ok {
		return
	}
	what, ok := c.matters(t.pid, in.args)
	if !ok {
		return
	}
	t.calls++
	if t.left--; t.left > 0 {
		return
	}
	e := c.errors[t.rng.IntN(len(c.errors))]
	if skipCall(tid) == nil {
		t.failing[tid] = e
		t.hit = fmt.Sprintf("%s(%s) = %s", c.name, what, unix.ErrnoName(e))
	}
}

// fallibleCall is a system call that can fail for reasons that are nobody's fault.
type fallibleCall struct {
	name   string
	errors []unix.Errno
	// matters reports whether this one is of interest, and on what it acts.
	matters func(pid int, args [6]uint64) (string, bool)
}

func any1(int, [6]uint64) (string, bool) { return "", true }

// onAny names the file behind the first argument.
func onAny(pid int, args [6]uint64) (string, bool) {
	name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, int32(args[0])))
	return name, err == nil
}

// onFile is onAny for files and folders alone.
func onFile(pid int, args [6]uint64) (string, bool) {
	name, ok := onAny(pid, args)
	return name, ok && strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "/proc/") && !strings.HasPrefix(name, "/sys/")
}

// path names the file by the n-th argument.
func path(n int) func(int, [6]uint64) (string, bool) {
	return func(pid int, args [6]uint64) (string, bool) {
		name := peek(pid, args[n], 256)
		name, _, _ = strings.Cut(name, "\x00")
		return name, !strings.HasPrefix(name, "/proc/") && !strings.HasPrefix(name, "/sys/")
	}
}

// process is for a clone that makes no thread.
func process(_ int, args [6]uint64) (string, bool) { return "", args[0]&unix.CLONE_THREAD == 0 }

// process3 is process for clone3, whose flags come first in a struct.
func process3(pid int, args [6]uint64) (string, bool) {
	b := peek(pid, args[0], 8)
	return "", len(b) == 8 && binary.NativeEndian.Uint64([]byte(b))&unix.CLONE_THREAD == 0
}

// peek reads a process's memory, as far as there is some.
func peek(pid int, at uint64, n int) string {
	b := make([]byte, n)
	local := []unix.Iovec{{Base: &b[0]}}
	local[0].SetLen(n)
	got, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: uintptr(at), Len: n}}, 0)
	if err != nil || got < 0 {
		// It may be the end of a page that nothing follows.
		if short := 4096 - int(at%4096); short < n {
			return peek(pid, at, short)
		}
		return ""
	}
	return string(b[:got])
}
