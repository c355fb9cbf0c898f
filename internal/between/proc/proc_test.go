package proc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/transcript"
)

// The test binary is the child: PROC_CHILD says what it does.
func TestMain(m *testing.M) {
	switch os.Getenv("PROC_CHILD") {
	case "":
		os.Exit(m.Run())
	case "echo": // answers each message with the same, until the link ends
		lc, err := link.New(os.NewFile(link.ChildFD, "link"))
		if err != nil {
			panic(err)
		}
		for {
			m, err := lc.Recv()
			if err == io.EOF {
				fmt.Println("the link has ended")
				return
			}
			if err != nil {
				panic(err)
			}
			lc.Send(m)
		}
	case "print":
		fmt.Print("one\r\ntwo\n", strings.Repeat("x", 3*transcript.MaxLine), "\n\nlast")
		fmt.Fprintln(os.Stderr, "wrong")
		os.Exit(3)
	case "hog": // takes memory without end
		var all [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			all = append(all, b)
			if len(all) > 4<<10 {
				panic("nobody minds")
			}
		}
	case "read": // what it is told, as it is told
		lc, err := link.New(os.NewFile(link.ChildFD, "link"))
		if err != nil {
			panic(err)
		}
		for m, err := lc.Recv(); err == nil; m, err = lc.Recv() {
			text, err := os.ReadFile(m.Name)
			fmt.Println(string(text), errors.Is(err, fs.ErrPermission))
		}
	case "leak": // opens files until it cannot, once it is told to
		lc, err := link.New(os.NewFile(link.ChildFD, "link"))
		if err != nil {
			panic(err)
		}
		lc.Recv()
		for {
			if _, err := os.Open(os.DevNull); err != nil {
				select {}
			}
		}
	case "own end": // sends its end of the link over the link, with half a frame
		syscall.Sendmsg(link.ChildFD, []byte{0, 0, 0, 9}, syscall.UnixRights(link.ChildFD), nil, 0)
		os.Exit(0)
	case "temp": // leaves something behind, and lists what is beside it
		if err := os.MkdirAll(os.TempDir()+"/dir", 0o700); err != nil {
			panic(err)
		}
		fmt.Println(os.TempDir())
		_, err := os.ReadDir(os.TempDir() + "/..")
		fmt.Println(err)
	case "belongings": // uses what it has, and looks at what others have
		token, err := os.ReadFile(os.Getenv("CREDENTIALS_DIRECTORY") + "/token")
		fmt.Printf("%s %v\n", token, err)
		fmt.Println(os.WriteFile(os.Getenv("STATE_DIRECTORY")+"/kept", []byte("kept"), 0o600))
		fmt.Println(os.WriteFile(os.Getenv("CREDENTIALS_DIRECTORY")+"/new", nil, 0o600) != nil)
		_, err = os.ReadDir(os.Getenv("CREDENTIALS_DIRECTORY") + "/..")
		fmt.Println(err != nil)
		fmt.Println(os.Getwd())
	case "starved": // is given no thread, once it is told to
		lc, err := link.New(os.NewFile(link.ChildFD, "link"))
		if err != nil {
			panic(err)
		}
		lc.Recv()
		fmt.Fprint(os.Stderr, "runtime/cgo: pthread_create failed: ", "Resource temporarily unavailable\nSIGABRT: abort\n\ngoroutine 0 [idle]:\n")
		os.Exit(2)
	case "deaf": // reads nothing, ends by force alone
		select {}
	case "heir", "heir apart": // leaves its output to a process that goes on
		cmd := exec.Command("/bin/sleep", "30")
		cmd.Stdout = os.Stdout
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: os.Getenv("PROC_CHILD") == "heir apart"}
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		fmt.Println(cmd.Process.Pid)
	}
}

var self = os.Args[0]

// lines collects what a child prints.
type lines struct {
	sync.Mutex
	of map[string][]string
}

func (l *lines) add(stream, line string) {
	l.Lock()
	defer l.Unlock()
	if l.of == nil {
		l.of = make(map[string][]string)
	}
	l.of[stream] = append(l.of[stream], line)
}

