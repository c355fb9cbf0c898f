// Package proc runs one child process, once: it starts it, links to it, reads
// what it prints, and reaps it. The only signal it relies on is SIGKILL.
package proc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/belongings"
	"github.com/andrestc/go-plugserver/internal/between/cgroup"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/orphans"
	"github.com/andrestc/go-plugserver/internal/between/sandbox"
	"github.com/andrestc/go-plugserver/internal/between/transcript"
	"github.com/andrestc/go-plugserver/internal/between/wire"
	"golang.org/x/sys/unix"
)

const (
	// lingering bounds the wait for output after the exit: a grandchild may
	// hold the pipes.
	lingering = time.Second
)

// Spec says what to run.
type Spec struct {
	Path string
	Args []string
	Env  []string
	Dir  string              // where it runs, unless its belongings say; "" is where we do
	As   *syscall.Credential // whom it runs as; nil is as we do
	// Limits end the child when it is beyond them, or bound it.
	Limits Limits
	Groups Groups // where it gets a control group of its own; nil is none
	// Sandbox is around the child; nil is none.
	Sandbox *sandbox.Rules
	// Opens are files that the child is to open, which its sandbox does not hide.
	Opens []string
	// Ahead starts it before it is known what it opens: Lend tells later.
	Ahead bool
	// Belongings are the child's own, and made for it.
	Belongings belongings.Belongings
	// Link is the child's end of its link, where somebody else has the other; nil has us make both.
	Link *os.File
	// Apart is where it runs as no child of ours, for package apart; zero is nowhere.
	Apart Apart
	// Output gets each line that the child prints, without its end. It is
	// called from two goroutines, one for each stream.
	Output func(stream, line string)
}

// Apart is a service manager's socket: who connects gets a process that runs a child in a unit of its own.
type Apart struct {
	Socket string // "" is none
	Lent   string // the folder in which such children find what they open, each in one of its own
}

// Child is a running process. Its link is at descriptor link.ChildFD.
type Child struct {
	transcript.Transcript
	PID  int
	Link *link.Conn // nil where somebody else has it

	cmd        *exec.Cmd
	dir        string // of its own, "" where it has none
	shelf      string // what it is lent is there; "" where all is in the open
	belongings belongings.Made
	group      *cgroup.Group
	family     *orphans.Family // where it has no group
	limits     Limits
	exited     chan struct{} // closed once the process is reaped and its output read
	err        error         // set before exited closes

	mu       sync.Mutex // guards the rest
	exceeded string
	reaped   bool
}

// Recv returns what the child says next, or an error once it says no more.
func (c *Child) Recv() (link.Message, error) { return Hear(c.Link) }

// Hear returns what a child at the other end of its link says next. No child sends descriptors: what
// comes is closed.
func Hear(l *link.Conn) (link.Message, error) {
	m, err := l.Recv()
	for _, f := range m.FDs {
		f.Close()
	}
	m.FDs = nil
	return m, err
}

// Start runs a child in a session of its own: it has no terminal, so that an
// interrupt reaches the supervisor alone, and no handler types into the shell
// of whoever runs us (TIOCSTI, ioctl_tty(2)). What we inherited open it has not.
// Where there is an error there is no process, or none any more.
func Start(spec Spec) (*Child, error) {
	disinherit()
	ours, theirs, err := spec.link()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	c := &Child{limits: spec.Limits, exited: make(chan struct{})}
	if err = c.private(&spec); err != nil {
		ours.Close()
		c.tidy()
		return nil, err
	}
	c.cmd = spec.command(theirs)
	var readers sync.WaitGroup
	var pipes []*os.File
	for _, stream := range []string{"stdout", "stderr"} {
		r, w, err := os.Pipe()
		if err != nil {
			ours.Close()
			closeAll(pipes)
			c.tidy()
			return nil, err
		}
		pipes = append(pipes, r)
		defer w.Close()
		if stream == "stdout" {
			c.cmd.Stdout = w
		} else {
			c.cmd.Stderr = w
		}
		readers.Add(1)
		go func() {
			defer readers.Done()
			c.read(r, stream, spec.Output)
		}()
	}
	if err := c.begin(spec); err != nil {
		ours.Close()
		closeAll(pipes)
		c.tidy()
		return nil, fmt.Errorf("start %q: %w", spec.Path, err)
	}
	c.PID = c.cmd.Process.Pid
	err = c.connect(ours, spec)
	if err == nil && spec.Limits.Memory != 0 {
		go c.watch(spec.Limits)
	}
	go c.reap(&readers, pipes)
	if err != nil {
		c.Kill()
		<-c.exited
		return nil, err
	}
	return c, nil
}

