package proc

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Vacate makes the folder in which children get theirs, and removes what those of an earlier daemon
// have left there.
func Vacate(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	left, err := os.ReadDir(dir)
	for _, e := range left {
		os.RemoveAll(filepath.Join(dir, e.Name())) // what cannot be is in nobody's way
	}
	return err
}

// private makes the folder of the child's own, where it is to have one, and lets it write there.
func (s *Spec) private() (dir string, err error) {
	if s.Sandbox == nil || s.Sandbox.Private == "" {
		return "", nil
	}
	if dir, err = os.MkdirTemp(s.Sandbox.Private, "cell-"); err != nil {
		return "", err
	}
	rules := *s.Sandbox
	rules.Write = append(slices.Clone(rules.Write), dir)
	s.Sandbox = &rules
	if !slices.ContainsFunc(s.Env, func(kv string) bool { return strings.HasPrefix(kv, "TMPDIR=") }) {
		s.Env = append(slices.Clone(s.Env), "TMPDIR="+dir)
	}
	return dir, nil
}

// begin starts the process, in its sandbox.
func (c *Child) begin(spec Spec) error {
	if spec.Sandbox == nil {
		return c.cmd.Start()
	}
	return spec.Sandbox.Start(c.cmd.Start)
}

// tidy removes the child's folder. Nobody waits long for one that was filled.
func (c *Child) tidy() {
	if c.dir == "" {
		return
	}
	done := make(chan struct{})
	go func() {
		os.RemoveAll(c.dir) // what stays, such as where it has started others that write: the next daemon removes it
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(lingering):
	}
}
