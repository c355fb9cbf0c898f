// Package cli is the command line of plugserverctl: its commands, the flags that stand
// before or after them, their help, and what their end says to a shell.
package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/control"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
	"golang.org/x/sys/unix"
)

// Command is one of plugserverctl's.
type Command struct {
	Name string // two words for a command of a group, such as "cell list"
	// Args are its arguments as the usage names them; what is in brackets may
	// be left out, and what ends in dots repeated.
	Args  string
	Short string // what it does, for the overview: lower case, no full stop
	Long  string // the rest, for its own usage: sentences, or empty
	// Complete are the words that its next argument may be, for a shell that completes
	// it; s.Args are those before. nil for what Args says: files, or nothing known.
	Complete func(ctx context.Context, s *Session) []string
	// Tells says that it has --json: what Session.Tell is given is printed then.
	Tells bool
	// Bind declares the command's flags, besides --control, and returns what
	// reads them once they are parsed.
	Bind func(*flag.FlagSet) Runner
}

// Runner carries a command out. What it returns is printed for an operator,
// escaped; ErrRefused is not, for the command has said why.
type Runner func(context.Context, *Session) error

// Session is what a command works with.
type Session struct {
	Args     []string // as many as the command takes
	Client   *control.Client
	Out      io.Writer // what was asked for; its errors are noticed elsewhere
	Problems io.Writer // what went wrong, and progress: a terminal's, or the journal
	Columns  int       // of the terminal
	JSON     bool      // --json, of a command that Tells
	program  *program
}

// Socket is the daemon's. Where the operator has named none, that of the packaged one, it may be another's: it is usual then.
func (s *Session) Socket(usual string) string {
	if usual != "" && os.Getenv("PLUGSERVER_CONTROL") == "" && !s.program.control.Changed {
		s.program.socket = usual
		s.Client = control.NewClient(usual)
	}
	return s.program.socket
}

// Terminal is the terminal that Out writes to, if it is one.
func (s *Session) Terminal() (*os.File, bool) {
	f, ok := s.program.out.w.(*os.File)
	if !ok {
		return nil, false
	}
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return f, err == nil
}

// Arg returns an argument, empty where it was left out.
func (s *Session) Arg(i int) string {
	if i < len(s.Args) {
		return s.Args[i]
	}
	return ""
}

var help = Command{
	Name: "help", Args: "[COMMAND...]", Short: "print this, or what a command does and takes",
	Complete: func(_ context.Context, s *Session) (names []string) {
		before := strings.Join(append(s.Args, ""), " ")
		for _, c := range s.program.commands {
			if more, ok := strings.CutPrefix(c.Name, before); ok {
				names = append(names, strings.Fields(more)[0])
			}
		}
		return slices.Compact(names)
	},
	Bind: NoFlags(showHelp),
}

// Tell prints what came of a command: a sentence, which ends a line, or with --json the
// object that is behind it.
func (s *Session) Tell(object any, format string, args ...any) {
	if s.JSON {
		terminal.WriteJSON(s.Out, object) // its errors are noticed elsewhere
		return
	}
	fmt.Fprintf(s.Out, format, args...)
}

// Declare declares all flags of c but --control, and returns what reads them.
func (c *Command) Declare(flags *flag.FlagSet) Runner {
	run := c.Bind(flags)
	if !c.Tells {
		return run
	}
	asJSON := flags.Bool("json", false, "print one object, for programs")
	return func(ctx context.Context, s *Session) error {
		s.JSON = *asJSON
		return run(ctx, s)
	}
}

// NoFlags is the bind of a command that has none of its own.
func NoFlags(run Runner) func(*flag.FlagSet) Runner {
	return func(*flag.FlagSet) Runner { return run }
}

// most returns how many arguments c takes at most.
func (c *Command) most() int {
	if strings.HasSuffix(c.Args, "...]") {
		return math.MaxInt
	}
	return len(strings.Fields(c.Args))
}

// missing names the first argument that c cannot do without, where have are
// given; it is empty if there are enough.
func (c *Command) missing(have int) string {
	args := strings.Fields(c.Args)
	if have < len(args) && !strings.HasPrefix(args[have], "[") {
		return args[have]
	}
	return ""
}

const controlHelp = "the daemon's socket, at `PATH`, before or after the command; " +
	"default $PLUGSERVER_CONTROL, else " + control.DefaultPath

// overview lists the commands.
func (p *program) overview() string {
	var b strings.Builder
	b.WriteString("usage: plugserverctl [--control PATH] COMMAND\n\ncommands:\n")
	all := p.commands
	width := 0
	for _, c := range all {
		width = max(width, len(c.synopsis()))
	}
	for _, c := range all {
		describe(&b, c.synopsis(), width, c.Short)
	}
	b.WriteString("\n")
	describe(&b, "--control PATH", width, strings.ReplaceAll(controlHelp, "`", ""))
	return b.String()
}

// usage describes c, whose flags have been declared in flags.
func (c *Command) usage(flags *flag.FlagSet) string {
	var words []string
	names, width := map[string]string{}, 0
	flags.VisitAll(func(f *flag.Flag) {
		arg, _ := flag.UnquoteUsage(f)
		dashes := "--"
		if len(f.Name) == 1 {
			dashes = "-"
		}
		names[f.Name] = strings.TrimSpace(dashes + f.Name + " " + arg)
		words = append(words, "["+names[f.Name]+"]")
		width = max(width, len(names[f.Name]))
	})
	var b strings.Builder
	b.WriteString(terminal.Wrap("usage: ", "    ", "plugserverctl "+c.Name+" "+strings.Join(words, " ")+" "+c.Args, 80))
	b.WriteString("\n" + terminal.Wrap("", "", c.Short, 80))
	if c.Long != "" {
		b.WriteString("\n" + terminal.Wrap("", "", c.Long, 80))
	}
	b.WriteString("\n")
	flags.VisitAll(func(f *flag.Flag) {
		_, text := flag.UnquoteUsage(f)
		describe(&b, names[f.Name], width, text)
	})
	return b.String()
}

func (c *Command) synopsis() string { return strings.TrimSpace(c.Name + " " + c.Args) }

// describe writes a name and, beside it, what it is.
func describe(b *strings.Builder, name string, width int, text string) {
	first := fmt.Sprintf("  %-*s  ", width, name)
	b.WriteString(terminal.Wrap(first, strings.Repeat(" ", len(first)), text, 80))
}

// showHelp tells of all commands, of one, or of a group's.
func showHelp(_ context.Context, s *Session) error {
	p, name := s.program, strings.Join(s.Args, " ")
	if name == "" {
		io.WriteString(s.Out, p.overview())
		return nil
	}
	said := false
	for _, c := range p.commands {
		if c.Name == name {
			io.WriteString(s.Out, c.help())
			return nil
		}
		if strings.HasPrefix(c.Name, name+" ") {
			said = true
			io.WriteString(s.Out, terminal.Wrap("", "  ", "plugserverctl "+c.synopsis()+": "+c.Short, 80))
		}
	}
	if !said {
		return p.unknown(name)
	}
	return nil
}

// help describes c.
func (c *Command) help() string {
	flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	flags.String("control", "", controlHelp)
	c.Declare(flags)
	return c.usage(flags)
}