// connect makes the link that is ours, and has the kernel bound the child.
func (c *Child) connect(ours *os.File, s Spec) (err error) {
	if ours != nil {
		if c.Link, err = link.New(ours); err != nil {
			return err
		}
	}
	if err = errors.Join(s.Limits.apply(c.PID), c.join(s)); err != nil && c.Link != nil {
		c.Link.Close()
	}
	return err
}

// link is both ends of the child's link; ours is nil where somebody else has it.
func (s Spec) link() (ours, theirs *os.File, err error) {
	if s.Link != nil {
		return nil, s.Link, nil
	}
	return wire.Pair()
}

// command is what is run; link is the child's end.
func (s Spec) command(link *os.File) *exec.Cmd {
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Env, cmd.Dir = s.Limits.environ(s.Env), s.Dir
	cmd.ExtraFiles = []*os.File{link}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.As}
	return cmd
}

// reap is the goroutine that waits for the child's end, and for the readers of its
// output.
func (c *Child) reap(readers *sync.WaitGroup, pipes []*os.File) {
	c.awaitDeath()
	c.Kill() // what it has started and not put into a group of its own
	c.mu.Lock()
	c.reaped = true
	c.mu.Unlock()
	c.group.Joined()
	c.err = c.cmd.Wait()
	c.family.End()
	if c.Link != nil {
		c.Link.CloseRead() // its end may be open elsewhere, were it on its way to us
	}
	late := time.AfterFunc(lingering, func() { closeAll(pipes) })
	readers.Wait()
	late.Stop()
	closeAll(pipes)
	c.judge()
	c.tidy()
	close(c.exited)
}

// disinherit keeps the descriptors that we were started with from our children:
// one of a shell's may be its terminal. All that Go opens is closed on exec.
var disinherit = sync.OnceFunc(func() {
	unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) // best effort: since Linux 5.11
})

// awaitDeath returns once the child is dead, and leaves it to be reaped: until
// then its process group's number is nobody else's (pidfd_open(2), waitid(2)).
func (c *Child) awaitDeath() {
	fd, err := unix.PidfdOpen(c.PID, unix.PIDFD_NONBLOCK)
	if err != nil {
		unix.Waitid(unix.P_PID, c.PID, nil, unix.WEXITED|unix.WNOWAIT, nil)
		return
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer f.Close()
	rc, err := f.SyscallConn()
	if err == nil {
		// Polled, for a thread that waits would be one a child.
		err = rc.Read(func(fd uintptr) bool {
			var info unix.Siginfo
			err := unix.Waitid(unix.P_PIDFD, int(fd), &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
			return err != nil && err != unix.EINTR || info.Signo != 0
		})
	}
	if err != nil {
		unix.Waitid(unix.P_PID, c.PID, nil, unix.WEXITED|unix.WNOWAIT, nil)
	}
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func (c *Child) read(r io.Reader, stream string, output func(stream, line string)) {
	var first [1]byte // most children print nothing: they need no more
	if _, err := io.ReadFull(r, first[:]); err != nil {
		return
	}
	br := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(first[:]), r), transcript.MaxLine)
	for {
		b, err := br.ReadSlice('\n')
		if line := strings.TrimRight(string(b), "\r\n"); line != "" || len(b) > 0 {
			c.Heard(stream, line)
			output(stream, line)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// Kill ends the child at once, and what it has started.
func (c *Child) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.group.Kill()
	if !c.reaped { // then the group's number may be another's
		syscall.Kill(-c.PID, syscall.SIGKILL)
	}
}

// End returns once the child has exited, and kills it where that takes longer
// than grace.
func (c *Child) End(grace time.Duration) { End(grace, c.exited, c.Kill) }

// End returns once exited is closed, and calls kill where that takes longer than grace.
func End(grace time.Duration, exited <-chan struct{}, kill func()) {
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-exited:
	case <-t.C:
		kill()
		<-exited
	}
}

// Exited is closed once the child is gone and its output was read.
func (c *Child) Exited() <-chan struct{} { return c.exited }

// Status says how the child ended: "exit status 2", "signal: killed", or which
// limit it was killed for. It may be called once Exited is closed.
func (c *Child) Status() string {
	if why := c.Exceeded(); why != "" {
		return "killed: " + why
	}
	if c.err == nil {
		return "exit status 0"
	}
	return c.err.Error()
}
