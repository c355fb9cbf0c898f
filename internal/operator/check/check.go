// Package check tells whether a handler's file would be served, and if not, why and the
// fix, without a daemon: it reads the file, chooses its cell, and tries it in one.
package check

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/build/verdict"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
	"github.com/andrestc/go-plugserver/internal/operator/report"
	"github.com/andrestc/go-plugserver/internal/operator/trial"
)

// Report is what check finds out. With --json it is printed as it stands:
// fields are added in later versions, never renamed.
type Report struct {
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
	Steps    []Step   `json:"steps"`    // those taken: none follows one that failed

	godebug string // of the trial
}

type module struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Replace string `json:"replace,omitempty"` // path and version of what took its place
}

// WellWidth bounds the patterns in the words of a trial that went well.
const WellWidth = 1000

// The names of the steps, in their order.
const (
	stepPlugin   = "plugin"   // it is a Go plugin for this machine
	stepContract = "contract" // it exports what a handler has to
	stepCell     = "cell"     // a cell loads it
	stepTrial    = "trial"    // its handler becomes ready
)

// Step is one of a check's.
type Step struct {
	Name   string   `json:"name"`
	OK     bool     `json:"ok"`
	Reason string   `json:"reason"` // what is well, or what is in the way
	Mend   string   `json:"mend,omitempty"`
	Or     []string `json:"or,omitempty"` // what else would do
	// Mismatches are all that keeps the nearest cell from loading it.
	Mismatches []Mismatch `json:"mismatches,omitempty"`
	Output     []string   `json:"output,omitempty"` // of a trial that failed
}

// Mismatch is elfplug's.
type Mismatch struct {
	Kind string `json:"kind"` // "release", "flag", "package" or "module"
	Name string `json:"name"`
	Have string `json:"have"`
	Want string `json:"want"`
}

// take records a step and whether it failed, for which refused is nil or why.
func (r *Report) take(name, well string, refused *refusal.Error) (ok bool) {
	s := Step{Name: name, OK: refused == nil, Reason: well}
	if refused != nil {
		s.Reason, s.Mend, s.Or = refused.Reason, refused.Mend, refused.Or
	}
	r.Steps, r.OK = append(r.Steps, s), s.OK
	return s.OK
}

// Last is the step that decides.
func (r *Report) Last() *Step { return &r.Steps[len(r.Steps)-1] }

// WouldServe reports whether nothing is in the way; or, where other cells may come, nothing that one does away with.
func (r *Report) WouldServe(cells bool) bool { return r.OK || cells && len(r.Last().Mismatches) > 0 }

// Inspect takes the steps that run nothing of the file.
func Inspect(path string, binaries *catalogue.Catalogue) (*Report, error) {
	r := &Report{File: path, Settings: map[string]string{}, Modules: []module{}, Exports: []string{}, Patterns: []string{}}
	info, err := r.read()
	v, err := verdict.Of(info, err, binaries.Choose)
	loads := ""
	switch {
	case err != nil:
		return nil, err
	case v.At == verdict.Cell && v.Cell.Info == nil:
		return nil, noCell(binaries, v.Refusal)
	case v.At == verdict.Passed:
		r.Cell, loads = v.Cell.Path, fmt.Sprintf("%s (%s) loads it", v.Cell.Path, v.Cell.Info.GoVersion)
		r.godebug = elfplug.GODEBUG(info, v.Cell.Info, os.Getenv("GODEBUG"))
	}
	for _, s := range []struct {
		at         verdict.Step
		name, well string
	}{
		{verdict.Plugin, stepPlugin, "a Go plugin for " + runtime.GOOS + "/" + runtime.GOARCH},
		{verdict.Contract, stepContract, "exports a handler"},
		{verdict.Cell, stepCell, loads},
	} {
		if s.at == v.At {
			r.take(s.name, "", v.Refusal)
			break
		}
		r.take(s.name, s.well, nil)
	}
	if v.At == verdict.Cell {
		last := r.Last()
		for _, m := range elfplug.Mismatches(info, v.Cell.Info) {
			last.Mismatches = append(last.Mismatches, Mismatch(m))
		}
	}
	return r, nil
}

// read fills in what the file says. Where it is no plugin, the error is a refusal.
func (r *Report) read() (*elfplug.Info, error) {
	// Nonblocking: the writer of a named pipe is not waited for.
	f, err := os.OpenFile(r.File, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, badfile.NotRegular(st.Mode())
	}
	hash := sha256.New()
	if r.Size, err = io.Copy(hash, f); err != nil {
		return nil, err
	}
	r.Version = hex.EncodeToString(hash.Sum(nil))[:12]
	info, err := elfplug.Inspect(f, r.Size)
	if err != nil {
		if errors.As(err, new(*refusal.Error)) {
			return nil, err
		}
		return nil, fmt.Errorf("read %q: %w", r.File, err)
	}
	r.Go, r.Package, r.Exports, r.Settings = info.GoVersion, info.Path, append(r.Exports, info.Exports...), info.Settings
	for _, m := range info.Modules {
		to := module{Path: m.Path, Version: m.Version}
		if m.Replace != nil {
			to.Replace = strings.TrimSpace(m.Replace.Path + " " + m.Replace.Version)
		}
		r.Modules = append(r.Modules, to)
	}
	return info, nil
}

// Try takes the last step. An error says that it could not be taken.
func (r *Report) Try(ctx context.Context, t trial.Trial) error {
	t.File, t.Cell, t.GODEBUG = r.File, r.Cell, r.godebug
	got, err := t.Run(ctx)
	if err != nil {
		return err
	}
	r.Patterns = append(r.Patterns, got.Patterns...)
	well := fmt.Sprintf("ready in %v as user %s: %s", got.Took.Round(time.Millisecond), got.User, report.Patterns(got.Patterns, WellWidth))
	refused := got.Refusal
	if refused != nil {
		refused = refused.Here()
	}
	if !r.take(stepTrial, well, refused) {
		r.Last().Output = got.Output
	}
	return nil
}

// noCell is why there is no cell at all: what is wrong with the first of them, or else
// the refusal.
func noCell(binaries *catalogue.Catalogue, refused *refusal.Error) error {
	for _, c := range binaries.List() {
		return fmt.Errorf("cell %q: %w", c.Path, c.Ignored)
	}
	return refused
}
