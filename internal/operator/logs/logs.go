// Package logs is the command that prints what a handler logs, out of systemd's journal.
package logs

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"

	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Logs prints a handler's log.
var Logs = cli.Command{
	Name:     "logs",
	Args:     "NAME",
	Complete: cli.Handlers,
	Short:    "print what a handler prints and logs, and what the daemon says of it, out of systemd's journal",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		follow := flags.Bool("f", false, "go on with what comes, until interrupted")
		lines := flags.Int("n", 100, "begin with the last `NUMBER` of lines")
		asJSON := flags.Bool("json", false, "print each record as a line of JSON, for programs")
		return func(ctx context.Context, s *cli.Session) error {
			unit, err := unitOf(ctx, s)
			if err != nil {
				return err
			}
			return journal(ctx, s, journalArgs(s.Arg(0), unit, *lines, *follow, *asJSON))
		}
	},
}

// journalArgs are those of journalctl for a handler's records, of a unit where that is known.
func journalArgs(name, unit string, lines int, follow, asJSON bool) []string {
	args := []string{"--no-pager", "--quiet", "--lines=" + strconv.Itoa(max(lines, 0))}
	if follow {
		args = append(args, "--follow")
	}
	if asJSON {
		args = append(args, "--output=json")
	} else {
		args = append(args, "--output=short-iso")
	}
	if unit != "" {
		args = append(args, "_SYSTEMD_UNIT="+unit)
	}
	return append(args, "PLUGSERVER_HANDLER="+name)
}

// unitOf is the unit that the daemon runs in, "" where it does not answer: what was logged
// before is there all the same.
func unitOf(ctx context.Context, s *cli.Session) (string, error) {
	st, err := s.Client.Status(ctx)
	if err != nil {
		fmt.Fprintf(s.Problems, "plugserverd: %s\n", terminal.Escape(err.Error()))
		return "", nil
	}
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", st.Daemon.PID))
	if err != nil {
		return "", nil
	}
	unit, ok := serviceOf(string(groups))
	if !ok {
		return "", fmt.Errorf("plugserverd (pid %d) is no service of systemd's: what handlers log is where its own log goes", st.Daemon.PID)
	}
	return unit, nil
}

// serviceOf is the service in a file of control groups (cgroups(7)).
func serviceOf(groups string) (unit string, ok bool) {
	for line := range strings.Lines(groups) {
		for dir := strings.TrimSpace(line); dir != "." && dir != "/" && dir != ""; dir = path.Dir(dir) {
			if base := path.Base(dir); strings.HasSuffix(base, ".service") {
				return base, true
			}
		}
	}
	return "", false
}

// journal runs journalctl.
func journal(ctx context.Context, s *cli.Session, args []string) error {
	cmd := exec.CommandContext(ctx, "journalctl", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdout, cmd.Stderr = s.Out, s.Problems
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("there is no journalctl on this machine: what handlers log is where the daemon's own log goes")
	case ctx.Err() != nil:
		return nil // interrupted
	case err != nil:
		return fmt.Errorf("journalctl: %w", err)
	}
	return nil
}
