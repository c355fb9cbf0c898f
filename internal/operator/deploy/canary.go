package deploy

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/words"
	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/renaming"
	"github.com/andrestc/go-plugserver/internal/operator/report"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Source has use called with the plugin at path, or the one that the source there is compiled into, and with the cells.
type Source func(ctx context.Context, s *cli.Session, path string, use func(path string, binaries *catalogue.Catalogue) error) error

// Canary is the command, where source is what declares the flags for compiling source, and has it compiled.
func Canary(source func(*flag.FlagSet) Source) cli.Command {
	return cli.Command{
		Name:  "canary",
		Tells: true,
		Args:  "NAME [FILE.so|PACKAGE|FILE.go]",
		Short: "give a second version of a handler a part of its requests, and have it promoted or withdrawn by how it does",
		Long: "The file is installed as NAME.canary.so, beside the handler's own. What is set here goes before the handler's settings, until that version is promoted or withdrawn. " +
			"Without a file it is for the canary that is judged, and with nothing at all tells how that does. " +
			"--promote gives its file the handler's name, too, also where it was promoted by itself; --withdraw leaves its file in place.",
		Complete: func(ctx context.Context, s *cli.Session) []string {
			if len(s.Args) > 0 {
				return nil // a file
			}
			return cli.Handlers(ctx, s)
		},
		Bind: func(flags *flag.FlagSet) cli.Runner {
			var terms canary.Terms
			flags.Func("weight", "its `PART` of the requests, such as 5% or 0.5%, to 50%", func(v string) (err error) {
				terms.Weight, err = canary.ParseWeight(v)
				return err
			})
			flags.Func("sticky", "`BY` what a client is known whose requests all go to the same version: none, ip, cookie:NAME or header:NAME", terms.SetSticky)
			flags.Func("for", "the `TIME` after which it is promoted, such as 10m, where nothing speaks against it; infinity: by --promote alone", func(v string) (err error) {
				terms.For, err = parseFor(v)
				return err
			})
			flags.BoolFunc("mirror", "give it copies of safe requests, and drop its answers; =10% is of how many", func(v string) (err error) {
				terms.Mirror, err = canary.ParseMirror(v)
				return err
			})
			promoted := flags.Bool("promote", false, "have its version become the handler's, now")
			withdrawn := flags.Bool("withdraw", false, "take its requests from it, now")
			plugin := source(flags)
			return func(ctx context.Context, s *cli.Session) error {
				of, path := s.Arg(0), s.Arg(1)
				switch {
				case (*promoted || *withdrawn) && (path != "" || *promoted && *withdrawn || terms != canary.Terms{}):
					return errors.New("--promote and --withdraw go with no file, no other flag and not with each other")
				case *promoted:
					return promote(ctx, s, of)
				case *withdrawn:
					return withdraw(ctx, s, of)
				case path == "":
					return agree(ctx, s, of, terms)
				}
				return plugin(ctx, s, path, func(path string, binaries *catalogue.Catalogue) error {
					return beginCanary(ctx, s, of, path, terms, binaries)
				})
			}
		},
	}
}

func parseFor(v string) (time.Duration, error) {
	if v == "infinity" {
		return canary.None, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, errors.New("not a time above 0; write one such as 10m or 1h30m, or infinity")
	}
	return d, nil
}

// beginCanary installs the file at path as the canary of a handler, on these terms.
func beginCanary(ctx context.Context, s *cli.Session, of, path string, terms canary.Terms, binaries *catalogue.Catalogue) error {
	h, err := handler(ctx, s, of)
	if err != nil {
		return err
	}
	if h == nil || h.Version == "" {
		return fmt.Errorf("%q serves no version for a canary to stand beside; install it: plugserverctl install --name %s FILE.so", of, of)
	}
	if _, err := s.Client.Canary(ctx, of, canary.Begin, terms.Encode()); err != nil {
		return err
	}
	if err := Install(ctx, s, path, canary.Name(of), binaries); err != nil || terms == (canary.Terms{}) {
		return err
	}
	_, err = s.Client.Canary(ctx, of, canary.Judge, terms.Encode()) // the same content may have been there before
	return err
}

// agree sets other terms for the canary that is judged, and without any tells how that does.
func agree(ctx context.Context, s *cli.Session, of string, terms canary.Terms) error {
	var out api.Outcome
	var err error
	if terms == (canary.Terms{}) {
		out.Handler, err = handler(ctx, s, canary.Name(of))
	} else {
		out, err = s.Client.Canary(ctx, of, canary.Judge, terms.Encode())
	}
	switch {
	case err != nil:
		return err
	case out.Handler == nil:
		return fmt.Errorf("%q has no canary; begin one: plugserverctl canary %s FILE.so", of, of)
	case out.Handler.Canary != nil:
		s.Tell(out, "canary: %s\n", terminal.Escape(canary.Tells(*out.Handler)))
	case out.Handler.Refusal != nil:
		s.Tell(out, "%s: %s\n", out.Handler.State, terminal.Escape(out.Handler.Refusal.Reason))
	default:
		s.Tell(out, "%s\n", out.Handler.State)
	}
	return nil
}

