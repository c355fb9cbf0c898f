// Plugserverctl asks plugserverd what it serves, and makes it look again.
//
// It prints nothing of a handler's that a terminal could act on: names,
// patterns and reasons are foreign strings, and are escaped.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/control"
	"github.com/andrestc/go-plugserver/internal/terminal"
	"github.com/andrestc/go-plugserver/internal/words"
	"golang.org/x/sys/unix"
)

// version is set by the build: -ldflags "-X main.version=0.1.0".
var version = "dev"

// Exit codes.
const (
	exitOK    = 0
	exitError = 1 // no answer, or something was refused
	exitUsage = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	if n := terminalWidth(os.Stdout); n > 0 {
		columns = max(n, narrowest)
	}
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errRefused ends a command that worked, but not for everything; what was
// refused has been printed.
var errRefused = errors.New("refused")

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// run carries out args and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	inv, err := parse(args)
	if err != nil {
		inv.complain(stderr, err)
		return exitUsage
	}
	out := &output{w: stdout}
	if inv.help {
		io.WriteString(out, inv.usage())
	} else {
		err = inv.run(ctx, &session{args: inv.args, client: control.NewClient(inv.control), out: out, problems: stderr})
	}
	if err == nil && out.err != nil {
		err = fmt.Errorf("write the answer: %w", out.err)
	}
	var bad usageError
	switch {
	case errors.Is(err, errRefused):
		return exitError
	case errors.As(err, &bad):
		inv.complain(stderr, err)
		return exitUsage
	case err != nil:
		fmt.Fprintf(stderr, "plugserverctl: %s\n", terminal.Escape(err.Error()))
		return exitError
	}
	return exitOK
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
	command *command // nil before it is known
	help    bool
	flags   *flag.FlagSet
	control string
	args    []string
	run     runner
}

// parse understands args. Flags stand before the command, after it, or among
// its arguments. The invocation is of use for its usage where there is an error.
func parse(args []string) (*invocation, error) {
	inv := &invocation{flags: flag.NewFlagSet("plugserverctl", flag.ContinueOnError), control: os.Getenv("PLUGSERVER_CONTROL")}
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
		switch c, group := lookup(name); {
		case c != nil:
			inv.command, inv.run = c, c.bind(inv.flags)
		case !group:
			return inv, unknown(name)
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
		fmt.Fprintf(w, "plugserverctl: %v\n\n%s", err, overview())
		return
	}
	help := "plugserverctl help"
	if inv.command != nil && inv.command.name != "help" {
		help += " " + inv.command.name
	}
	fmt.Fprintf(w, "plugserverctl: %s; see %s\n", terminal.Escape(err.Error()), help)
}

var errNothing = errors.New("no command given")

// unknown is the refusal of a command that there is not.
func unknown(name string) error {
	var known []string
	for _, c := range commands() {
		known = append(known, c.name)
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

// narrowest is what a terminal has at least, whatever it says.
const narrowest = 40

// terminalWidth is how many columns f has, 0 if it is no terminal.
func terminalWidth(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// usage is that of the command, where one is named.
func (inv *invocation) usage() string {
	if inv.command == nil {
		return overview()
	}
	return inv.command.usage(inv.flags)
}
