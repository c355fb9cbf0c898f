package toolchain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/orphans"
	"github.com/andrestc/go-plugserver/internal/build/badbuild"
	"golang.org/x/sys/unix"
)

const (
	Niceness  = 10
	askLimit  = 5 * time.Minute
	afterKill = 5 * time.Second // for the pipes of a killed build to close
	// MostMemory bounds what each process of a run may allocate, in bytes
	// (RLIMIT_DATA, getrlimit(2)): source can make a compiler take all there is.
	MostMemory = 2 << 30
)

// A Job is one run of the go command.
type Job struct {
	Toolchain Toolchain
	Dir       string
	Tmp       string       // for temporary files
	Env       []string     // besides that of every run
	Args      []string     // of the go command
	Line      func(string) // gets each line of progress, if not nil
}

// output returns what a short go command prints to stdout.
func (s *Set) output(ctx context.Context, t Toolchain, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, t.Go, args...)
	cmd.Env, cmd.Dir = s.Env(t, ""), "/"
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := run(cmd); err != nil {
		return "", errors.New(lastLine(stderr.String(), err.Error()))
	}
	return stdout.String(), nil
}

// lastLine is the last line of what go said, or else.
func lastLine(said, or string) string {
	said = strings.TrimSpace(said)
	if said = said[strings.LastIndexByte(said, '\n')+1:]; said != "" {
		return said
	}
	return or
}

// run runs cmd in a session of its own, without a terminal that foreign
// source could reach. Its context's end kills all of its process group, and its own end what it has left.
func run(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = afterKill
	if err := cmd.Start(); err != nil {
		return err
	}
	orphans.Started(cmd.Process.Pid)
	// The children to come inherit it. A sandbox may forbid it, which matters
	// to nobody but the neighbours.
	syscall.Setpriority(syscall.PRIO_PGRP, cmd.Process.Pid, Niceness)
	bound(cmd.Process.Pid)
	family := orphans.Of(cmd.Process.Pid)
	err := cmd.Wait()
	orphans.Reaped(cmd.Process.Pid)
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	family.End()
	return err
}

// bound sets the limit on memory, unless there is a tighter one.
func bound(pid int) {
	var has unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_DATA, nil, &has); err == nil && has.Max > MostMemory {
		unix.Prlimit(pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: MostMemory, Max: MostMemory}, nil)
	}
}

// A Failure is a run that failed: the lines that it printed.
type Failure struct{ Lines []string }

func (f *Failure) Error() string { return strings.Join(f.Lines, "\n") }

// Run runs a job. The error is a *Failure where go refused, a *refusal.Error where
// there is no C compiler, or the context's.
func (s *Set) Run(ctx context.Context, j Job) error {
	env := append(s.Env(j.Toolchain, j.Tmp), j.Env...)
	if cc, ok := compiler(env); !ok {
		return badbuild.NoCompiler(cc)
	}
	out := &Output{Each: j.Line}
	cmd := exec.CommandContext(ctx, j.Toolchain.Go, j.Args...)
	cmd.Dir, cmd.Env = j.Dir, env
	cmd.Stdout, cmd.Stderr = out, out
	err := run(cmd)
	out.Flush()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		return fmt.Errorf("run go: %w", err)
	}
	if len(out.Kept) == 0 {
		out.Kept = []string{"go build: " + err.Error()}
	}
	return &Failure{out.Kept}
}

// compiler names the C compiler, and reports whether there is one.
func compiler(env []string) (string, bool) {
	cc, path := "gcc", ""
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "CC="); ok && strings.TrimSpace(v) != "" {
			cc = strings.Fields(v)[0]
		}
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = v
		}
	}
	if strings.Contains(cc, "/") {
		_, err := os.Stat(cc)
		return cc, err == nil
	}
	for _, dir := range filepath.SplitList(path) {
		if info, err := os.Stat(filepath.Join(dir, cc)); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return cc, true
		}
	}
	return cc, false
}
