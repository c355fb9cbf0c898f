package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/control"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Exit codes.
const (
	ExitOK    = 0
	ExitError = 1 // no answer, or something was refused
	ExitUsage = 2
)

// ErrRefused ends a command that worked, but not for everything; what was
// refused has been printed.
var ErrRefused = errors.New("refused")

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

var (
	errNothing = errors.New("no command given")
	errShell   = errors.New("completion: want bash, zsh or fish")
)

// All are the commands, and those that tell of all of them.
func All(commands []*Command) []*Command {
	return append(commands[:len(commands):len(commands)], &completion, &help)
}

// Run carries out args with one of the commands and returns the exit code. Text is to
// fit into so many columns.
func Run(ctx context.Context, commands []*Command, args []string, stdout, stderr io.Writer, columns int) int {
	p := &program{
		commands: All(commands), socket: cmp.Or(os.Getenv("PLUGSERVER_CONTROL"), control.DefaultPath),
		out: &output{w: stdout}, problems: stderr, columns: columns,
	}
	root := p.tree()
	root.SetArgs(p.dashed(root, args))
	err := root.ExecuteContext(ctx)
	if err == nil && p.out.err != nil {
		err = fmt.Errorf("write the answer: %w", p.out.err)
	}
	var bad usageError
	switch {
	case errors.Is(err, ErrRefused):
		return ExitError
	case errors.As(err, &bad):
		p.complain(err)
		return ExitUsage
	case err != nil:
		fmt.Fprintf(stderr, "plugserverctl: %s\n", terminal.Escape(err.Error()))
		return ExitError
	}
	return ExitOK
}

// output remembers the first error of the writer behind it.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// complain says on one line what makes no sense, and where to read on. Who types
// nothing is told all.
func (p *program) complain(err error) {
	if errors.Is(err, errNothing) {
		fmt.Fprintf(p.problems, "plugserverctl: %v\n\n%s", err, p.overview())
		return
	}
	see := "plugserverctl help"
	if p.at != nil && p.at.Name != "help" {
		see += " " + p.at.Name
	}
	fmt.Fprintf(p.problems, "plugserverctl: %s; see %s\n", terminal.Escape(strings.ReplaceAll(err.Error(), "\n", " ")), see)
}
