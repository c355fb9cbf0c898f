package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/control"
	"github.com/andrestc/go-plugserver/internal/between/words"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// program is plugserverctl as it was called.
type program struct {
	commands []*Command  // in the order of the overview
	socket   string      // the daemon's
	control  *pflag.Flag // which names that
	out      *output
	problems io.Writer
	columns  int
	at       *Command // which was meant; nil before that is known
}

// session is what a command works with.
func (p *program) session(args []string) *Session {
	return &Session{Args: args, Client: control.NewClient(p.socket), Out: p.out, Problems: p.problems, Columns: p.columns, program: p}
}

// tree is all commands as cobra has them.
func (p *program) tree() *cobra.Command {
	root := p.group("plugserverctl", "")
	root.SetOut(p.out)
	root.SetErr(p.problems)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.PersistentFlags().StringVar(&p.socket, "control", p.socket, strings.ReplaceAll(controlHelp, "`", ""))
	p.control = root.PersistentFlags().Lookup("control")
	root.RegisterFlagCompletionFunc("control", files)
	root.SetFlagErrorFunc(func(of *cobra.Command, err error) error { return usageError{flagError(of, err)} })
	root.SetHelpFunc(func(of *cobra.Command, _ []string) {
		showHelp(of.Context(), p.session(strings.Fields(of.CommandPath())[1:])) // what cobra has found there is
	})
	groups := map[string]*cobra.Command{"": root}
	for _, c := range p.commands {
		before, name, ok := strings.Cut(c.Name, " ")
		if !ok {
			before, name = "", c.Name
		}
		if groups[before] == nil {
			groups[before] = p.group(before, before)
			root.AddCommand(groups[before])
		}
		groups[before].AddCommand(p.command(c, name))
	}
	h, _, _ := root.Find([]string{"help"})
	root.SetHelpCommand(h)
	return root
}

// group is a command that is none without one more word; of is that of those in it.
func (p *program) group(use, of string) *cobra.Command {
	return &cobra.Command{
		Use: use,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return p.unknown(strings.TrimSpace(of + " " + args[0]))
		},
		RunE: func(*cobra.Command, []string) error {
			if of == "" {
				return usageError{errNothing}
			}
			return usageError{fmt.Errorf("%s: no command given", of)}
		},
	}
}

func (p *program) command(c *Command, name string) *cobra.Command {
	flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	run := c.Declare(flags)
	of := &cobra.Command{
		Use: name, Annotations: map[string]string{"name": c.Name},
		Args: func(_ *cobra.Command, args []string) error {
			if missing := c.missing(len(args)); missing != "" {
				return usageError{fmt.Errorf("%s: no %s given", c.Name, missing)}
			}
			if most := c.most(); len(args) > most {
				return usageError{fmt.Errorf("unexpected argument %q", args[most])}
			}
			return nil
		},
		RunE: func(of *cobra.Command, args []string) error { return run(of.Context(), p.session(args)) },
		ValidArgsFunction: func(of *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return p.arguments(of.Context(), c, args, begun)
		},
	}
	of.Flags().AddGoFlagSet(flags)
	flags.VisitAll(func(f *flag.Flag) { of.RegisterFlagCompletionFunc(f.Name, values(f)) })
	return of
}

// of is the command that cobra's is, nil for a group.
func (p *program) of(of *cobra.Command) *Command {
	for _, c := range p.commands {
		if c.Name == of.Annotations["name"] {
			return c
		}
	}
	return nil
}

// dashed gives flags of several letters behind one dash, as package flag takes them and as
// those of go build are written, a second one.
func (p *program) dashed(root *cobra.Command, args []string) []string {
	of, all := root, make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" || strings.HasPrefix(arg, cobra.ShellCompRequestCmd) && i == 0 {
			all = append(all, args[i:]...)
			break
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			for _, c := range of.Commands() {
				if c.Name() == arg {
					of = c
				}
			}
			all = append(all, arg)
			continue
		}
		name, _, whole := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if len(name) > 1 && !strings.HasPrefix(arg, "--") {
			arg = "-" + arg
		}
		all = append(all, arg)
		if f := lookup(of, name); f != nil && f.NoOptDefVal == "" && !whole && i+1 < len(args) {
			i++ // its value, which may begin with a dash
			all = append(all, args[i])
		}
	}
	p.at = p.of(of)
	return all
}

// lookup finds a flag of a command's, by its whole name.
func lookup(of *cobra.Command, name string) *pflag.Flag {
	if f := of.Flags().Lookup(name); f != nil {
		return f
	}
	return of.Root().PersistentFlags().Lookup(name)
}

// unknown is the refusal of a command that there is not.
func (p *program) unknown(name string) error {
	var known []string
	for _, c := range p.commands {
		known = append(known, c.Name)
	}
	return usageError{fmt.Errorf("unknown command %q%s", name, words.DidYouMean(name, known))}
}

// flagError says of a flag that there is not which was meant.
func flagError(of *cobra.Command, err error) error {
	var none *pflag.NotExistError
	if !errors.As(err, &none) {
		return err
	}
	name := none.GetSpecifiedName()
	if len(name) == 1 {
		return fmt.Errorf("unknown flag -%s", name)
	}
	var known []string
	of.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	if near := words.Near(name, known); near != "" {
		return fmt.Errorf("unknown flag --%s; did you mean --%s?", name, near)
	}
	return fmt.Errorf("unknown flag --%s", name)
}
