// Package cgroup gives children control groups of their own (cgroups(7), version 2), below the one that the service
// manager has left to us (Delegate=, systemd.resource-control(5)). The kernel bounds what such a group uses, with all that its
// process starts, and ends all of it at one write.
package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The controllers that bound.
const (
	CPU    = "cpu"
	Memory = "memory"
	Tasks  = "pids"
)

// prefix begins the names of children's groups.
const prefix = "cell-"

// Tree is the group that is left to us, and those in it. It is never changed once returned.
type Tree struct {
	dir   string
	lacks map[string]string // why a controller does not bound, by its name
	tasks int               // that all may have
}

// Own takes over the group that this process was started in, where the service manager has left it to us; the
// process moves into one below it, for one with others in it has no processes of its own. Where there is none, the
// tree gives children no groups, and says why. It is called once, before there are children.
func Own() *Tree {
	dir, err := Self()
	if err == nil {
		err = delegated(dir)
	}
	if err != nil {
		return &Tree{lacks: map[string]string{CPU: err.Error(), Memory: err.Error(), Tasks: err.Error()}}
	}
	return At(dir)
}

// Self is the folder of the group that this process is in.
func Self() (string, error) { return own("/proc/self") }

// own is the folder of the group that a process is in; proc is its folder in proc(5).
func own(proc string) (string, error) {
	groups, err := os.ReadFile(filepath.Join(proc, "cgroup"))
	if err != nil {
		return "", err
	}
	mounts, err := os.ReadFile(filepath.Join(proc, "mountinfo"))
	if err != nil {
		return "", err
	}
	var group string
	for line := range strings.Lines(string(groups)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			group = strings.TrimSpace(path)
		}
	}
	dir := ""
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		i := slices.Index(f, "-")
		if group == "" || len(f) < 5 || i < 0 || i+1 >= len(f) || f[i+1] != "cgroup2" {
			continue
		}
		if rel, err := filepath.Rel(f[3], group); err == nil && !strings.HasPrefix(rel, "..") {
			dir = filepath.Join(f[4], rel) // the last is what is seen
		}
	}
	if dir == "" {
		return "", errors.New("this system mounts no control groups of version 2")
	}
	return dir, nil
}

// delegated says why a group is not left to us (https://systemd.io/CGROUP_DELEGATION).
func delegated(dir string) error {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		var is [8]byte
		if n, err := unix.Getxattr(dir, name, is[:]); err != nil || string(is[:n]) != "1" {
			continue
		}
		if err := unix.Access(dir, unix.W_OK); err != nil {
			return fmt.Errorf("the service may not write its control group (%w)", err)
		}
		return nil
	}
	return errors.New("the service's control group is not delegated to it (Delegate= of its unit)")
}

// At is Own of the group whose folder that is, whoever has left it to us.
func At(dir string) *Tree {
	t := &Tree{dir: dir, lacks: make(map[string]string), tasks: most(dir)}
	left, _ := filepath.Glob(filepath.Join(dir, prefix+"*"))
	for _, of := range left { // a daemon before us
		(&Group{dir: of}).End()
	}
	mine := filepath.Join(dir, "supervisor")
	err := os.Mkdir(mine, 0o755)
	if err == nil || errors.Is(err, os.ErrExist) {
		err = write(mine, "cgroup.procs", "0") // whoever writes
	}
	has, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	for _, c := range []string{CPU, Memory, Tasks} {
		switch {
		case err != nil:
			t.lacks[c] = fmt.Sprintf("the service cannot leave its control group to its children (%v)", err)
		case !slices.Contains(strings.Fields(string(has)), c):
			t.lacks[c] = "the " + c + " controller is not delegated to the service, or is not in the kernel's control groups of version 2"
		default:
			if err := write(dir, "cgroup.subtree_control", "+"+c); err != nil {
				t.lacks[c] = fmt.Sprintf("the %s controller cannot be switched on (%v)", c, err)
			}
		}
	}
	return t
}

// most is how many tasks may be in a group.
func most(dir string) int {
	for _, path := range []string{filepath.Join(dir, "pids.max"), "/proc/sys/kernel/pid_max"} {
		text, _ := os.ReadFile(path)
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil { // else it is "max", or hidden
			return n
		}
	}
	return 4 << 20 // the kernel's own bound, PID_MAX_LIMIT
}

// Lacks says why a controller does not bound, "" where it does. Without a tree there is nothing to say.
func (t *Tree) Lacks(controller string) string {
	if t == nil {
		return "no control group is delegated to the service"
	}
	return t.lacks[controller]
}

// Gives reports whether children get groups.
func (t *Tree) Gives() bool { return t != nil && t.dir != "" }

// Tasks is how many tasks the tree may have.
func (t *Tree) Tasks() int {
	if t == nil {
		return most("")
	}
	return t.tasks
}

func write(dir, file, text string) error {
	return os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644) // kernfs has no file but its own
}
