package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/build/cellsource"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/report"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// cellFlags declares the flags that say where cells are. What it returns reads
// them once they are parsed.
func cellFlags(flags *flag.FlagSet) func() *catalogue.Catalogue {
	packaged := flags.String("cell", catalogue.PackagedPath(), "the cell's binary, at `PATH`")
	state := flags.String("state", cmp.Or(os.Getenv("PLUGSERVER_STATE"), "/var/lib/plugserver"),
		"the daemon's `DIRECTORY`, whose folder cells holds those that were built or added; default $PLUGSERVER_STATE, else /var/lib/plugserver")
	return func() *catalogue.Catalogue {
		own := filepath.Join(*state, "cells")
		return catalogue.New(catalogue.Config{
			Packaged: *packaged, Shared: catalogue.SharedPath, Own: own, UID: ownerOf(own), Source: cellsource.Digest(),
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

var cellListCommand = cli.Command{
	Name:  "cell list",
	Short: "show the cells on this machine, and why one is never used",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		asJSON := flags.Bool("json", false, "print one list, for programs")
		binaries := cellFlags(flags)
		return func(_ context.Context, s *cli.Session) error {
			list := binaries().List()
			if *asJSON {
				out := make([]report.CellJSON, 0, len(list))
				for _, c := range list {
					out = append(out, report.JSON(c))
				}
				return terminal.WriteJSON(s.Out, out)
			}
			var b bytes.Buffer
			report.Cells(&b, list, time.Now(), s.Columns)
			s.Out.Write(b.Bytes())
			return nil
		}
	},
}

var cellAddCommand = cli.Command{
	Name:  "cell add",
	Tells: true,
	Args:  "FILE",
	Short: "add a cell that was built elsewhere",
	Long:  "It is used from then on for the handlers that it loads and the installed one does not.",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		binaries := cellFlags(flags)
		return func(_ context.Context, s *cli.Session) error {
			c, err := binaries().Add(s.Arg(0), false)
			if err != nil {
				return deniedState(err)
			}
			added(s, c)
			return nil
		}
	},
}

func added(s *cli.Session, c catalogue.Binary) {
	s.Tell(report.JSON(c), "added: %s (%s, %s)\n", terminal.Escape(c.Name), terminal.Escape(c.Info.GoVersion), terminal.Size(c.Size))
}

var cellRemoveCommand = cli.Command{
	Name:  "cell remove",
	Tells: true,
	Args:  "NAME",
	Complete: func(context.Context, *cli.Session) (names []string) {
		for _, c := range cellFlags(flag.NewFlagSet("", flag.ContinueOnError))().List() {
			names = append(names, c.Name)
		}
		return names
	},
	Short: "remove a cell that was built or added here",
	Long:  "Handlers that run in it go on. They need another once they are started again.",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		binaries := cellFlags(flags)
		return func(_ context.Context, s *cli.Session) error {
			if err := binaries().Remove(s.Arg(0)); err != nil {
				return deniedState(err)
			}
			s.Tell(struct {
				Removed string `json:"removed"`
			}{s.Arg(0)}, "removed: %s\n", terminal.Escape(s.Arg(0)))
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
