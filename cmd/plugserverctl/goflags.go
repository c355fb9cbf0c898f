package main

import (
	"flag"
	"fmt"
	"path/filepath"
	"strconv"
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
