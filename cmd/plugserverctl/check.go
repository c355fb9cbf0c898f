package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/badfile"
	"github.com/andrestc/go-plugserver/internal/catalogue"
	"github.com/andrestc/go-plugserver/internal/elfplug"
	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/andrestc/go-plugserver/internal/routes"
	"github.com/andrestc/go-plugserver/internal/trial"
)

var checkCommand = command{
	name:  "check",
	args:  "FILE.so",
	short: "tell whether a handler's file would be served, and if not, why and the mend; needs no daemon",
	long: "First the file is read, and none of it run: what it says of itself, and whether an installed cell loads it. " +
		"Then it is tried in a cell of its own, which runs its init, Start, Handler and Stop, and ends: " +
		"without a terminal, with PATH, LANG, TZ and the like of the environment, a folder of its own as HOME and TMPDIR, " +
		"and, where root asks, as the user plugserver or nobody. Exit 1 if anything is in the way.",
	bind: func(flags *flag.FlagSet) runner {
		asJSON := flags.Bool("json", false, "print one object, for programs")
		noTrial := flags.Bool("no-trial", false, "only read the file")
		binaries := cellFlags(flags)
		var env []string
		flags.Func("env", "let the handler have this variable of the environment; `NAME`, may be repeated", func(name string) error {
			if _, ok := os.LookupEnv(name); !ok {
				return errors.New("it is not set")
			}
			env = append(env, name)
			return nil
		})
		limit := flags.Duration("start-timeout", 10*time.Second, "how long the handler may take to become ready, a `TIME` such as 10s")
		var bounds link.Limits
		flags.IntVar(&bounds.MaxPatterns, "max-patterns", routes.MaxPatterns, "how many patterns the handler may have")
		flags.IntVar(&bounds.MaxPatternBytes, "max-pattern-bytes", routes.MaxPatternBytes, "how long each may be, in `BYTES`")
		return func(ctx context.Context, s *session) error {
			r, err := inspect(s.arg(0), binaries())
			if err != nil {
				return err
			}
			if !*asJSON {
				r.write(s.out) // a trial takes its time
			}
			if r.OK && !*noTrial {
				if err := r.try(ctx, trial.Trial{Limit: *limit, Env: env, Limits: bounds}); err != nil {
					return err
				}
				if !*asJSON {
					r.Steps[len(r.Steps)-1].write(s.out)
				}
			}
			if *asJSON {
				if err := writeJSON(s.out, r); err != nil {
					return err
				}
			}
			if !r.OK {
				return errRefused
			}
			return nil
		}
	},
}

// report is what check finds out. With --json it is printed as it stands:
// fields are added in later versions, never renamed.
type report struct {
	File    string `json:"file"`
	OK      bool   `json:"ok"`         // nothing is in the way
	Size    int64  `json:"size_bytes"` // of the file
	Version string `json:"version"`    // the first 12 hex digits of its SHA-256

	// What the file says; empty of one that is no plugin.
	Go       string            `json:"go"`       // the release that built it
	Package  string            `json:"package"`  // the import path of its package main
	Settings map[string]string `json:"settings"` // of its build, as go version -m names them
	Modules  []module          `json:"modules"`  // the main one first
	Exports  []string          `json:"exports"`  // the names of its functions and variables

	Cell     string   `json:"cell"`     // that would run it; empty if none would
	Patterns []string `json:"patterns"` // that it gave in the trial
	Steps    []step   `json:"steps"`    // those taken: none follows one that failed

	godebug string // of the trial
}

type module struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Replace string `json:"replace,omitempty"` // path and version of what took its place
}

// wellWidth bounds the patterns in the words of a trial that went well.
const wellWidth = 1000

// The names of the steps, in their order.
const (
	stepPlugin   = "plugin"   // it is a Go plugin for this machine
	stepContract = "contract" // it exports what a handler has to
	stepCell     = "cell"     // a cell loads it
	stepTrial    = "trial"    // its handler becomes ready
)

