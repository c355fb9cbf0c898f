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

// private makes the folders of the child's own, where it is to have any: it may write the one and read the other.
func (c *Child) private(s *Spec) (err error) {
	if s.Sandbox == nil {
		return nil
	}
	rules := *s.Sandbox
	rules.Read, rules.Write = slices.Concat(rules.Read, s.Opens), slices.Clone(rules.Write)
	if rules.Private != "" {
		if c.dir, err = os.MkdirTemp(rules.Private, "cell-"); err != nil {
			return err
		}
		rules.Write = append(rules.Write, c.dir)
		if !slices.ContainsFunc(s.Env, func(kv string) bool { return strings.HasPrefix(kv, "TMPDIR=") }) {
			s.Env = append(slices.Clone(s.Env), "TMPDIR="+c.dir)
		}
	}
	if s.Ahead && !rules.Open {
		if c.shelf, err = os.MkdirTemp(rules.Shelf, "cell-"); err != nil {
			return err
		}
		rules.Read = append(rules.Read, c.shelf)
	}
	s.Sandbox = &rules
	return nil
}

// Lend has a child that was started ahead open files: at Lent.
func (c *Child) Lend(paths []string) error {
	if c.shelf == "" {
		return nil
	}
	for _, path := range paths {
		if err := os.Link(path, c.Lent(path)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// Lent is where the child finds a file.
func (c *Child) Lent(path string) string {
	if c.shelf == "" {
		return path
	}
	return filepath.Join(c.shelf, filepath.Base(path))
}

// begin starts the process, in its sandbox.
func (c *Child) begin(spec Spec) error {
	if spec.Sandbox == nil {
		return c.cmd.Start()
	}
	return spec.Sandbox.Start(c.cmd.Start)
}

// tidy removes the child's folders. Nobody waits long for one that was filled.
func (c *Child) tidy() {
	if c.shelf != "" {
		os.RemoveAll(c.shelf)
	}
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
