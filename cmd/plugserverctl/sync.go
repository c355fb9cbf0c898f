package main

import (
	"context"
	"flag"
	"os"
	"path/filepath"

	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/syncing"
)

var syncCommand = cli.Command{
	Name:  "sync",
	Tells: true,
	Args:  "[REF]",
	Short: "make the handlers what a reference in a registry names, and wait until they are live or refused",
	Long:  syncing.Long,
	Bind: func(flags *flag.FlagSet) cli.Runner {
		sync := syncing.Flags(flags)
		binaries := cellFlags(flags)
		return func(ctx context.Context, s *cli.Session) error {
			state := flags.Lookup("state").Value.String()
			_, err := os.ReadDir(filepath.Join(state, "cells"))
			return sync.Run(ctx, s, syncing.Options{Binaries: binaries(), Blind: err != nil, State: state})
		}
	},
}
