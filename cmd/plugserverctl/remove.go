package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

var removeCommand = command{
	name:  "remove",
	args:  "NAME",
	short: "delete a handler's file and wait until its routes are gone",
	long:  "What it has begun to answer is answered. The earlier versions go with it.",
	bind:  noFlags(remove),
}

func remove(ctx context.Context, s *session) error {
	name := s.arg(0)
	if err := checkName(name); err != nil {
		return err
	}
	dir, err := handlersDir(ctx, s)
	if err != nil {
		return err
	}
	if err := os.Remove(file(dir, name)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %q: there is no %s.so in %q", name, name, dir)
	} else if err != nil {
		return denied(os.Geteuid(), err)
	}
	out, err := settle(ctx, s, name, name+".so is deleted")
	if err != nil {
		return err
	}
	if out.Handler != nil {
		return fmt.Errorf("remove %q: the file is deleted, and the handler is %s; see plugserverctl status", name, out.Handler.State)
	}
	fmt.Fprintf(s.out, "removed: %s\n", escape(name))
	return nil
}
