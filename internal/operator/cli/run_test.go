package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/control"
)

// commands are some that say how they were called.
func commands() []*Command {
	say := func(name string) func(*flag.FlagSet) Runner {
		return func(flags *flag.FlagSet) Runner {
			loud := flags.Bool("loud", false, "say it loudly")
			word := flags.String("word", "", "say this `WORD`, too")
			short := flags.String("o", "", "write it to `FILE`")
			return func(_ context.Context, s *Session) error {
				fmt.Fprintf(s.Out, "%s %q loud=%v", name, s.Args, *loud)
				if *word+*short != "" {
					fmt.Fprintf(s.Out, " %s %s", *word, *short)
				}
				switch s.Arg(0) {
				case "refuse":
					return ErrRefused
				case "fail":
					return errors.New("no\x1b[2J way")
				}
				return nil
			}
		}
	}
	return []*Command{
		{Name: "one", Args: "NAME [MORE]", Short: "do one", Bind: say("one")},
		{Name: "cell list", Args: "[NAME...]", Short: "list cells", Bind: say("cell list")},
	}
}

func TestRun(t *testing.T) {
	for _, tt := range []struct {
		args   string
		code   int
		out    string // all of it, or its begin where it ends in …
		stderr string // is in what is said of problems
	}{
		{"one a", ExitOK, `one ["a"] loud=false`, ""},
		{"one --loud a b", ExitOK, `one ["a" "b"] loud=true`, ""},
		{"one a --loud b", ExitOK, `one ["a" "b"] loud=true`, ""},
		{"--control /s one a", ExitOK, `one ["a"] loud=false`, ""},
		{"cell list a b c", ExitOK, `cell list ["a" "b" "c"] loud=false`, ""},
		{"one -loud -word -x -o=f a", ExitOK, `one ["a"] loud=true -x f`, ""}, // one dash, as package flag takes it
		{"one -word=y --o f --loud=false a", ExitOK, `one ["a"] loud=false y f`, ""},
		{"-control /s one -- -loud", ExitOK, `one ["-loud"] loud=false`, ""},
		{"one --word -- a", ExitOK, `one ["a"] loud=false -- `, ""},
		{"one --word", ExitUsage, "", "flag needs an argument: --word; see plugserverctl help one"},
		{"one -x a", ExitUsage, "", "unknown flag -x; see"},
		{"one --loud=maybe a", ExitUsage, "", `invalid argument "maybe" for "--loud" flag`},
		{"one refuse", ExitError, `one ["refuse"] loud=false`, ""},
		{"one fail", ExitError, `one ["fail"] loud=false`, `plugserverctl: no\x1b[2J way`},
		{"one", ExitUsage, "", "one: no NAME given; see plugserverctl help one"},
		{"one a b c", ExitUsage, "", `unexpected argument "c"`},
		{"one --lod a", ExitUsage, "", "did you mean --loud?"},
		{"onne a", ExitUsage, "", `unknown command "onne"; did you mean one?`},
		{"cell", ExitUsage, "", "cell: no command given"},
		{"", ExitUsage, "", "usage: plugserverctl"},
		{"help one", ExitOK, "usage: plugserverctl one [--control PATH] [--loud] [-o FILE] [--word WORD] NAME\n…", ""},
		{"one --help", ExitOK, "usage: plugserverctl one …", ""},
		{"help cell", ExitOK, "plugserverctl cell list [NAME...]: list cells\n", ""},
		{"cell --help", ExitOK, "plugserverctl cell list [NAME...]: list cells\n", ""},
		{"cell list --help", ExitOK, "usage: plugserverctl cell list …", ""},
		{"one --lod -- x", ExitUsage, "", "see plugserverctl help one"},
		{"help", ExitOK, "usage: plugserverctl [--control PATH] COMMAND\n…", ""},
	} {
		var out, errs bytes.Buffer
		code := Run(t.Context(), commands(), strings.Fields(tt.args), &out, &errs, 80)
		begin, more := strings.CutSuffix(tt.out, "…")
		if code != tt.code || !strings.HasPrefix(out.String(), begin) || !more && out.String() != tt.out || !strings.Contains(errs.String(), tt.stderr) || tt.stderr == "" && errs.Len() > 0 {
			t.Errorf("%q: exit %d, %q, %q", tt.args, code, &out, &errs)
		}
	}
}

// The daemon that an operator names is the one, though it be the usual one.
func TestSocket(t *testing.T) {
	const usual = "/run/plugserver@shop/control.sock"
	c := &Command{Name: "one", Short: "do one", Bind: func(*flag.FlagSet) Runner {
		return func(_ context.Context, s *Session) error { fmt.Fprint(s.Out, s.Socket(usual)); return nil }
	}}
	for _, tt := range []struct{ args, env, want string }{
		{"one", "", usual},
		{"--control /s one", "", "/s"},
		{"one --control " + control.DefaultPath, "", control.DefaultPath},
		{"-control " + control.DefaultPath + " one", "", control.DefaultPath},
		{"one", control.DefaultPath, control.DefaultPath},
	} {
		t.Setenv("PLUGSERVER_CONTROL", tt.env)
		var out, problems bytes.Buffer
		if code := Run(t.Context(), []*Command{c}, strings.Fields(tt.args), &out, &problems, 80); code != ExitOK || out.String() != tt.want {
			t.Errorf("%q, with %q: %d, %s%s", tt.args, tt.env, code, &out, &problems)
		}
	}
}