// step is one of a check's.
type step struct {
	Name   string   `json:"name"`
	OK     bool     `json:"ok"`
	Reason string   `json:"reason"` // what is well, or what is in the way
	Mend   string   `json:"mend,omitempty"`
	Or     []string `json:"or,omitempty"` // what else would do
	// Mismatches are all that keeps the nearest cell from loading it.
	Mismatches []mismatch `json:"mismatches,omitempty"`
	Output     []string   `json:"output,omitempty"` // of a trial that failed
}

// mismatch is elfplug's.
type mismatch struct {
	Kind string `json:"kind"` // "release", "flag", "package" or "module"
	Name string `json:"name"`
	Have string `json:"have"`
	Want string `json:"want"`
}

// take records a step and whether it failed, for which refused is nil or why.
func (r *report) take(name, well string, refused *refusal.Error) (ok bool) {
	s := step{Name: name, OK: refused == nil, Reason: well}
	if refused != nil {
		s.Reason, s.Mend, s.Or = refused.Reason, refused.Mend, refused.Or
	}
	r.Steps, r.OK = append(r.Steps, s), s.OK
	return s.OK
}

// inspect takes the steps that run nothing of the file.
func inspect(path string, binaries *catalogue.Catalogue) (*report, error) {
	r := &report{File: path, Settings: map[string]string{}, Modules: []module{}, Exports: []string{}, Patterns: []string{}}
	info, refused, err := r.read()
	if err != nil {
		return nil, err
	}
	if !r.take(stepPlugin, "a Go plugin for "+runtime.GOOS+"/"+runtime.GOARCH, refused) {
		return r, nil
	}
	if !r.take(stepContract, "exports a handler", info.Contract()) {
		return r, nil
	}
	c, refused, err := choose(binaries, info)
	if err != nil {
		return nil, err
	}
	if r.take(stepCell, fmt.Sprintf("%s (%s) loads it", c.Path, c.Info.GoVersion), refused) {
		r.Cell = c.Path
		r.godebug = elfplug.GODEBUG(info, c.Info, os.Getenv("GODEBUG"))
		return r, nil
	}
	last := &r.Steps[len(r.Steps)-1]
	for _, m := range elfplug.Mismatches(info, c.Info) {
		last.Mismatches = append(last.Mismatches, mismatch(m))
	}
	return r, nil
}

// read fills in what the file says.
func (r *report) read() (*elfplug.Info, *refusal.Error, error) {
	// Nonblocking: the writer of a named pipe is not waited for.
	f, err := os.OpenFile(r.File, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, badfile.NotRegular(st.Mode()), nil
	}
	hash := sha256.New()
	if r.Size, err = io.Copy(hash, f); err != nil {
		return nil, nil, err
	}
	r.Version = hex.EncodeToString(hash.Sum(nil))[:12]
	info, err := elfplug.Inspect(f, r.Size)
	if err != nil {
		var refused *refusal.Error
		if errors.As(err, &refused) {
			return nil, refused, nil
		}
		return nil, nil, fmt.Errorf("read %q: %w", r.File, err)
	}
	r.Go, r.Package, r.Exports, r.Settings = info.GoVersion, info.Path, append(r.Exports, info.Exports...), info.Settings
	for _, m := range info.Modules {
		to := module{Path: m.Path, Version: m.Version}
		if m.Replace != nil {
			to.Replace = strings.TrimSpace(m.Replace.Path + " " + m.Replace.Version)
		}
		r.Modules = append(r.Modules, to)
	}
	return info, nil, nil
}

// try takes the last step. An error says that it could not be taken.
func (r *report) try(ctx context.Context, t trial.Trial) error {
	t.File, t.Cell, t.GODEBUG = r.File, r.Cell, r.godebug
	got, err := t.Run(ctx)
	if err != nil {
		return err
	}
	r.Patterns = append(r.Patterns, got.Patterns...)
	well := fmt.Sprintf("ready in %v as user %s: %s", got.Took.Round(time.Millisecond), got.User, patterns(got.Patterns, wellWidth))
	refused := got.Refusal
	if refused != nil {
		refused = refused.Here()
	}
	if !r.take(stepTrial, well, refused) {
		r.Steps[len(r.Steps)-1].Output = got.Output
	}
	return nil
}
