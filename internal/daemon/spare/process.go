package spare

import (
	"time"

	"github.com/andrestc/go-plugserver/internal/between/apart"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/between/transcript"
)

// Process is one child, started once. proc.Child is one.
type Process interface {
	PID() int
	Send(link.Message) error   // never waits
	Lend(paths []string) error // has it open these files, which a message then names
	Recv() (link.Message, error)
	Later(do func()) bool            // has do called once Recv does not wait; false where it is to be called at once
	SendError() error                // that has ended the sending
	Said(line string)                // adds to what Printed tells
	Kill()                           // at once
	End(grace time.Duration)         // returns once it has exited; it is killed where that takes longer
	Exited() <-chan struct{}         // is closed once it has
	Close()                          // its link
	Status() string                  // how it has ended
	Exceeded() string                // the limit that it was killed for
	Printed() string                 // the end of what it printed or said
	LastWords() string               // those of Printed that belong to its end
	Crash() (transcript.Crash, bool) // what the Go runtime printed
	Uses() (proc.Usage, error)       // fs.ErrNotExist once it is gone
}

// Run is proc.Start, or where that is asked for apart.Start.
func Run(spec proc.Spec) (Process, error) {
	if spec.Apart.Socket != "" {
		c, err := apart.Start(spec)
		if err != nil {
			return nil, err // no Process that is a nil Child
		}
		return c, nil
	}
	c, err := proc.Start(spec)
	if err != nil {
		return nil, err
	}
	return child{c}, nil
}

// child is a proc.Child as a Process.
type child struct{ *proc.Child }

func (c child) PID() int         { return c.Child.PID }
func (c child) SendError() error { return c.Link.Err() }
func (c child) Close()           { c.Link.Close() }

func (c child) Later(do func()) bool { return c.Link.Later(do) }

func (c child) Uses() (proc.Usage, error) { return proc.UsageOf(c.Child.PID) }

// Send names the files that the child is to open as it finds them.
func (c child) Send(m link.Message) error { return c.Link.Send(proc.Naming(m, c.Lent)) }
