package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	plugserver "github.com/andrestc/go-plugserver"
	"github.com/andrestc/go-plugserver/internal/catalogue"
	"github.com/andrestc/go-plugserver/internal/elfplug"
	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/andrestc/go-plugserver/internal/terminal"
)

// sharedCells is where packages put further cells.
const sharedCells = "/usr/lib/plugserver/cells"

// cellFlags declares the flags that say where cells are. What it returns reads
// them once they are parsed.
func cellFlags(flags *flag.FlagSet) func() *catalogue.Catalogue {
	packaged := flags.String("cell", installedCell(), "the cell's binary, at `PATH`")
	state := flags.String("state", cmp.Or(os.Getenv("PLUGSERVER_STATE"), "/var/lib/plugserver"),
		"the daemon's `DIRECTORY`, whose folder cells holds those that were built or added; default $PLUGSERVER_STATE, else /var/lib/plugserver")
	return func() *catalogue.Catalogue {
		own := filepath.Join(*state, "cells")
		return catalogue.New(catalogue.Config{
			Packaged: *packaged, Shared: sharedCells, Own: own, UID: ownerOf(own), Source: plugserver.CellDigest(),
		})
	}
}

// ownerOf is the daemon's user, as the owner of its folder.
func ownerOf(dir string) uint32 {
	if info, err := os.Stat(dir); err == nil {
		return info.Sys().(*syscall.Stat_t).Uid
	}
	return uint32(os.Geteuid())
}

// installedCell is the cell beside this binary, where there is one, as
// plugserverd chooses it.
func installedCell() string {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "plugserver-cell")
		if _, err := os.Stat(beside); err == nil {
			return beside
		}
	}
	return "/usr/lib/plugserver/plugserver-cell"
}

// choose returns the cell that loads the plugin, or the nearest and its refusal.
// The error says that there is no cell at all.
func choose(binaries *catalogue.Catalogue, plugin *elfplug.Info) (catalogue.Binary, *refusal.Error, error) {
	c, refused := binaries.Choose(plugin)
	if refused == nil || c.Info != nil {
		return c, refused, nil
	}
	for _, c := range binaries.List() {
		return c, nil, fmt.Errorf("cell %q: %w", c.Path, c.Ignored)
	}
	return c, nil, refused
}

var cellListCommand = command{
	name:  "cell list",
	short: "show the cells on this machine, and why one is never used",
	bind: func(flags *flag.FlagSet) runner {
		asJSON := flags.Bool("json", false, "print one list, for programs")
		binaries := cellFlags(flags)
		return func(_ context.Context, s *session) error {
			list := binaries().List()
			if *asJSON {
				out := make([]cellJSON, 0, len(list))
				for _, c := range list {
					out = append(out, jsonOf(c))
				}
				return writeJSON(s.out, out)
			}
			var b bytes.Buffer
			writeCells(&b, list, time.Now())
			s.out.Write(b.Bytes())
			return nil
		}
	},
}

// cellJSON is a cell with --json: fields are added in later versions, never
// renamed.
type cellJSON struct {
	Name     string            `json:"name"`
	Path     string            `json:"path"`
	Origin   string            `json:"origin"` // "packaged", "shared" or "own"
	Auto     bool              `json:"auto"`   // deleted once no handler needs it
	Go       string            `json:"go"`
	Settings map[string]string `json:"settings"` // of its build, as go version -m names them
	Size     int64             `json:"size_bytes"`
	Modified time.Time         `json:"modified"`
	Refusal  *refusal.Error    `json:"refusal,omitempty"` // why it is never used
}

func jsonOf(c catalogue.Binary) cellJSON {
	j := cellJSON{
		Name: c.Name, Path: c.Path, Origin: string(c.Origin), Auto: c.Auto,
		Settings: map[string]string{}, Size: c.Size, Modified: c.Modified.UTC().Truncate(time.Second), Refusal: c.Ignored,
	}
	if c.Info != nil {
		j.Go, j.Settings = c.Info.GoVersion, c.Info.Settings
	}
	return j
}

// writeCells writes the list as people read it.
func writeCells(w *bytes.Buffer, list []catalogue.Binary, now time.Time) {
	if len(list) == 0 {
		w.WriteString("no cells; install the package, or add one: plugserverctl cell add CELL\n")
		return
	}
	rows := [][]string{{"NAME", "GO", "FROM", "SIZE", "AGE"}}
	for _, c := range list {
		release := "-"
		if c.Info != nil {
			release = elfplug.Release(c.Info.GoVersion)
		}
		from := string(c.Origin)
		if c.Auto {
			from += ", while needed"
		}
		name := c.Name
		if c.Ignored != nil {
			name += "*"
		}
		rows = append(rows, []string{terminal.Escape(name), terminal.Escape(release), from, terminal.Size(c.Size), terminal.Age(c.Modified, now)})
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, s := range row {
			widths[i] = max(widths[i], terminal.Width(s))
		}
	}
	for _, row := range rows {
		for i, s := range row {
			row[i] = terminal.Pad(s, widths[i], i >= 3)
		}
		w.WriteString(strings.TrimRight(strings.Join(row, gap), " ") + "\n")
	}
	for _, c := range list {
		if c.Ignored != nil {
			w.WriteString("\n" + terminal.Wrap("", "  ", c.Name+" is not used: "+c.Ignored.Reason, columns))
			writeFixes(w, "  ", c.Ignored.Mend, c.Ignored.Or)
		}
	}
}

var cellAddCommand = command{
	name:  "cell add",
	args:  "FILE",
	short: "add a cell that was built elsewhere",
	long:  "It is used from then on for the handlers that it loads and the installed one does not.",
	bind: func(flags *flag.FlagSet) runner {
		binaries := cellFlags(flags)
		return func(_ context.Context, s *session) error {
			c, err := binaries().Add(s.arg(0), false)
			if err != nil {
				return deniedState(err)
			}
			added(s.out, c)
			return nil
		}
	},
}

func added(w io.Writer, c catalogue.Binary) {
	fmt.Fprintf(w, "added: %s (%s, %s)\n", terminal.Escape(c.Name), terminal.Escape(c.Info.GoVersion), terminal.Size(c.Size))
}

var cellRemoveCommand = command{
	name:  "cell remove",
	args:  "NAME",
	short: "remove a cell that was built or added here",
	long:  "Handlers that run in it go on. They need another once they are started again.",
	bind: func(flags *flag.FlagSet) runner {
		binaries := cellFlags(flags)
		return func(_ context.Context, s *session) error {
			if err := binaries().Remove(s.arg(0)); err != nil {
				return deniedState(err)
			}
			fmt.Fprintf(s.out, "removed: %s\n", terminal.Escape(s.arg(0)))
			return nil
		}
	},
}

// deniedState words an error of somebody who changes the daemon's folder.
func deniedState(err error) error {
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		return fmt.Errorf("%w; the directory is the daemon's: run it with sudo", err)
	}
	return err
}
