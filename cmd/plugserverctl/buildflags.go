package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/build/gobuild"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// goFlags declares those of go build's flags that decide what a plugin is; GOFLAGS
// may hold the others. What it returns gives those that were set, in their order.
func goFlags(flags *flag.FlagSet) func() []string {
	var given []string
	for _, f := range []struct{ name, usage string }{
		{"tags", "build `TAGS`, as go build takes them"},
		{"ldflags", "`FLAGS` of the linker, as go build takes them"},
		{"gcflags", "`FLAGS` of the compiler, as go build takes them"},
		{"asmflags", "`FLAGS` of the assembler, as go build takes them"},
		{"mod", "`MODE` of module downloads, as go build takes it"},
		{"modfile", "`FILE` in place of go.mod, as go build takes it"},
		{"overlay", "`FILE` of what replaces files, as go build takes it"},
		{"pgo", "`FILE` of the profile, as go build takes it"},
		{"buildvcs", "whether the build tells its version `CONTROL`, as go build takes it; default false"},
	} {
		flags.Func(f.name, f.usage, func(value string) error {
			switch f.name { // go build runs in the package's folder
			case "modfile", "overlay", "pgo":
				if abs, err := filepath.Abs(value); err == nil && value != "auto" && value != "off" {
					value = abs
				}
			}
			given = append(given, "-"+f.name+"="+value)
			return nil
		})
	}
	for _, name := range []string{"asan", "cover", "msan", "race", "trimpath"} {
		flags.BoolFunc(name, "as go build takes it", func(value string) error {
			on, err := strconv.ParseBool(value)
			if err != nil {
				return err
			}
			given = append(given, fmt.Sprintf("-%s=%v", name, on))
			return nil
		})
	}
	return func() []string { return given }
}

// builderFlags declares the flags of what runs go.
func builderFlags(flags *flag.FlagSet) func() (*gobuild.Builder, error) {
	var goroots []string
	flags.Func("goroot", "a Go installation, at `PATH`, besides the go on the PATH; may be repeated", func(s string) error {
		goroots = append(goroots, s)
		return nil
	})
	network := cli.Switch(flags, "build-network", "whether go may fetch modules and toolchains")
	limit := flags.Duration("build-timeout", gobuild.DefaultTimeout, "how long go build may take, a `TIME` such as 10m")
	return func() (*gobuild.Builder, error) {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find a folder to build in: %w", err)
		}
		return gobuild.New(gobuild.Config{
			GOROOTs: goroots, Cache: filepath.Join(cache, "plugserver"), Inherit: true, Network: *network, Root: true, Timeout: *limit,
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
