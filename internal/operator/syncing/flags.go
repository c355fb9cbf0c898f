package syncing

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/forgetting"
	"github.com/andrestc/go-plugserver/internal/operator/syncentry"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
)

// Long tells of the command what its flags do not.
const Long = "What plugserverctl push has put there is pulled, as far as it is missing, checked, and renamed into the daemon's directory; what an earlier sync has placed, and nobody wants any more, is removed. " +
	"Files of others are not touched. Exit 1 if something was refused: all is as it was before then, unless there is --partial. " +
	"An entry is a file of " + syncentry.DefaultDir + ", which plugserver-sync@NAME.timer follows."

// A Command is a sync that is asked for on a command line.
type Command struct {
	o          Options
	entry, dir string
	scheduled  bool
	forget     string
	remove     bool
}

// Flags declares the flags of one, which Run reads once they are parsed.
func Flags(flags *flag.FlagSet) *Command {
	c := new(Command)
	flags.StringVar(&c.entry, "entry", "", "sync what the entry `NAME` says, in place of REF")
	flags.StringVar(&c.dir, "entries", syncentry.DefaultDir, "the `DIRECTORY` of entries")
	flags.StringVar(&c.o.Name, "name", "", "remember what was placed under `NAME`; default the one that follows the repository already, else one made of its name")
	flags.BoolVar(&c.o.DryRun, "dry-run", false, "tell what would be done, and do nothing")
	flags.BoolVar(&c.o.Partial, "partial", false, "leave out what is refused, and place the others")
	flags.BoolVar(&c.o.Canary, "canary", false, "have what is newer of a handler begin as its canary, and take the handler's place once that is promoted")
	flags.BoolVar(&c.o.Replace, "replace", false, "replace files that somebody else has put there, too")
	flags.StringVar(&c.forget, "forget", "", "follow the entry `NAME`, or the reference that it follows, no more: what it has placed stays, as anybody's")
	flags.BoolVar(&c.remove, "remove", false, "with --forget: remove what it has placed")
	flags.BoolVar(&c.scheduled, "scheduled", false, "for the service of a timer: do nothing where Interval= of the entry is not over, and say nothing where nothing has changed, unless it was started by hand")
	flags.StringVar(&c.o.Registry.Credentials, "credentials", "", "the `FILE` of credentials, as podman and docker have it; default theirs")
	flags.BoolVar(&c.o.Registry.PlainHTTP, "plain-http", false, "the registry speaks no TLS; one on loopback is taken not to")
	return c
}

// Run carries it out, with what o has that is of no flag of its own.
func (c *Command) Run(ctx context.Context, s *cli.Session, o Options) error {
	c.o.Binaries, c.o.Blind, c.o.State = o.Binaries, o.Blind, o.State
	switch {
	case c.forget == "" && c.remove:
		return errors.New("sync: --remove goes with --forget; what the reference names no more is removed anyway")
	case c.forget != "" && (s.Arg(0) != "" || c.entry != ""):
		return errors.New("sync: --forget is in place of a reference, and of --entry")
	case c.forget != "":
		err := forgetting.Run(ctx, s, forgetting.Options{Entry: c.forget, Entries: c.dir, Remove: c.remove, DryRun: c.o.DryRun})
		if err != nil {
			err = denied(fmt.Errorf("sync --forget: %w", err))
		}
		return err
	}
	if c.o.Ref = s.Arg(0); (c.o.Ref == "") == (c.entry == "") {
		return errors.New("sync: name a reference, such as registry.example.com/shop:prod, or an entry with --entry")
	}
	if c.entry != "" {
		if err := c.follow(s.Socket); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(s.Socket("")); c.scheduled && errors.Is(err, os.ErrNotExist) {
		return nil // a daemon that was stopped stays so
	}
	c.o.Settled = c.entry != ""
	return Run(ctx, s, c.o)
}

// follow has c do what its entry says. socket is told which daemon's is usual.
func (c *Command) follow(socket func(usual string) string) error {
	e, err := syncentry.Read(c.dir, c.entry)
	if err != nil {
		return err
	}
	o := &c.o
	o.Ref, o.Name, o.Partial, o.Canary = e.Ref, c.entry, o.Partial || e.Partial, o.Canary || e.Canary
	if o.Registry.Credentials == "" {
		o.Registry.Credentials = e.Credentials
	}
	o.Registry.PlainHTTP = o.Registry.PlainHTTP || e.PlainHTTP
	if e.Instance {
		socket(syncentry.Control(c.entry))
		o.State, o.Blind = syncentry.State(c.entry), true // which cells it has built for itself it alone knows
	}
	if c.scheduled && syncentry.Triggered(o.State, c.entry) {
		o.Every, o.Offset = max(e.Interval, syncplan.Least), e.Offset(c.entry) // 0 would be an operator's
	}
	return nil
}
