package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/api"
	"github.com/andrestc/go-plugserver/internal/atomicfile"
	"github.com/andrestc/go-plugserver/internal/badfile"
	"github.com/andrestc/go-plugserver/internal/catalogue"
	"github.com/andrestc/go-plugserver/internal/terminal"
)

var installCommand = command{
	name:  "install",
	args:  "FILE.so|PACKAGE|FILE.go",
	short: "check a handler's file, put it into the daemon's directory, and wait until it is live or refused",
	long: "Source is compiled, as build does. The file is then read, as check does without its trial: what cannot be served is not installed, unless the daemon builds the cell for it. " +
		"It then takes the place of the handler's earlier file in one step. " +
		"Exit 1 if it was refused: the file is taken away again then, and the version before goes on serving.",
	bind: func(flags *flag.FlagSet) runner {
		name := flags.String("name", "", "the handler's `NAME`; default is the file's, without .so")
		binaries := cellFlags(flags)
		builder := builderFlags(flags)
		own := goFlags(flags)
		return func(ctx context.Context, s *session) error {
			path := s.arg(0)
			if strings.HasSuffix(path, ".so") {
				return install(ctx, s, path, *name, binaries())
			}
			b, err := builder()
			if err != nil {
				return err
			}
			dir, err := os.MkdirTemp("", "plugserverctl-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			built := filepath.Join(dir, pluginName(path))
			if err := compile(ctx, s, b, binaries(), path, built, own()); err != nil {
				return err
			}
			return install(ctx, s, built, *name, binaries())
		}
	},
}

func install(ctx context.Context, s *session, path, name string, binaries *catalogue.Catalogue) error {
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(path), ".so")
	}
	if err := checkName(name); err != nil {
		return fmt.Errorf("%w; or choose another with --name", err)
	}
	r, err := inspect(path, binaries)
	if err != nil {
		return err
	}
	st, err := s.client.Status(ctx)
	if err != nil {
		return err
	}
	last := r.Steps[len(r.Steps)-1]
	if !r.OK && !(st.Daemon.BuildsCells && len(last.Mismatches) > 0) {
		last.write(s.problems)
		fmt.Fprintf(s.problems, "not installed: %s\n", terminal.Escape(name))
		return errRefused
	}
	if there := sourceThere(st.Daemon.Handlers, name); there != "" {
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
	err = installed(s, name, r.Version, out, time.Since(began))
	if errors.Is(err, errRefused) {
		if e := undo(ctx, s, name, dst, ours, was, out.Handler); e != nil {
			return e
		}
	}
	return err
}

// former is the file that an installation takes the place of.
type former struct {
	link    string // another name of it; "" if there was none
	version string
}

// keep gives the file at path another name, which the daemon passes over.
func keep(path string) (former, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return former{}, nil
	}
	if err != nil || !info.Mode().IsRegular() {
		return former{version: "-"}, err // it stays in place whatever comes
	}
	f, err := os.Open(path)
	if err != nil {
		return former{version: "-"}, nil
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return former{}, err
	}
	was := former{filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text()[:8]), hex.EncodeToString(hash.Sum(nil))[:12]}
	if os.Link(path, was.link) != nil { // some file systems have no links
		was.link = ""
	}
	return was, nil
}

func (f former) forget() {
	if f.link != "" {
		os.Remove(f.link)
	}
}

// undo takes a file away that the daemon has refused, and puts the former one
// back where that serves: no other is touched. Where it does not, that one was
// given up itself, and would be tried anew.
func undo(ctx context.Context, s *session, name, dst string, ours fs.FileInfo, was former, now *api.Handler) error {
	if info, err := os.Lstat(dst); err != nil || !os.SameFile(info, ours) {
		return nil // somebody else has put another there
	}
	var err error
	switch {
	case was == former{}:
		err = os.Remove(dst)
	case was.link != "" && now.Version == was.version:
		err = os.Rename(was.link, dst)
	default:
		fmt.Fprintf(s.problems, "  the refused file stays in place\n")
		return nil
	}
	if err != nil {
		return fmt.Errorf("take %q away again: %w", dst, err)
	}
	if _, err := settle(ctx, s, name, name+".so was taken away again"); err != nil {
		return err
	}
	fmt.Fprintf(s.problems, "not installed: %s\n", terminal.Escape(name))
	return nil
}

// sourceThere is the handler's source in the directory, "" if it has none: the
// daemon would refuse both, and what serves would be replaced by nothing.
func sourceThere(dir, name string) string {
	path := filepath.Join(dir, name)
	if info, err := os.Lstat(path + ".go"); err == nil && info.Mode().IsRegular() {
		return path + ".go"
	}
	if files, err := os.ReadDir(path); err == nil {
		for _, f := range files {
			if strings.HasSuffix(f.Name(), ".go") {
				return path
			}
		}
	}
	return ""
}

// installed reports what became of the version of the handler.
func installed(s *session, name, version string, out api.Outcome, took time.Duration) error {
	h := out.Handler
	switch {
	case h == nil:
		return fmt.Errorf("install %q: somebody has removed the file", name)
	case h.Refusal != nil:
		showRefusal(s.problems, name, *h.Refusal)
		if h.Version != "" {
			fmt.Fprintf(s.problems, "  version %s goes on serving\n", terminal.Escape(h.Version))
		}
		return errRefused
	case h.State != api.StateLive:
		return fmt.Errorf("install %q: it is %s; see plugserverctl status", name, h.State)
	case h.Version != version:
		return fmt.Errorf("install %q: version %s was installed and version %s is live: somebody else has copied another", name, version, h.Version)
	}
	fmt.Fprintf(s.out, "live: %s (%v)\n", terminal.Escape(serves(h)), took.Round(time.Millisecond))
	return nil
}

// place puts a copy of src at dst, which appears whole or not at all. version
// is what src was found to be.
func place(ctx context.Context, dst, src, version string) error {
	in, err := os.OpenFile(src, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	// The daemon passes over a name that begins with a dot.
	// Whatever the umask: the daemon is another user.
	f, err := atomicfile.Create(filepath.Dir(dst), "."+filepath.Base(dst)+".", 0o644)
	if err != nil {
		return err
	}
	defer f.Discard()
	have, err := f.Fill(ctx, in)
	if err != nil {
		return err
	}
	if have[:12] != version {
		return fmt.Errorf("%q changed meanwhile; try again once it is built", src)
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return f.Commit(dst)
}
