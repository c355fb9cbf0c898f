package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/andrestc/go-plugserver/internal/terminal"
)

var removeCommand = command{
	name:  "remove",
	args:  "NAME",
	short: "delete a handler's file, NAME.so or NAME.go, and wait until its routes are gone",
	long:  "What it has begun to answer is answered. The earlier versions go with it.",
	bind:  noFlags(remove),
}

func remove(ctx context.Context, s *session) error {
	name := s.arg(0)
	if err := checkName(name); err != nil {
		return err
	}
	st, err := s.client.Status(ctx)
	if err != nil {
		return err
	}
	deleted, err := deleteFiles(st.Daemon.Handlers, name)
	if err != nil {
		return denied(os.Geteuid(), fmt.Errorf("remove %q: %w", name, err))
	}
	out, err := settle(ctx, s, name, strings.Join(deleted, " and ")+" deleted")
	if err != nil {
		return err
	}
	if out.Handler != nil {
		return fmt.Errorf("remove %q: %s deleted, and the handler is %s; see plugserverctl status", name, strings.Join(deleted, " and "), out.Handler.State)
	}
	fmt.Fprintf(s.out, "removed: %s\n", terminal.Escape(name))
	return nil
}

// deleteFiles deletes the handler's files, those that one command can put back:
// a folder of source may be all there is of it.
func deleteFiles(dir, name string) (deleted []string, err error) {
	for _, file := range []string{name + ".so", name + ".go"} {
		switch err := os.Remove(filepath.Join(dir, file)); {
		case err == nil:
			deleted = append(deleted, file)
		case !errors.Is(err, fs.ErrNotExist):
			return deleted, err
		}
	}
	if len(deleted) > 0 {
		return deleted, nil
	}
	folder := filepath.Join(dir, name)
	if st, err := os.Lstat(folder); err == nil && st.IsDir() {
		return nil, fmt.Errorf("%q is a folder of source; delete it yourself, if there is a copy of it: rm -r %s", folder, folder)
	}
	return nil, fmt.Errorf("there is no %s.so or %s.go in %q", name, name, dir)
}
