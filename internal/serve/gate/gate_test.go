package gate

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/wire"
	"github.com/andrestc/go-plugserver/internal/serve/handover"
)

// The test binary is the gate: GATE_TEST says so.
func TestMain(m *testing.M) {
	if os.Getenv("GATE_TEST") == "" {
		os.Exit(m.Run())
	}
	lc, err := link.New(os.NewFile(link.ChildFD, "link"))
	if err != nil {
		panic(err)
	}
	if Run(lc) != nil {
		os.Exit(1)
	}
}

// start runs a gate and returns the other end of its link.
func start(t *testing.T) (ours *os.File, pid int, wait func() (output string, err error)) {
	t.Helper()
	ours, theirs, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "GATE_TEST=1")
	cmd.ExtraFiles = []*os.File{theirs}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	return ours, cmd.Process.Pid, func() (string, error) {
		err := cmd.Wait()
		return out.String(), err
	}
}

// A supervisor that is gone before it has said a word leaves a gate that ends
// in good order.
func TestOrphanedAtOnce(t *testing.T) {
	ours, _, wait := start(t)
	ours.Close()
	if out, err := wait(); err != nil || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
}

// A gate that cannot listen on all that it is given does not say that it does:
// it ends, and another one is started.
func TestCannotListen(t *testing.T) {
	ours, _, wait := start(t)
	lc, err := link.New(ours)
	if err != nil {
		t.Fatal(err)
	}
	defer lc.Close()
	none, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	lc.Send(link.Message{Kind: link.Open})
	lc.Send(link.Message{Kind: link.Listen, FDs: []*os.File{none}})
	for {
		m, err := lc.Recv()
		if err != nil {
			break
		}
		if m.Kind != link.Log || !strings.HasPrefix(m.Text, "listen: ") {
			t.Errorf("the gate says %+v", m)
		}
	}
	if out, err := wait(); err == nil || err.Error() != "exit status 1" || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
}

// A gate without a descriptor for the way to a cell says so, goes on, and takes
// what comes again.
func TestUnjoined(t *testing.T) {
	ours, pid, wait := start(t)
	lc, err := link.New(ours)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(m link.Message, want link.Kind) link.Message {
		t.Helper()
		lc.Send(m)
		for {
			m, err := lc.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if m.Kind == want {
				return m
			}
			if m.Kind != link.Log {
				t.Fatalf("the gate says %+v, want %s", m, want)
			}
		}
	}
	join := func() link.Message {
		t.Helper()
		a, b, err := wire.Pair()
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		page, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		if err := page.Truncate(handover.PageSize); err != nil {
			t.Fatal(err)
		}
		return link.Message{Kind: link.Join, Cell: 7, FDs: []*os.File{a, page}}
	}
	lc.Send(link.Message{Kind: link.Open})
	ask(link.Message{Kind: link.Ping}, link.Pong)
	var free []int
	for fd := 0; len(free) < 2; fd++ {
		if _, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", pid, fd)); err != nil {
			free = append(free, fd)
		}
	}
	for spare, end := range free { // of the two that it takes
		relieve := limit(t, pid, end)
		if m := ask(join(), link.Unjoined); m.Cell != 7 {
			t.Errorf("%d spare: of cell %d", spare, m.Cell)
		}
		relieve()
	}
	lc.Send(join())
	ask(link.Message{Kind: link.Table, Version: 3, Routes: []link.Route{{Pattern: "/", Cell: 7}}}, link.Ack)
	ask(link.Message{Kind: link.Quit}, link.Done)
	lc.Close()
	if out, err := wait(); err != nil || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
}

// limit bounds the descriptors of a process (prlimit(2)) until relieve is called.
func limit(t *testing.T, pid, n int) (relieve func()) {
	t.Helper()
	set := func(new, old *syscall.Rlimit) {
		t.Helper()
		_, _, e := syscall.Syscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_NOFILE, uintptr(unsafe.Pointer(new)), uintptr(unsafe.Pointer(old)), 0, 0)
		if e != 0 {
			t.Fatal(e)
		}
	}
	var old syscall.Rlimit
	set(nil, &old)
	set(&syscall.Rlimit{Cur: uint64(n), Max: old.Max}, nil)
	return func() { set(&old, nil) }
}
