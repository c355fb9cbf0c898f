package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"github.com/andrestc/go-plugserver/internal/operator/check"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/renaming"
	"github.com/andrestc/go-plugserver/internal/operator/report"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Install checks the file at path, without its trial, and puts it into the daemon's
// directory as the handler name, "" for the file's own. It waits until that is live, or
// takes it away again. The error is cli.ErrRefused where what was refused has been told.
func Install(ctx context.Context, s *cli.Session, path, name string, binaries *catalogue.Catalogue) error {
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(path), ".so")
	}
	if err := CheckName(name); err != nil {
		return fmt.Errorf("%w; or choose another with --name", err)
	}
	r, err := check.Inspect(path, binaries)
	if err != nil {
		return err
	}
	st, err := s.Client.Status(ctx)
	if err != nil {
		return err
	}
	if !r.WouldServe(st.Daemon.BuildsCells) {
		r.Last().Write(s.Problems)
		fmt.Fprintf(s.Problems, "not installed: %s\n", terminal.Escape(name))
		return cli.ErrRefused
	}
	if there := renaming.SourceThere(st.Daemon.Handlers, name); there != "" {
		return fmt.Errorf("install %q: %w", name, badfile.SourceThere(there, name+".so"))
	}
	began := time.Now()
	dst := filepath.Join(st.Daemon.Handlers, name+".so")
	was, err := keep(dst)
	if err != nil {
		return denied(os.Geteuid(), fmt.Errorf("install %q: %w", name, err))
	}
	defer was.forget()
	if err := place(ctx, dst, path, r.Version); err != nil {
		return denied(os.Geteuid(), fmt.Errorf("install %q: %w", name, err))
	}
	ours, err := os.Lstat(dst)
	if err != nil {
		return fmt.Errorf("install %q: %w", name, err)
	}
	out, err := settle(ctx, s, name, name+".so is in place")
	if err != nil {
		return err
	}
	takeAway := undoing(dst, ours, was, out.Handler)
	if takeAway != nil {
		out.Handler.Refusal = report.TakenAway(*out.Handler.Refusal, "install it again")
	}
	err = installed(s, name, r.Version, out, time.Since(began))
	if errors.Is(err, cli.ErrRefused) {
		if e := undo(ctx, s, name, dst, ours, takeAway); e != nil {
			return e
		}
	}
	return err
}

// undoing takes a file away that the daemon has refused, and puts the former one
// back where that serves. Where it does not, that one was given up itself, and
// would be tried anew: nil, the refused one stays.
func undoing(dst string, ours fs.FileInfo, was former, now *api.Handler) func() error {
	switch {
	case now == nil || now.Refusal == nil || !isOurs(dst, ours):
	case was.link == "" && was.version == "":
		return func() error { return errors.Join(os.Remove(dst), was.resign(dst)) }
	case was.link != "" && now.Version == was.version:
		return func() error { return errors.Join(was.resign(dst), os.Rename(was.link, dst)) }
	}
	return nil
}

// isOurs reports whether nobody else has put another file there.
func isOurs(dst string, ours fs.FileInfo) bool {
	info, err := os.Lstat(dst)
	return err == nil && os.SameFile(info, ours)
}

// undo carries out what undoing has returned.
func undo(ctx context.Context, s *cli.Session, name, dst string, ours fs.FileInfo, takeAway func() error) error {
	switch {
	case !isOurs(dst, ours):
		return nil
	case takeAway == nil:
		fmt.Fprintf(s.Problems, "  the refused file stays in place\n")
		return nil
	}
	if err := takeAway(); err != nil {
		return fmt.Errorf("take %q away again: %w", dst, err)
	}
	if _, err := settle(ctx, s, name, name+".so was taken away again"); err != nil {
		return err
	}
	fmt.Fprintf(s.Problems, "not installed: %s\n", terminal.Escape(name))
	return nil
}

// installed reports what became of the version of the handler.
func installed(s *cli.Session, name, version string, out api.Outcome, took time.Duration) error {
	h := out.Handler
	switch {
	case h == nil:
		return fmt.Errorf("install %q: somebody has removed the file", name)
	case h.Refusal != nil:
		s.Tell(out, "")
		report.Refusal(s.Problems, name, *h.Refusal)
		if h.Version != "" {
			fmt.Fprintf(s.Problems, "  version %s goes on serving\n", terminal.Escape(h.Version))
		}
		return cli.ErrRefused
	case h.State != api.StateLive && h.State != api.StateCanary:
		return fmt.Errorf("install %q: it is %s; see plugserverctl status", name, h.State)
	case h.Version != version:
		return fmt.Errorf("install %q: version %s was installed and version %s is live: somebody else has copied another", name, version, h.Version)
	}
	if h.State == api.StateCanary {
		s.Tell(out, "canary: %s\n", terminal.Escape(canary.Tells(*h)))
		return nil
	}
	s.Tell(out, "live: %s (%v)\n", terminal.Escape(Serves(h)), took.Round(time.Millisecond))
	return nil
}

// Remove deletes the handler's file and waits until its routes are gone.
func Remove(ctx context.Context, s *cli.Session, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	st, err := s.Client.Status(ctx)
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
	s.Tell(out, "removed: %s\n", terminal.Escape(name))
	return nil
}
