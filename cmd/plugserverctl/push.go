package main

import (
	"context"
	"flag"
	"os"

	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/publish"
)

var pushCommand = cli.Command{
	Name:  "push",
	Tells: true,
	Args:  "REF [FILE.so|PACKAGE|FILE.go...]",
	Short: "put handlers into an OCI registry, under a tag that boxes follow",
	Long: "REF is a registry, a repository and a tag: registry.example.com/shop:prod. The tag names handlers by the digests of their files: those that are pushed take the place of those of " +
		"the same name and platform, and the others stay, unless --remove or --only takes them out. Source is compiled, as build does; FILE.so.minisig, where it is there, goes along. " +
		"The same files have the same digests, whoever pushes them. With --image it is a container image instead, for volumes of containers. Needs no daemon. Exit 1 if a file is no handler's: nothing is pushed then.",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		push := publish.PushFlags(flags)
		_, build := compileFlags(flags)
		return func(ctx context.Context, s *cli.Session) error {
			dir, err := os.MkdirTemp("", "plugserverctl-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			return push.Run(ctx, s, s.Arg(0), s.Args[1:], func(what string) (string, error) { return build(ctx, s, what, dir) })
		}
	},
}