func start(t *testing.T, what string) (*Child, *lines) {
	t.Helper()
	var l lines
	c, err := Start(Spec{Path: self, Env: []string{"PROC_CHILD=" + what, "GORACE=atexit_sleep_ms=0"}, Output: l.add})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Kill(); <-c.Exited(); c.Link.Close() })
	return c, &l
}

func exited(t *testing.T, c *Child) {
	t.Helper()
	select {
	case <-c.Exited():
	case <-time.After(30 * time.Second):
		t.Fatal("the child goes on")
	}
}

func TestLinkAndEnd(t *testing.T) {
	c, l := start(t, "echo")
	for n := range uint64(100) {
		c.Link.Send(link.Message{Kind: link.Ping, Seq: n})
		m, err := c.Link.Recv()
		if err != nil || m.Seq != n {
			t.Fatalf("answer %d is %+v, %v", n, m, err)
		}
	}
	if pg, err := syscall.Getpgid(c.PID); err != nil || pg != c.PID {
		t.Errorf("process group %d, %v; want one of its own", pg, err)
	}
	c.Link.Close()
	exited(t, c)
	if c.Status() != "exit status 0" || !slices.Contains(l.of["stdout"], "the link has ended") {
		t.Errorf("%s, printed %q", c.Status(), l.of)
	}
}

func TestOutputIsBoundedLinesAndATail(t *testing.T) {
	c, l := start(t, "print")
	if _, err := c.Link.Recv(); err != io.EOF {
		t.Errorf("link of a child that ended: %v, want %v", err, io.EOF)
	}
	exited(t, c)
	x := strings.Repeat("x", transcript.MaxLine)
	want := []string{"one", "two", x, x, x, "", "", "last"}
	if got := l.of["stdout"]; !slices.Equal(got, want) {
		t.Errorf("stdout has %d lines: %.40q", len(got), got)
	}
	if got := l.of["stderr"]; !slices.Equal(got, []string{"wrong"}) {
		t.Errorf("stderr: %q", got)
	}
	tail := c.Tail()
	size := 0
	for _, line := range tail {
		size += len(line) + 1
	}
	if !slices.Contains(tail, "last") || size > 4<<10 {
		t.Errorf("a tail of %d bytes: %.40q", size, tail)
	}
	if c.Status() != "exit status 3" {
		t.Errorf("status %q", c.Status())
	}
}

func TestKill(t *testing.T) {
	c, _ := start(t, "deaf")
	c.Kill()
	exited(t, c)
	if c.Status() != "signal: killed" {
		t.Errorf("status %q", c.Status())
	}
}

// A grandchild that holds the output does not hold up the reaping.
func TestHeirOfTheOutput(t *testing.T) {
	c, l := start(t, "heir apart")
	exited(t, c)
	l.Lock()
	defer l.Unlock()
	var pid int
	if _, err := fmt.Sscan(l.of["stdout"][0], &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("the grandchild has ended by itself: %v", err)
	}
}

func TestNoSuchProgram(t *testing.T) {
	before := open(t)
	for range 50 {
		if _, err := Start(Spec{Path: "/nonexistent/plugserver-cell"}); err == nil || !strings.Contains(err.Error(), `"/nonexistent/plugserver-cell"`) {
			t.Fatalf("err = %v", err)
		}
	}
	if after := open(t); after > before+10 {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// What a child has started ends with it.
func TestChildrenOfTheChild(t *testing.T) {
	c, l := start(t, "heir")
	exited(t, c)
	l.Lock()
	defer l.Unlock()
	pid, err := strconv.Atoi(l.of["stdout"][0])
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil && time.Now().Before(end); {
		if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); strings.Contains(string(b), ") Z ") {
			return // whoever is init here does not reap
		}
		time.Sleep(time.Millisecond)
	}
	if syscall.Kill(pid, 0) == nil {
		t.Errorf("process %d is still there", pid)
	}
}

// A child that has sent its own end of the link is heard no more once it is dead.
func TestOwnEnd(t *testing.T) {
	c, _ := start(t, "own end")
	c.End(time.Minute)
	if m, err := c.Recv(); err != io.ErrUnexpectedEOF {
		t.Errorf("received %+v, %v", m, err)
	}
}
