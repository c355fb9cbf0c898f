package toolchain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/badbuild"
)

const (
	niceness  = 10
	maxOutput = 64 << 10 // bytes kept of what a build prints
	askLimit  = 5 * time.Minute
	afterKill = 5 * time.Second // for the pipes of a killed build to close
)

// A job is one run of the go command.
type job struct {
	toolchain Toolchain
	dir       string
	env       []string // besides the builder's own
	args      []string
	line      func(string) // gets each line that is printed, if not nil
}

// env is the environment of every go command: clean, so that a build depends
// on nothing but what the builder is told, how C is compiled included.
func (b *Builder) env(t Toolchain, tmp string) []string {
	env := []string{
		"GOENV=off", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=" + t.choice, "CGO_ENABLED=1",
		"GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
	}
	if tmp != "" {
		env = append(env, "TMPDIR="+tmp, "GOTMPDIR="+tmp)
	}
	if !b.cfg.Network {
		env = append(env, "GOPROXY=off")
	}
	path := os.Getenv("PATH")
	if path == "" {
		path = "/usr/local/bin:/usr/bin:/bin"
	}
	env = append(env, "PATH="+filepath.Dir(t.Go)+":"+path)
	if b.cfg.Inherit {
		return append(b.inherited(), env...)
	}
	gopath := filepath.Join(b.cfg.Cache, "gopath")
	env = append(env, "HOME="+b.cfg.Cache, "GOPATH="+gopath, "GOMODCACHE="+filepath.Join(gopath, "pkg", "mod"),
		"GOCACHE="+filepath.Join(b.cfg.Cache, "go-build"))
	names := compilers
	if b.cfg.Network {
		names = append(slices.Clone(names), network...)
	}
	for _, name := range names {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// compilers are the variables that say how C is compiled: the daemon's builds
// heed them as the command's do.
var compilers = []string{"CC", "CXX", "CGO_CFLAGS", "CGO_CPPFLAGS", "CGO_CXXFLAGS", "CGO_LDFLAGS", "PKG_CONFIG", "PKG_CONFIG_PATH"}

// network are the variables that say how the network is reached.
var network = []string{
	"GOPROXY", "GOPRIVATE", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOINSECURE", "GOAUTH",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
}

// decided are the variables of whoever runs the command that a build must not
// depend on.
var decided = []string{
	"GOFLAGS", "GOEXPERIMENT", "GOFIPS140", "GOTOOLCHAIN", "GOWORK", "GODEBUG", "GOOS", "GOARCH", "GOROOT",
	"GOAMD64", "GOARM64", "GOARM", "GO386", "GOPPC64", "GORISCV64", "GOBIN", "GO111MODULE",
}

// inherited is the caller's environment, and what their go env says of caches,
// proxies and compilers.
func (b *Builder) inherited() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.caller != nil {
		return slices.Clone(b.caller)
	}
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(decided, name)
	})
	names := []string{"GOFLAGS", "GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOPRIVATE", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOINSECURE", "CC", "CXX"}
	cmd := exec.Command("go", append([]string{"env"}, names...)...)
	cmd.Env = append(slices.Clone(env), "GOTOOLCHAIN=local")
	out, err := cmd.Output()
	if lines := strings.Split(string(out), "\n"); err == nil && len(lines) > len(names) {
		for i, name := range names {
			if lines[i] != "" {
				env = append(env, name+"="+lines[i])
			}
		}
	}
	b.caller = env
	return slices.Clone(env)
}

// output returns what a short go command prints to stdout.
func (b *Builder) output(ctx context.Context, t Toolchain, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, t.Go, args...)
	cmd.Env, cmd.Dir = b.env(t, ""), "/"
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := group(cmd); err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
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

// group starts cmd in a session of its own, without a terminal that foreign
// source could reach. Its context's end kills all of its process group.
func group(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = afterKill
	if err := cmd.Start(); err != nil {
		return err
	}
	// The children to come inherit it. A sandbox may forbid it, which matters
	// to nobody but the neighbours.
	syscall.Setpriority(syscall.PRIO_PGRP, cmd.Process.Pid, niceness)
	return nil
}

// failure is a build that failed: the lines that it printed.
type failure struct{ lines []string }

func (f *failure) Error() string { return strings.Join(f.lines, "\n") }

// build runs a job. The error is a *failure where go refused, a *refusal.Error
// where it took too long, or the context's.
func (b *Builder) build(ctx context.Context, s *shed, j job) error {
	limited, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	env := append(b.env(j.toolchain, s.tmp()), j.env...)
	if cc, ok := b.compiler(env); !ok {
		return badbuild.NoCompiler(cc)
	}
	out := &lines{each: j.line}
	cmd := exec.CommandContext(limited, j.toolchain.Go, j.args...)
	cmd.Dir, cmd.Env = j.dir, env
	cmd.Stdout, cmd.Stderr = out, out
	err := group(cmd)
	if err == nil {
		err = cmd.Wait()
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whoever is left of its group
	}
	out.flush()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return badbuild.BuildTimeout(b.cfg.Timeout)
	}
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		return fmt.Errorf("run go: %w", err)
	}
	if len(out.kept) == 0 {
		out.kept = []string{"go build: " + err.Error()}
	}
	return &failure{out.kept}
}

// compiler names the C compiler, and reports whether there is one.
func (b *Builder) compiler(env []string) (string, bool) {
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

// lines is a writer that keeps the lines that are no progress, bounded. Only
// the goroutine of exec.Cmd that copies both streams writes to it.
type lines struct {
	each func(string)
	part []byte
	kept []string
	size int
}

func (l *lines) Write(b []byte) (int, error) {
	l.part = append(l.part, b...)
	for {
		i := bytes.IndexByte(l.part, '\n')
		if i < 0 {
			break
		}
		l.add(string(l.part[:i]))
		l.part = l.part[i+1:]
	}
	if len(l.part) > maxOutput {
		l.flush()
	}
	return len(b), nil
}

func (l *lines) flush() {
	if len(l.part) > 0 {
		l.add(string(l.part))
		l.part = nil
	}
}

func (l *lines) add(line string) {
	line = strings.TrimRight(line, "\r")
	if isProgress(line) {
		if l.each != nil {
			l.each(line)
		}
		return
	}
	if l.size += len(line); l.size < maxOutput {
		l.kept = append(l.kept, line)
	}
}
