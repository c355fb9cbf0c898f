package apart

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/wire"
	"golang.org/x/sys/unix"
)

const (
	// orderWait is how long who connects has to say what to run. The supervisor knows it before.
	orderWait = 2 * time.Second
	// orphanWait is how long a child has to end what it began when the supervisor is gone, which it sees for itself.
	orphanWait = 6 * time.Second
)

// Keeper is what a keeper is told by its unit.
type Keeper struct {
	Lent   string      // where the unit shows the supervisor's lent folder
	Temp   string      // in which the child gets a folder of its own
	Keep   string      // in which credentials are kept: in memory alone
	Groups proc.Groups // of the unit's control group
	// Tell tells the service manager, and who looks at the unit, what the keeper does.
	Tell func(doing string)
}

// Run runs a child for who is at the other end, and returns once it has ended. The error is why there was none, or how it has ended where
// that was not asked for.
func (k Keeper) Run(conn *os.File) error {
	// The child is of the same user: it may not read or change who keeps it (PR_SET_DUMPABLE, prctl(2)).
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	c, err := wire.FromFile(conn)
	if err != nil {
		return err
	}
	defer c.Close()
	o, link, err := k.receive(c)
	if err != nil {
		tell(c, begun, birth{Err: err.Error()})
		return err
	}
	child, err := k.begin(c, o, link)
	if err != nil {
		b := birth{Err: err.Error()}
		errors.As(err, &b.Refusal)
		tell(c, begun, b)
		return err
	}
	name := strings.TrimSpace(strings.Join(o.Args, " "))
	k.Tell(name)
	tell(c, begun, birth{PID: child.PID, Lent: filepath.Join(k.Lent, o.Folder)})
	asked := make(chan struct{})
	go func() {
		killed := k.serve(c, child)
		close(asked)
		if killed {
			child.Kill()
		}
		child.End(orphanWait)
	}()
	<-child.Exited()
	how := child.Status()
	tell(c, ended, death{how, child.Exceeded()})
	select {
	case <-asked:
		return nil
	default:
	}
	if how == "exit status 0" {
		return nil
	}
	return fmt.Errorf("%s has ended: %s", name, how)
}

// receive takes the order, from the supervisor alone.
func (k Keeper) receive(c *wire.Conn) (o order, link *os.File, err error) {
	late := time.AfterFunc(orderWait, func() { c.CloseRead() })
	defer late.Stop()
	f, err := c.Recv()
	if err != nil {
		return o, nil, fmt.Errorf("nobody says what to run: %w", err)
	}
	if f.Kind != start || len(f.FDs) != 2 {
		closeAll(f.FDs)
		return o, nil, errors.New("who connects says nothing that is known")
	}
	defer unix.Close(f.FDs[0])
	link = os.NewFile(uintptr(f.FDs[1]), "link")
	if err = supervises(f.FDs[0], k.Lent); err != nil {
		err = fmt.Errorf("who connects is not the supervisor: %w", err)
	} else if err = json.Unmarshal(f.Body, &o); err == nil && o.Version != version {
		err = fmt.Errorf("the supervisor speaks version %d, this is %d: restart plugserverd", o.Version, version)
	}
	if err != nil {
		link.Close()
	}
	return o, link, err
}

// begin starts the child.
func (k Keeper) begin(c *wire.Conn, o order, link *os.File) (*proc.Child, error) {
	dir := filepath.Join(k.Lent, filepath.Base(o.Folder))
	spec := proc.Spec{
		Path: unlend(o.Path, dir), Args: o.Args, Env: o.Env, Limits: o.Limits, Sandbox: o.Sandbox, Belongings: o.Belongings,
		Groups: k.Groups, Opens: []string{dir}, Ahead: true, Link: link,
		Output: func(stream, line string) { c.Send(output, nil, printed(stream, line)) },
	}
	spec.Belongings.Keep = k.Keep
	if o.Sandbox != nil {
		rules := *o.Sandbox
		rules.Private, rules.Shelf = k.Temp, ""
		spec.Sandbox = &rules
	}
	if err := unix.Access(spec.Path, unix.X_OK); err != nil {
		link.Close()
		return nil, refusal.Because(refusal.NotSeenApart(spec.Path, err), err)
	}
	return proc.Start(spec)
}

// serve answers until the supervisor says no more, and reports whether it has the child killed.
func (k Keeper) serve(c *wire.Conn, child *proc.Child) (killed bool) {
	for {
		f, err := c.Recv()
		if err != nil {
			return false
		}
		closeAll(f.FDs)
		switch f.Kind {
		case kill:
			return true
		case title:
			k.Tell(string(f.Body))
		case ask:
			u, _ := proc.UsageOf(child.PID) // zeros where it is gone
			tell(c, uses, u)
		}
	}
}
