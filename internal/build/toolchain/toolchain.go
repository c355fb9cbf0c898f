// Package toolchain finds the Go releases on this machine, and runs their go command:
// at a low priority, in a clean environment, in a session of its own. When a run ends,
// so have all its processes.
package toolchain

import (
	"sync"
)

// Config says which toolchains there are, and what they may use.
type Config struct {
	// GOROOTs are Go installations besides the go command on the PATH and
	// those where Go's own installer and Debian put it.
	GOROOTs []string
	// Cache is the folder, by its absolute path, of go's caches, but for Inherit.
	Cache string
	// Inherit runs go with the caches, the proxies and the C compiler of whoever
	// runs this process, as go env tells them. It is meant for commands.
	Inherit bool
	// Network says that go may fetch modules and toolchains.
	Network bool
}

// Set is the toolchains of this machine. Its methods may be called from any goroutine.
type Set struct {
	cfg Config

	mu     sync.Mutex // guards the rest
	probed map[string]probe
	caller []string // with Inherit: the caller's caches, as an environment
}

// New returns the set. It looks for nothing yet.
func New(cfg Config) *Set { return &Set{cfg: cfg, probed: make(map[string]probe)} }
