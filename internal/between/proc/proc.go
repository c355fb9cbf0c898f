// Package proc runs one child process, once: it starts it, links to it, reads
// what it prints, and reaps it. The only signal it relies on is SIGKILL.
package proc

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/belongings"
	"github.com/andrestc/go-plugserver/internal/between/cgroup"
	"github.com/andrestc/go-plugserver/internal/between/deaths"
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
	// Served says that it is to take the place of what serves or has served, and Below that its descriptors here are to be
	// below that number, 0 that they may be any: the others are left for other things.
	Served bool
	Below  int
	// Belongings are the child's own, and made for it.
	Belongings belongings.Belongings
	// Link is the child's end of its link, where somebody else has the other; nil has us make both.
	Link *os.File
	// Apart is where it runs as no child of ours, for package apart; zero is nowhere.
	Apart Apart
	// Output gets each line that the child prints, without its end. It may be
	// called by two goroutines at a time, one for each stream.
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

	dir        string // of its own, "" where it has none
	shelf      string // what it is lent is there; "" where all is in the open
	belongings belongings.Made
	group      *cgroup.Group
	family     *orphans.Family // where it has no group
	limits     Limits
	outlets    []*outlet
	printing   sync.WaitGroup // the outlets that have not ended
	exited     chan struct{}  // closed once the process is reaped and its output read
	err        error          // set before exited closes

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
	deaths.Begin()
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
	if err = c.begin(spec, theirs); err != nil {
		ours.Close()
		c.cutOutlets()
		c.tidy()
		return nil, err
	}
	err = c.connect(ours, spec)
	if err == nil && spec.Limits.Memory != 0 {
		go c.watch(spec.Limits)
	}
	deaths.Await(c.PID, c.reap)
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

// Leaves returns an error where the child takes a descriptor that it is to leave for other things.
func (s Spec) Leaves(fds ...int) error {
	if s.Below > 0 && slices.Max(fds) >= s.Below {
		return os.NewSyscallError("start", unix.EMFILE)
	}
	return nil
}

// command is what is run; link is the child's end.
func (s Spec) command(link *os.File) *exec.Cmd {
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Env, cmd.Dir = s.Limits.environ(s.Env), s.Dir
	cmd.ExtraFiles = []*os.File{link}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.As}
	return cmd
}

// begin starts the process, in its sandbox; link is its end of that.
func (c *Child) begin(spec Spec, link *os.File) error {
	cmd := spec.command(link)
	for stream, to := range map[string]*io.Writer{"stdout": &cmd.Stdout, "stderr": &cmd.Stderr} {
		w, err := c.outlet(stream, spec.Output)
		if err != nil {
			return err
		}
		defer w.Close()
		*to = w
	}
	if err := spec.Leaves(c.outlets[0].fd, c.outlets[1].fd); err != nil {
		return err
	}
	start := cmd.Start
	if spec.Sandbox != nil {
		start = func() error { return spec.Sandbox.Start(cmd.Start) }
	}
	if err := start(); err != nil {
		return fmt.Errorf("start %q: %w", spec.Path, err)
	}
	c.PID = cmd.Process.Pid
	orphans.Started(c.PID)
	cmd.Process.Release() // its descriptor: we reap the child ourselves
	return nil
}

// outlet makes one for the stream, and returns the child's end.
func (c *Child) outlet(stream string, output func(stream, line string)) (*os.File, error) {
	c.printing.Add(1)
	o, w, err := newOutlet(func(line string) {
		c.Heard(stream, line)
		output(stream, line)
	}, c.printing.Done)
	if err != nil {
		c.printing.Done()
		return nil, err
	}
	c.outlets = append(c.outlets, o)
	return w, nil
}

// cutOutlets ends the outlets: somebody else may hold the pipes.
func (c *Child) cutOutlets() {
	for _, o := range c.outlets {
		o.cut()
	}
}

// reap reaps the child, which is dead. Until then its process group's number is nobody else's (waitid(2)).
func (c *Child) reap() {
	c.Kill() // what it has started and not put into a group of its own
	c.mu.Lock()
	c.reaped = true
	c.mu.Unlock()
	c.group.Joined()
	var status unix.WaitStatus
	_, err := unix.Wait4(c.PID, &status, 0, nil)
	for err == unix.EINTR {
		_, err = unix.Wait4(c.PID, &status, 0, nil)
	}
	orphans.Reaped(c.PID)
	if c.err = err; err == nil {
		c.err = how(status)
	}
	c.Ended(c.exit())
	go c.ended()
}

// how says how a process has ended, nil if well.
func how(s unix.WaitStatus) error {
	var text string
	switch {
	case s.Signaled():
		text = "signal: " + s.Signal().String()
	case s.ExitStatus() != 0:
		text = fmt.Sprintf("exit status %d", s.ExitStatus())
	default:
		return nil
	}
	if s.CoreDump() {
		text += " (core dumped)"
	}
	return errors.New(text)
}

// ended waits for the end of the output of a child that was reaped.
func (c *Child) ended() {
	c.family.End()
	if c.Link != nil {
		c.Link.CloseRead() // its end may be open elsewhere, were it on its way to us
	}
	late := time.AfterFunc(lingering, c.cutOutlets)
	c.printing.Wait()
	late.Stop()
	c.judge()
	c.tidy()
	close(c.exited)
}

// disinherit keeps the descriptors that we were started with from our children:
// one of a shell's may be its terminal. All that Go opens is closed on exec.
var disinherit = sync.OnceFunc(func() {
	unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) // best effort: since Linux 5.11
})

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
	return c.exit()
}

// exit is how it ended, whatever for.
func (c *Child) exit() string {
	if c.err == nil {
		return "exit status 0"
	}
	return c.err.Error()
}
