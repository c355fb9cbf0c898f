package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/control"
	"github.com/andrestc/go-plugserver/internal/between/words"
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

// Run carries out args with one of the commands, which AddHelp returned, and returns the
// exit code. Text is to fit into so many columns.
func Run(ctx context.Context, commands []*Command, args []string, stdout, stderr io.Writer, columns int) int {
	inv, err := program(commands).parse(args)
	if err != nil {
		inv.complain(stderr, err)
		return ExitUsage
	}
	out := &output{w: stdout}
	if inv.help {
		io.WriteString(out, inv.usage())
	} else {
		err = inv.run(ctx, &Session{Args: inv.args, Client: control.NewClient(inv.control), Out: out, Problems: stderr, Columns: columns})
	}
	if err == nil && out.err != nil {
		err = fmt.Errorf("write the answer: %w", out.err)
	}
	var bad usageError
	switch {
	case errors.Is(err, ErrRefused):
		return ExitError
	case errors.As(err, &bad):
		inv.complain(stderr, err)
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

// invocation is a command line, understood.
type invocation struct {
	program program
	command *Command // nil before it is known
	help    bool
	flags   *flag.FlagSet
	control string
	args    []string
	run     Runner
}

// parse understands args. Flags stand before the command, after it, or among
// its arguments. The invocation is of use for its usage where there is an error.
func (p program) parse(args []string) (*invocation, error) {
	inv := &invocation{program: p, flags: flag.NewFlagSet("plugserverctl", flag.ContinueOnError), control: os.Getenv("PLUGSERVER_CONTROL")}
	if inv.control == "" {
		inv.control = control.DefaultPath
	}
	inv.flags.SetOutput(io.Discard)
	inv.flags.StringVar(&inv.control, "control", inv.control, controlHelp)
	name := "" // of the command's name, so far
	for {
		if err := inv.flags.Parse(args); errors.Is(err, flag.ErrHelp) {
			inv.help = true
			return inv, nil
		} else if err != nil {
			return inv, usageError{flagError(inv.flags, err)}
		}
		if args = inv.flags.Args(); len(args) == 0 {
			break
		}
		word := args[0]
		args = args[1:]
		if inv.command != nil {
			if inv.args = append(inv.args, word); len(inv.args) > inv.command.most() {
				return inv, usageError{fmt.Errorf("unexpected argument %q", word)}
			}
			continue
		}
		name = strings.TrimPrefix(name+" "+word, " ")
		switch c, group := p.lookup(name); {
		case c != nil:
			inv.command, inv.run = c, c.Bind(inv.flags)
		case !group:
			return inv, p.unknown(name)
		}
	}
	switch {
	case inv.command == nil && name == "":
		return inv, usageError{errNothing}
	case inv.command == nil:
		return inv, usageError{fmt.Errorf("%s: no command given", name)}
	}
	if missing := inv.command.missing(len(inv.args)); missing != "" {
		return inv, usageError{fmt.Errorf("%s: no %s given", name, missing)}
	}
	return inv, nil
}

// complain says on one line what makes no sense, and where to read on. Who types
// nothing is told all.
func (inv *invocation) complain(w io.Writer, err error) {
	if errors.Is(err, errNothing) {
		fmt.Fprintf(w, "plugserverctl: %v\n\n%s", err, inv.program.overview())
		return
	}
	help := "plugserverctl help"
	if inv.command != nil && inv.command.Name != "help" {
		help += " " + inv.command.Name
	}
	fmt.Fprintf(w, "plugserverctl: %s; see %s\n", terminal.Escape(err.Error()), help)
}

var errNothing = errors.New("no command given")

// unknown is the refusal of a command that there is not.
func (p program) unknown(name string) error {
	var known []string
	for _, c := range p {
		known = append(known, c.Name)
	}
	return usageError{fmt.Errorf("unknown command %q%s", name, words.DidYouMean(name, known))}
}

// flagError adds to what package flag says which flag was meant.
func flagError(flags *flag.FlagSet, err error) error {
	name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !ok {
		return err
	}
	var known []string
	flags.VisitAll(func(f *flag.Flag) { known = append(known, f.Name) })
	if near := words.Near(name, known); near != "" {
		return fmt.Errorf("%w; did you mean --%s?", err, near)
	}
	return err
}

// usage is that of the command, where one is named.
func (inv *invocation) usage() string {
	if inv.command == nil {
		return inv.program.overview()
	}
	return inv.command.usage(inv.flags)
}