// handler is what stands under a name, nil if nothing does.
func handler(ctx context.Context, s *cli.Session, name string) (*api.Handler, error) {
	st, err := s.Client.Status(ctx)
	return find(st, name), err
}

func find(st api.Status, name string) *api.Handler {
	for _, h := range st.Handlers {
		if h.Name == name {
			return &h
		}
	}
	return nil
}

// promote has a handler's canary promoted, unless it was, and gives its file the handler's name.
func promote(ctx context.Context, s *cli.Session, of string) error {
	h, err := handler(ctx, s, canary.Name(of))
	if err != nil {
		return err
	}
	if h == nil || h.State != api.StatePromoted {
		if _, err = WaitFor(ctx, s, of, func(ctx context.Context) (api.Outcome, error) { return s.Client.Canary(ctx, of, canary.Promote, "") }); err != nil {
			return err
		}
	}
	st, err := s.Client.Status(ctx)
	if err != nil {
		return err
	}
	// It may be long ago that it was promoted.
	if h = find(st, of); h == nil || h.Version == "" {
		return fmt.Errorf("promote: %q does not serve; see plugserverctl status", of)
	}
	serves, source := h.Version, renaming.SourceThere(st.Daemon.Handlers, canary.Name(of))
	if source == "" {
		err = isServed(st.Daemon.Handlers, of, serves)
	} else {
		err = isPromoted(ctx, s, of, source)
	}
	if err != nil {
		return denied(os.Geteuid(), err)
	}
	kept, err := renaming.Promote(st.Daemon.Handlers, of, time.Now())
	if err != nil {
		return fmt.Errorf("%w; the canary is promoted, and serves over restarts: only the directory does not say so", denied(os.Geteuid(), err))
	}
	if kept != "" {
		fmt.Fprintf(s.Problems, "the source of before is %s\n", terminal.Escape(kept))
	}
	out, err := settle(ctx, s, of, "the canary's file has its name")
	if err != nil {
		return err
	}
	switch { // source is compiled anew, in a folder of another name
	case out.Handler != nil && (out.Handler.Version == serves || source != "" && out.Handler.State == api.StateLive && out.Handler.Refusal == nil):
	case source != "" && out.Handler != nil && out.Handler.Refusal != nil:
		report.Refusal(s.Problems, of, *out.Handler.Refusal)
		return cli.ErrRefused
	default:
		return fmt.Errorf("promote: the canary's file has the name of %q, which does not serve its version %s any more; see plugserverctl status", of, serves)
	}
	s.Tell(out, "promoted: %s\n", terminal.Escape(Serves(out.Handler)))
	return nil
}

// isPromoted returns an error unless the source of a handler's canary is still what was promoted, which the daemon knows.
func isPromoted(ctx context.Context, s *cli.Session, of, source string) error {
	out, err := settle(ctx, s, canary.Name(of), "the canary is promoted")
	if err == nil && (out.Handler == nil || out.Handler.State != api.StatePromoted) {
		err = fmt.Errorf("promote: %q is other than what was promoted: nothing is renamed; see plugserverctl status, and have it judged: plugserverctl canary %s", source, words.Shell(of))
	}
	return err
}

// isServed returns an error unless the file of a handler's canary is the version that the handler serves: any other would, once it has
// the handler's name, go live unjudged, or in the place of what an operator has had serve since.
func isServed(dir, of, serves string) error {
	name := canary.Name(of)
	path := filepath.Join(dir, name+".so")
	version, err := versionOf(path)
	switch {
	case err != nil:
		return fmt.Errorf("give the canary's file the name of %q: %w", of, err)
	case version == serves:
		return nil
	}
	return fmt.Errorf("promote: %q is version %s, and %q serves %s: nothing is renamed; where it was put there just now, wait until it is a canary, which status tells; "+
		"to serve it as it is: plugserverctl install --name %s %s; or remove it: plugserverctl remove %s", path, version, of, serves, words.Shell(of), words.Shell(path), words.Shell(name))
}

// withdraw has a handler's canary withdrawn.
func withdraw(ctx context.Context, s *cli.Session, of string) error {
	out, err := WaitFor(ctx, s, of, func(ctx context.Context) (api.Outcome, error) { return s.Client.Canary(ctx, of, canary.Withdraw, "") })
	if err != nil {
		return err
	}
	s.Tell(out, "withdrawn: %s; its file stays, and is not tried again: plugserverctl remove %[1]s\n", terminal.Escape(canary.Name(of)))
	return nil
}
