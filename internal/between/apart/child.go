package apart

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/sandbox"
	"github.com/andrestc/go-plugserver/internal/between/transcript"
	"github.com/andrestc/go-plugserver/internal/between/wire"
	"golang.org/x/sys/unix"
)

const (
	// birthWait bounds the start of a unit: the service manager may have others to start.
	birthWait = 20 * time.Second
	// usesWait bounds the wait for what a child uses.
	usesWait = 300 * time.Millisecond
	// deathWait bounds the wait for a child whose keeper is gone: the service manager kills it.
	deathWait = 30 * time.Second
)

// Child is a process in a unit of its own. It is spare.Process.
type Child struct {
	transcript.Transcript
	link   *link.Conn
	keeper *wire.Conn
	pid    int
	pidfd  int    // -1 where there is none
	folder string // of what is lent, as we see it
	seen   string // as the child does
	output func(stream, line string)
	usage  chan proc.Usage // has an answer, which may be one that nobody waits for
	asking sync.Mutex
	killed sync.Once
	exited chan struct{}
	death  death // set before exited closes
}

// Vacate makes the folder of what is lent, and removes what those of an earlier supervisor were lent.
func Vacate(dir string) error {
	if err := proc.Vacate(dir); err != nil {
		return err
	}
	return os.Chmod(dir, 0o711) // what is in it is found by who knows its name
}

// Start runs a child in a unit. Errors that are about that have a *refusal.Error in their chain.
func Start(spec proc.Spec) (*Child, error) {
	c := &Child{
		pidfd: -1, folder: filepath.Join(spec.Apart.Lent, rand.Text()),
		output: spec.Output, usage: make(chan proc.Usage, 1), exited: make(chan struct{}),
	}
	if err := c.begin(spec); err != nil {
		if c.keeper != nil {
			c.keeper.Close()
		}
		os.RemoveAll(c.folder)
		if c.link != nil {
			c.link.Close()
		}
		return nil, err
	}
	go c.hear()
	return c, nil
}

// passing is an error that may be gone in a while: units are others' to mend, and nothing of the handler's is to blame.
func passing(e *refusal.Error, cause error) error {
	return refusal.Because(e, errors.Join(cause, unix.EAGAIN))
}

// begin connects once all is there for the child: its keeper does not wait long for what to run.
func (c *Child) begin(spec proc.Spec) error {
	if err := errors.Join(os.Mkdir(c.folder, 0o700), os.Chmod(c.folder, 0o711)); err != nil { // whatever the umask
		return err
	}
	o := order{
		Version: version, Folder: filepath.Base(c.folder), Path: spec.Path, Args: spec.Args, Env: spec.Env, Limits: spec.Limits,
		Belongings: spec.Belongings,
	}
	if hidden(spec.Path) { // copied: another name would change the file's state, by which others know it
		o.Path = lent + filepath.Base(spec.Path)
		if err := copied(spec.Path, filepath.Join(c.folder, filepath.Base(spec.Path)), 0o555); err != nil {
			return err
		}
	}
	if err := c.Lend(spec.Opens); err != nil {
		return err
	}
	if spec.Sandbox != nil { // what the supervisor has it read is lent
		o.Sandbox = new(sandbox.Rules)
		*o.Sandbox = *spec.Sandbox
		o.Sandbox.Read = slices.DeleteFunc(slices.Clone(o.Sandbox.Read), func(path string) bool { return path == spec.Path })
	}
	ours, theirs, err := wire.Pair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	if c.link, err = link.New(ours); err != nil {
		return err
	}
	proof, err := os.Open(spec.Apart.Lent)
	if err != nil {
		return err
	}
	defer proof.Close()
	if err := spec.Leaves(int(proof.Fd())); err != nil {
		return err
	}
	nc, err := net.DialTimeout("unix", spec.Apart.Socket, birthWait)
	if err != nil {
		return passing(refusal.NoUnit(spec.Apart.Socket, err), err)
	}
	c.keeper = wire.New(nc.(*net.UnixConn))
	if err := tell(c.keeper, start, o, proof, theirs); err != nil {
		return passing(refusal.UnitFailed(spec.Apart.Socket, err.Error()), err)
	}
	return c.born(spec.Apart.Socket)
}

// hidden reports whether others than we cannot run a file.
func hidden(path string) bool {
	for p := path; p != "/" && p != "."; p = filepath.Dir(p) {
		if is, err := os.Stat(p); err != nil || is.Mode()&0o001 == 0 {
			return true
		}
	}
	return false
}

// born waits until the child runs.
func (c *Child) born(socket string) error {
	late := time.AfterFunc(birthWait, func() { c.keeper.CloseRead() })
	defer late.Stop()
	for {
		f, err := c.keeper.Recv()
		if err != nil {
			why := "its unit has ended before it ran a process"
			if !late.Stop() {
				why = fmt.Sprintf("nothing runs there %v after it was connected to", birthWait)
			}
			return passing(refusal.UnitFailed(socket, why), err)
		}
		closeAll(f.FDs)
		switch f.Kind {
		case output:
			c.print(f.Body)
		case begun:
			var b birth
			if err := json.Unmarshal(f.Body, &b); err != nil {
				return err
			}
			if b.Refusal != nil {
				return refusal.Because(b.Refusal.Bounded(), errors.New(b.Err))
			}
			if b.Err != "" {
				return passing(refusal.UnitFailed(socket, b.Err), nil)
			}
			c.pid, c.seen = b.PID, b.Lent
			if fd, err := unix.PidfdOpen(b.PID, 0); err == nil { // whoever's it is
				c.pidfd = fd
			}
			return nil
		}
	}
}

