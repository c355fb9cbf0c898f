// Plugserverctl asks plugserverd what it serves, and makes it look again.
//
// It prints nothing of a handler's that a terminal could act on: names,
// patterns and reasons are foreign strings, and are escaped.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/deploy"
	"github.com/andrestc/go-plugserver/internal/operator/logs"
	"github.com/andrestc/go-plugserver/internal/operator/observe"
	"github.com/andrestc/go-plugserver/internal/operator/rings"
	"github.com/andrestc/go-plugserver/internal/operator/signing"
	"github.com/andrestc/go-plugserver/internal/operator/top"
	"golang.org/x/sys/unix"
)

// version is set by the build: -ldflags "-X main.version=0.1.0".
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// commands are all there are, in the order of the overview.
func commands() []*cli.Command {
	return []*cli.Command{
		&observe.Status,
		&deploy.Reload,
		&deploy.Release,
		&newCommand,
		&checkCommand,
		&installCommand,
		&canaryCommand,
		&removeCommand,
		&pushCommand,
		&syncCommand,
		&rings.Promote,
		&rings.FleetDiff,
		&rings.FleetHistory,
		&deploy.History,
		&deploy.Rollback,
		&deploy.Restart,
		&deploy.Disable,
		&deploy.Enable,
		&observe.Show,
		&checkConfigCommand,
		&observe.Events,
		&observe.Watch,
		&observe.Metrics,
		&logs.Logs,
		&top.Top,
		&buildCommand,
		&signing.Sign,
		&signing.Verify,
		&cellListCommand,
		&cellBuildCommand,
		&cellAddCommand,
		&cellRemoveCommand,
		&versionCommand,
	}
}

// run carries out args and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	columns := width(stdout)
	if columns == 0 {
		columns = 100 // a file, or a program
	}
	return cli.Run(ctx, commands(), args, stdout, stderr, columns)
}

// narrowest is what a terminal has at least, whatever it says.
const narrowest = 40

// width is how many columns the terminal w has, 0 if it is none.
func width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return 0
	}
	return max(int(size.Col), narrowest)
}
