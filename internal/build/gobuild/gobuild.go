// Package gobuild builds plugins from source, and cells that match a plugin. One
// build runs at a time, in a scratch folder; nothing else on the machine is written
// to but what was asked for.
package gobuild

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/build/badbuild"
	"github.com/andrestc/go-plugserver/internal/build/toolchain"
)

// Config says what there is to build with.
type Config struct {
	// GOROOTs are Go installations besides the go command on the PATH and
	// those where Go's own installer and Debian put it.
	GOROOTs []string
	// Cache is the folder for scratch, and, but for Inherit, for go's caches. It
	// is made if it is missing; nobody else may write to it.
	Cache string
	// Inherit builds with the caches, the proxies and the C compiler of whoever
	// runs this process, as go env tells them. It is meant for commands.
	Inherit bool
	// Network says that go may fetch modules and toolchains.
	Network bool
	// Root says that root may build, too.
	Root bool
	// Timeout bounds one run of go build; 0 is DefaultTimeout.
	Timeout time.Duration
}

// DefaultTimeout is enough for the standard library on a slow machine.
const DefaultTimeout = 10 * time.Minute

// Builder builds. Its methods may be called from any goroutine; those that
// build wait for each other.
type Builder struct {
	cfg   Config
	tools *toolchain.Set
}

// New returns a builder. It looks for nothing yet.
func New(cfg Config) (*Builder, error) {
	dir, err := filepath.Abs(cfg.Cache)
	if err != nil {
		return nil, fmt.Errorf("cache directory %q: %w", cfg.Cache, err)
	}
	cfg.Cache = dir
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	tools := toolchain.New(toolchain.Config{GOROOTs: cfg.GOROOTs, Cache: cfg.Cache, Inherit: cfg.Inherit, Network: cfg.Network})
	return &Builder{cfg: cfg, tools: tools}, nil
}

// Toolchains returns the Go installations found: those that the configuration
// names, then that of the PATH, then the well-known, then those that go fetched.
func (b *Builder) Toolchains(ctx context.Context) []toolchain.Toolchain { return b.tools.All(ctx) }

// run runs a job in the shed. The error is toolchain's, or a *refusal.Error where it
// took too long.
func (b *Builder) run(ctx context.Context, s *shed, j toolchain.Job) error {
	limited, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	j.Tmp = s.tmp()
	err := b.tools.Run(limited, j)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return badbuild.BuildTimeout(b.cfg.Timeout)
	}
	return err
}

// slot is the one build of this process.
var slot = make(chan struct{}, 1)

// A shed is the scratch folder, for as long as a build has it. Its path is the
// same every time: a plugin holds the names of its source's files, and the
// same source is to give the same bytes.
type shed struct {
	dir  string
	lock *os.File
}

// enter waits for the builds before this one, of other processes too, and
// returns an empty scratch folder.
func (b *Builder) enter(ctx context.Context) (*shed, error) {
	if os.Geteuid() == 0 && !b.cfg.Root {
		return nil, badbuild.BuildAsRoot()
	}
	select {
	case slot <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s, err := b.open(ctx)
	if err != nil {
		<-slot
		return nil, fmt.Errorf("prepare build: %w", err)
	}
	return s, nil
}

func (b *Builder) open(ctx context.Context) (*shed, error) {
	if err := os.MkdirAll(b.cfg.Cache, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(b.cfg.Cache, "lock"), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	locked := make(chan error, 1)
	go func() { locked <- lock(f) }() // ends with the other process's build
	select {
	case err = <-locked:
	case <-ctx.Done():
		go func() {
			<-locked
			f.Close()
		}()
		return nil, ctx.Err()
	}
	s := &shed{filepath.Join(b.cfg.Cache, "scratch"), f}
	if err == nil {
		err = os.RemoveAll(s.dir)
	}
	if err == nil {
		err = os.MkdirAll(s.tmp(), 0o700)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

// lock waits until no other process has the file locked (flock(2)).
func lock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			return os.NewSyscallError("flock", err)
		}
	}
}

// leave deletes the scratch folder and lets the next build begin.
func (s *shed) leave() {
	os.RemoveAll(s.dir)
	s.lock.Close()
	<-slot
}

func (s *shed) tmp() string { return filepath.Join(s.dir, "tmp") }
func (s *shed) src() string { return filepath.Join(s.dir, "src") }
func (s *shed) out() string { return filepath.Join(s.dir, "out") }
