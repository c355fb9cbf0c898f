package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// Package time reads the time zone on its first use, and opens its file so that a
// child which starts at that moment keeps it: the daemon reads it before it has any.
func TestZoneBeforeChildren(t *testing.T) {
	zone := filepath.Join(t.TempDir(), "zone")
	if err := syscall.Mkfifo(zone, 0o644); err != nil {
		t.Fatal(err)
	}
	children := make(chan error, 1)
	go func() {
		children <- func() error {
			w, err := os.OpenFile(zone, os.O_WRONLY, 0) // until the daemon opens it
			if err != nil {
				return err
			}
			defer w.Close()
			defer os.Remove(zone) // nobody else waits
			return childless("TZ=:" + zone)
		}()
	}()
	testbed.Start(t, testbed.Wrap(func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "TZ=:"+zone) }))
	if err := <-children; err != nil {
		t.Error(err)
	}
}

// childless checks that this process has one child with the variable, and that child none.
func childless(variable string) error {
	of := make(map[int][]string) // children
	var found []int
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return err
	}
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // proc(5): state, ppid
		parent, _ := strconv.Atoi(fields[1])
		of[parent] = append(of[parent], string(bytes.SplitAfter(stat, []byte(")"))[0]))
		env, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "environ"))
		if parent == os.Getpid() && bytes.Contains(env, []byte(variable+"\x00")) {
			found = append(found, pid)
		}
	}
	if len(found) != 1 {
		return fmt.Errorf("%d daemons", len(found))
	}
	if c := of[found[0]]; len(c) > 0 {
		return errors.New("children before the zone was read: " + strings.Join(c, ", "))
	}
	return nil
}
