package proc

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/cgroup"
	"github.com/andrestc/go-plugserver/internal/between/link"
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

// private makes what is the child's own: its belongings, and the folders that it may write and read, where it is to
// have any. Its sandbox lets it have them. c tidies them up.
func (c *Child) private(s *Spec) (err error) {
	if c.belongings, err = s.Belongings.Make(); err != nil {
		return err
	}
	if c.group, err = s.Groups.New(cgroup.Limits{CPU: s.Limits.CPU, Tasks: s.Limits.Tasks, Memory: s.Limits.Memory}); err != nil {
		return err
	}
	own := c.belongings
	s.Env, s.Dir = append(slices.Clone(s.Env), own.Env...), cmp.Or(own.Dir, s.Dir)
	if s.Sandbox == nil {
		return nil
	}
	rules := *s.Sandbox
	rules.Read, rules.Write = slices.Concat(rules.Read, s.Opens, own.Read), slices.Concat(rules.Write, own.Write)
	if rules.Private != "" {
		if c.dir, err = os.MkdirTemp(rules.Private, "cell-"); err != nil {
			return err
		}
		rules.Write = append(rules.Write, c.dir)
		if !slices.ContainsFunc(s.Env, func(kv string) bool { return strings.HasPrefix(kv, "TMPDIR=") }) {
			s.Env = append(s.Env, "TMPDIR="+c.dir)
		}
	}
	if s.Ahead && !rules.Open && rules.Shelf != "" {
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

// Naming is m with the files that it names as a child finds them.
func Naming(m link.Message, lent func(path string) string) link.Message {
	m.Plugins = slices.Clone(m.Plugins)
	for i, p := range m.Plugins {
		if p.Path != "" {
			m.Plugins[i].Path = lent(p.Path)
		}
	}
	return m
}

// tidy removes the child's folders. Nobody waits long for one that was filled.
func (c *Child) tidy() {
	c.group.End()
	c.belongings.Remove()
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
