package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/andrestc/go-plugserver/internal/control"
	"github.com/andrestc/go-plugserver/internal/terminal"
)

// command is one of plugserverctl's.
type command struct {
	name string // two words for a command of a group, such as "cell list"
	// args are its arguments as the usage names them; what is in brackets may
	// be left out, and what ends in dots repeated.
	args  string
	short string // what it does, for the overview: lower case, no full stop
	long  string // the rest, for its own usage: sentences, or empty
	// bind declares the command's flags, besides --control, and returns what
	// reads them once they are parsed.
	bind func(*flag.FlagSet) runner
}

// runner carries a command out. What it returns is printed for an operator,
// escaped; errRefused is not, for the command has said why.
type runner func(context.Context, *session) error

// session is what a command works with.
type session struct {
	args     []string // as many as the command takes
	client   *control.Client
	out      io.Writer // what was asked for; its errors are noticed elsewhere
	problems io.Writer // what went wrong, and progress: a terminal's, or the journal
}

// arg returns an argument, empty where it was left out.
func (s *session) arg(i int) string {
	if i < len(s.args) {
		return s.args[i]
	}
	return ""
}

// noFlags is the bind of a command that has none of its own.
func noFlags(run runner) func(*flag.FlagSet) runner {
	return func(*flag.FlagSet) runner { return run }
}

// commands are all there are, in the order of the overview.
func commands() []*command {
	return []*command{
		&statusCommand,
		&reloadCommand,
		&releaseCommand,
		&newCommand,
		&checkCommand,
		&installCommand,
		&removeCommand,
		&historyCommand,
		&rollbackCommand,
		&buildCommand,
		&cellListCommand,
		&cellBuildCommand,
		&cellAddCommand,
		&cellRemoveCommand,
		&versionCommand,
		{name: "help", args: "[COMMAND...]", short: "print this, or what a command does and takes", bind: noFlags(showHelp)},
	}
}

// lookup finds a command by its name. Where there is none, group tells whether
// the name begins that of others.
func lookup(name string) (c *command, group bool) {
	for _, c := range commands() {
		if c.name == name {
			return c, false
		}
		group = group || strings.HasPrefix(c.name, name+" ")
	}
	return nil, group
}

// most returns how many arguments c takes at most.
func (c *command) most() int {
	if strings.HasSuffix(c.args, "...]") {
		return math.MaxInt
	}
	return len(strings.Fields(c.args))
}

// missing names the first argument that c cannot do without, where have are
// given; it is empty if there are enough.
func (c *command) missing(have int) string {
	args := strings.Fields(c.args)
	if have < len(args) && !strings.HasPrefix(args[have], "[") {
		return args[have]
	}
	return ""
}

const controlHelp = "the daemon's socket, at `PATH`, before or after the command; " +
	"default $PLUGSERVER_CONTROL, else " + control.DefaultPath

// overview lists the commands.
func overview() string {
	var b strings.Builder
	b.WriteString("usage: plugserverctl [--control PATH] COMMAND\n\ncommands:\n")
	all := commands()
	width := 0
	for _, c := range all {
		width = max(width, len(c.synopsis()))
	}
	for _, c := range all {
		describe(&b, c.synopsis(), width, c.short)
	}
	b.WriteString("\n")
	describe(&b, "--control PATH", width, strings.ReplaceAll(controlHelp, "`", ""))
	return b.String()
}

// usage describes c, whose flags have been declared in flags.
func (c *command) usage(flags *flag.FlagSet) string {
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
	b.WriteString(terminal.Wrap("usage: ", "    ", "plugserverctl "+c.name+" "+strings.Join(words, " ")+" "+c.args, 80))
	b.WriteString("\n" + terminal.Wrap("", "", c.short, 80))
	if c.long != "" {
		b.WriteString("\n" + terminal.Wrap("", "", c.long, 80))
	}
	b.WriteString("\n")
	flags.VisitAll(func(f *flag.Flag) {
		_, text := flag.UnquoteUsage(f)
		describe(&b, names[f.Name], width, text)
	})
	return b.String()
}

func (c *command) synopsis() string { return strings.TrimSpace(c.name + " " + c.args) }

// describe writes a name and, beside it, what it is.
func describe(b *strings.Builder, name string, width int, text string) {
	first := fmt.Sprintf("  %-*s  ", width, name)
	b.WriteString(terminal.Wrap(first, strings.Repeat(" ", len(first)), text, 80))
}

func showHelp(_ context.Context, s *session) error {
	name := strings.Join(s.args, " ")
	if name == "" {
		io.WriteString(s.out, overview())
		return nil
	}
	c, group := lookup(name)
	if c != nil {
		flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
		flags.String("control", "", controlHelp)
		c.bind(flags)
		io.WriteString(s.out, c.usage(flags))
		return nil
	}
	if !group {
		return unknown(name)
	}
	for _, c := range commands() {
		if strings.HasPrefix(c.name, name+" ") {
			io.WriteString(s.out, terminal.Wrap("", "  ", "plugserverctl "+c.synopsis()+": "+c.short, 80))
		}
	}
	return nil
}