func (c *Child) print(body []byte) {
	stream, line := heard(body)
	c.Heard(stream, line)
	if c.output != nil {
		c.output(stream, line)
	}
}

// hear is the goroutine that hears the keeper, until it is gone, and with it the child.
func (c *Child) hear() {
	c.death = death{Status: "its unit was ended"}
	told := false
	for !told {
		f, err := c.keeper.Recv()
		if err != nil {
			break
		}
		closeAll(f.FDs)
		switch f.Kind {
		case output:
			c.print(f.Body)
		case uses:
			var u proc.Usage
			json.Unmarshal(f.Body, &u)
			select {
			case c.usage <- u:
			default: // nobody waits, nor did for the one before
			}
		case ended:
			told = json.Unmarshal(f.Body, &c.death) == nil
		}
	}
	c.Ended(c.death.Status)
	c.Kill()
	if !told {
		c.awaitDeath()
	}
	if c.pidfd >= 0 {
		unix.Close(c.pidfd)
	}
	c.keeper.Close()
	c.link.CloseRead() // its end may be open elsewhere, were it on its way to us
	os.RemoveAll(c.folder)
	close(c.exited)
}

// awaitDeath returns once the child is dead, which the service manager sees to: until then it may take what its way
// to the gate has for it.
func (c *Child) awaitDeath() {
	until := time.Now().Add(deathWait)
	for c.pidfd >= 0 && time.Now().Before(until) {
		fds := []unix.PollFd{{Fd: int32(c.pidfd), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, int(time.Until(until).Milliseconds())+1); n > 0 || err != nil && err != unix.EINTR {
			return
		}
	}
}

// Lend has the child open files, at Lent: they are linked into its folder, or where that cannot be, copied.
func (c *Child) Lend(paths []string) error {
	for _, path := range paths {
		if err := lend(path, filepath.Join(c.folder, filepath.Base(path))); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// lend has others find a file that is ours. Where it is, none does.
func lend(path, at string) error {
	is, err := os.Stat(path)
	if err != nil {
		return err
	}
	mode := is.Mode().Perm() | 0o044 | is.Mode().Perm()&0o100>>6
	if err = os.Link(path, at); err != nil && !errors.Is(err, fs.ErrExist) {
		return copied(path, at, mode)
	}
	if err == nil && mode != is.Mode().Perm() {
		err = os.Chmod(at, mode)
	}
	return err
}

func copied(path, at string, mode fs.FileMode) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = to.ReadFrom(from)
	return errors.Join(err, to.Chmod(mode), to.Close())
}

// PID is the child's.
func (c *Child) PID() int { return c.pid }

// Send names the files that the child is to open as it finds them.
func (c *Child) Send(m link.Message) error {
	if m.Kind == link.Open {
		c.keeper.Post(title, []byte(strings.TrimSpace(m.Name)))
	}
	return c.link.Send(proc.Naming(m, func(path string) string { return filepath.Join(c.seen, filepath.Base(path)) }))
}

// Recv returns what the child says next, or an error once it says no more.
func (c *Child) Recv() (link.Message, error) { return proc.Hear(c.link) }

// Later has do called once Recv has something to return. It reports false where Recv is to be called at once.
func (c *Child) Later(do func()) bool { return c.link.Later(do) }

// SendError is what has ended the sending.
func (c *Child) SendError() error { return c.link.Err() }

// Close closes the link.
func (c *Child) Close() { c.link.Close() }

// Kill has the keeper end the child, and so all that is in its unit. A keeper that stands still is
// killed by the service manager's watchdog, and all the same.
func (c *Child) Kill() {
	c.killed.Do(func() {
		go func() { // where the keeper does not read it may wait
			c.keeper.Post(kill)
			c.keeper.CloseWrite()
		}()
	})
}

// End returns once the child has exited, and kills it where that takes longer than grace.
func (c *Child) End(grace time.Duration) { proc.End(grace, c.exited, c.Kill) }

// Exited is closed once the child is gone and its output was read.
func (c *Child) Exited() <-chan struct{} { return c.exited }

// Status says how the child ended. It may be called once Exited is closed, as Exceeded.
func (c *Child) Status() string { return c.death.Status }

// Exceeded says which limit the child was killed for, "" if for none.
func (c *Child) Exceeded() string { return c.death.Exceeded }

// Uses is what the child uses, as its keeper sees it: nobody else may look at it. One who has said nothing in time is
// taken for gone.
func (c *Child) Uses() (proc.Usage, error) {
	c.asking.Lock()
	defer c.asking.Unlock()
	select {
	case <-c.usage: // told once who had asked had gone on
	default:
	}
	if err := c.keeper.Post(ask, nil); err != nil {
		return proc.Usage{}, err
	}
	t := time.NewTimer(usesWait)
	defer t.Stop()
	select {
	case u := <-c.usage:
		return u, nil
	case <-c.exited:
	case <-t.C:
	}
	return proc.Usage{}, fs.ErrNotExist
}
