// Plugserverctl asks plugserverd what it serves, and makes it look again.
//
// It prints nothing of a handler's that a terminal could act on: names,
// patterns and reasons are foreign strings, and are escaped.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/api"
	"github.com/andrestc/go-plugserver/internal/control"
)

// version is set by the build: -ldflags "-X main.version=0.1.0".
var version = "dev"

// Exit codes.
const (
	exitOK    = 0
	exitError = 1 // no answer, or something was refused
	exitUsage = 2
)

const usage = `usage: plugserverctl [--control PATH] COMMAND

commands:
  status [--json]  show every handler, and why one is not served
  reload           look at the handlers again and wait until all is in force;
                   exit 1 if something was refused
  release NAME     try a handler's file again that was given up for crashing
  version          print the versions of plugserverctl and of the daemon
  help             print this

  --control PATH   the daemon's socket, before or after the command; default
                   $PLUGSERVER_CONTROL, else ` + control.DefaultPath + `
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

// invocation is a command line, understood.
type invocation struct {
	command string
	control string
	json    bool
	name    string // the handler's
}

func parse(args []string) (invocation, error) {
	inv := invocation{control: os.Getenv("PLUGSERVER_CONTROL")}
	if inv.control == "" {
		inv.control = control.DefaultPath
	}
	// One pass for the flags before the command, one for those after it.
	for {
		flags := flag.NewFlagSet("plugserverctl", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		flags.StringVar(&inv.control, "control", inv.control, "")
		if inv.command == "status" {
			flags.BoolVar(&inv.json, "json", inv.json, "")
		}
		if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
			inv.command = "help"
			return inv, nil
		} else if err != nil {
			return inv, usageError{err}
		}
		args = flags.Args()
		switch {
		case len(args) == 0 && inv.command == "":
			return inv, usageError{errors.New("no command given")}
		case len(args) == 0 && inv.command == "release" && inv.name == "":
			return inv, usageError{errors.New("release: no handler named")}
		case len(args) == 0:
			return inv, nil
		case inv.command == "release" && inv.name == "":
			inv.name, args = args[0], args[1:]
			continue
		case inv.command != "":
			return inv, usageError{fmt.Errorf("unexpected argument %q", args[0])}
		}
		switch args[0] {
		case "status", "reload", "release", "version", "help":
			inv.command, args = args[0], args[1:]
		default:
			return inv, usageError{fmt.Errorf("unknown command %q", args[0])}
		}
	}
}

// run carries out args and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	inv, err := parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "plugserverctl: %s\n\n%s", escape(err.Error()), usage)
		return exitUsage
	}
	var out, problems bytes.Buffer
	client := control.NewClient(inv.control)
	switch inv.command {
	case "status":
		err = showStatus(ctx, client, inv.json, &out)
	case "reload":
		err = reload(ctx, client, &out, &problems)
	case "release":
		err = release(ctx, client, inv.name, &out, &problems)
	case "version":
		showVersion(ctx, client, &out, &problems)
	case "help":
		out.WriteString(usage)
	}
	if _, werr := stdout.Write(out.Bytes()); werr != nil && err == nil {
		err = fmt.Errorf("write the answer: %w", werr)
	}
	stderr.Write(problems.Bytes())
	switch {
	case errors.Is(err, errRefused):
		return exitError // the problems said it all
	case err != nil:
		fmt.Fprintf(stderr, "plugserverctl: %s\n", escape(err.Error()))
		return exitError
	}
	return exitOK
}

func showStatus(ctx context.Context, client *control.Client, asJSON bool, out *bytes.Buffer) error {
	st, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if !asJSON {
		writeStatus(out, st, time.Now())
		return nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(st); err != nil {
		return err
	}
	out.WriteString(escapeJSON(buf.String()))
	return nil
}

// errRefused ends a reload that worked, but not for everything.
var errRefused = errors.New("refused")

func reload(ctx context.Context, client *control.Client, out, problems *bytes.Buffer) error {
	re, err := client.Reload(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "reloaded: %d live\n", re.Live)
	// One line a fact, unwrapped: systemd runs this and the journal keeps it.
	for _, name := range slices.Sorted(maps.Keys(re.Refused)) {
		showRefusal(name, re.Refused[name], problems)
	}
	if re.Problem != "" {
		fmt.Fprintf(problems, "problem: %s\n", escape(re.Problem))
	}
	if problems.Len() > 0 {
		return errRefused
	}
	return nil
}

func showRefusal(name string, r api.Refusal, problems *bytes.Buffer) {
	fmt.Fprintf(problems, "refused %s: %s\n", escape(name), escape(r.Reason))
	if r.Mend != "" {
		fmt.Fprintf(problems, "  mend: %s\n", escape(r.Mend))
	}
}

// release reports on the one handler.
func release(ctx context.Context, client *control.Client, name string, out, problems *bytes.Buffer) error {
	re, err := client.Release(ctx, name)
	if err != nil {
		return err
	}
	if r, ok := re.Refused[name]; ok {
		showRefusal(name, r, problems)
		return errRefused
	}
	fmt.Fprintf(out, "released: %s is live\n", escape(name))
	return nil
}

// showVersion fails never: without a daemon the command's own version stands.
func showVersion(ctx context.Context, client *control.Client, out, problems *bytes.Buffer) {
	fmt.Fprintf(out, "plugserverctl %s (%s)\n", version, runtime.Version())
	if v, err := client.Version(ctx); err != nil {
		fmt.Fprintf(problems, "plugserverd: %s\n", escape(err.Error()))
	} else {
		fmt.Fprintf(out, "plugserverd %s (%s)\n", escape(v.Version), escape(v.Go))
	}
}
