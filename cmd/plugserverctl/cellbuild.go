package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/catalogue"
	"github.com/andrestc/go-plugserver/internal/elfplug"
	"github.com/andrestc/go-plugserver/internal/gobuild"
	"github.com/andrestc/go-plugserver/internal/terminal"
)

var cellBuildCommand = command{
	name:  "cell build",
	args:  "FILE.so",
	short: "build the cell that loads a handler's file, and add it; needs a Go toolchain",
	long: "The file's own build settings tell by which Go release and with which flags. " +
		"Where there is no toolchain, build the cell on another machine with -o, and add it with cell add.",
	bind: func(flags *flag.FlagSet) runner {
		binaries := cellFlags(flags)
		builder := builderFlags(flags)
		out := flags.String("o", "", "write the cell to `FILE` and add nothing")
		return func(ctx context.Context, s *session) error {
			plugin, err := elfplug.InspectFile(s.arg(0))
			if err != nil {
				return fmt.Errorf("read %q: %w", s.arg(0), err)
			}
			if *out == "" {
				if c, refused := binaries().Choose(plugin); refused == nil {
					fmt.Fprintf(s.out, "%s loads it already (%s)\n", terminal.Escape(c.Name), terminal.Escape(c.Info.GoVersion))
					return nil
				}
			}
			b, err := builder()
			if err != nil {
				return err
			}
			return buildCell(ctx, s, b, plugin, binaries(), *out)
		}
	},
}

// buildCell writes the cell to out, or where that is empty adds it.
func buildCell(ctx context.Context, s *session, b *gobuild.Builder, plugin *elfplug.Info, binaries *catalogue.Catalogue, out string) error {
	dir, err := os.MkdirTemp("", "plugserverctl-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path, err := b.BuildCell(ctx, plugin, dir, progress(s.problems))
	if err != nil {
		return err
	}
	if out != "" {
		if err := gobuild.Place(path, out, 0o755); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "built: %s\n", terminal.Escape(out))
		return nil
	}
	c, err := binaries.Add(path, false)
	if err != nil {
		return deniedState(err)
	}
	added(s.out, c)
	return nil
}

// builderFlags declares the flags of what runs go.
func builderFlags(flags *flag.FlagSet) func() (*gobuild.Builder, error) {
	var goroots []string
	flags.Func("goroot", "a Go installation, at `PATH`, besides the go on the PATH; may be repeated", func(s string) error {
		goroots = append(goroots, s)
		return nil
	})
	network := true
	flags.Func("build-network", "`on` or off: whether go may fetch modules and toolchains; default on", func(s string) error {
		if s != "on" && s != "off" {
			return errors.New("want on or off")
		}
		network = s == "on"
		return nil
	})
	limit := flags.Duration("build-timeout", gobuild.DefaultTimeout, "how long go build may take, a `TIME` such as 10m")
	return func() (*gobuild.Builder, error) {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find a folder to build in: %w", err)
		}
		return gobuild.New(gobuild.Config{
			GOROOTs: goroots, Cache: filepath.Join(cache, "plugserver"), Inherit: true, Network: network, Root: true, Timeout: *limit,
		})
	}
}

// tellAgain is how often a build says how far it is.
const tellAgain = 5 * time.Second

// progress writes a line now and again. What takes long is told at once.
func progress(w io.Writer) func(string) {
	last, long := time.Now(), false
	return func(text string) {
		now := time.Now()
		if begins := !long && strings.HasPrefix(text, "compiling the standard library"); begins || now.Sub(last) >= tellAgain {
			last, long = now, long || begins
			fmt.Fprintf(w, "%s\n", terminal.Escape(text))
		}
	}
}
