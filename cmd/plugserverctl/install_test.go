package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/api"
)

// hall is a daemon that takes its directory at its word: what is there is
// live. Some names have a fate of their own.
type hall struct {
	dir   string
	asked chan struct{} // a status was asked for; capacity 1
	cells bool          // it builds cells
}

func (h *hall) Status(context.Context) (api.Status, error) {
	select {
	case h.asked <- struct{}{}:
	default:
	}
	return api.Status{Daemon: api.Daemon{Handlers: h.dir, BuildsCells: h.cells}, Handlers: []api.Handler{
		{Name: "slow", State: api.StateStarting, Doing: "building a cell for go1.25.4\x1b[2J"},
	}}, nil
}

func (h *hall) Reload(context.Context) (api.Reload, error) { return api.Reload{}, nil }

func (h *hall) Release(context.Context, string) (api.Reload, error) { return api.Reload{}, nil }

func (h *hall) Settle(ctx context.Context, name string) (api.Outcome, error) {
	content, err := os.ReadFile(filepath.Join(h.dir, name+".so"))
	if errors.Is(err, fs.ErrNotExist) && name != "stays" {
		return api.Outcome{}, nil
	}
	sum := sha256.Sum256(content)
	out := api.Handler{Name: name, State: api.StateLive, Version: hex.EncodeToString(sum[:])[:12], Patterns: []string{"/" + name, "GET /x"}}
	switch name {
	case "squatter":
		out.State, out.Version, out.Patterns, out.Refusal = api.StateRefused, "", nil, &taken
	case "ailing":
		out.Version, out.Refusal = "ba9876543210", &taken
	case "crashing":
		out.State = api.StateCrashed
	case "outrun":
		out.Version = "ba9876543210"
	case "slow": // until its user has looked once more
		<-h.asked
		select {
		case <-h.asked:
		case <-ctx.Done():
		}
	case "stuck":
		if err := os.WriteFile(filepath.Join(h.dir, "waiting"), nil, 0o600); err != nil {
			return api.Outcome{}, err
		}
		<-ctx.Done()
		return api.Outcome{}, ctx.Err()
	case "odd":
		return api.Outcome{Handler: &out, Problem: "no inotify:\nonly the poll looks"}, nil
	}
	return api.Outcome{Handler: &out}, nil
}

func (h *hall) History(_ context.Context, name string) (api.History, error) {
	past := api.History{Name: name}
	now := time.Now()
	switch name {
	case "users":
		past.Versions = []api.Past{
			{Version: "0123456789ab", Live: now.Add(-90 * time.Minute), Bad: true},
			{Version: "ba9876543210", Live: now.Add(-50 * time.Hour), Current: true},
			{Version: "new\x1b[2J"},
		}
	case "new":
	default:
		return past, fmt.Errorf("there is no handler %q; see plugserverctl status", name)
	}
	return past, nil
}

func (h *hall) Rollback(_ context.Context, name, version string) (api.Outcome, error) {
	switch {
	case name != "users":
		return api.Outcome{}, fmt.Errorf("roll back: %q has no earlier version", name)
	case version == "":
		version = "ba9876543210"
	}
	return api.Outcome{Handler: &api.Handler{Name: name, State: api.StateRolledBack, Version: version, Patterns: []string{"/users"}}}, nil
}

// What is placed appears whole, or nothing of it does.
func TestPlace(t *testing.T) {
	src := filepath.Join(t.TempDir(), "a.so")
	const content = "whatever it holds"
	if err := os.WriteFile(src, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(content))
	version := hex.EncodeToString(sum[:])[:12]
	over, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("interrupted"))
	for _, tt := range []struct {
		name         string
		ctx          context.Context
		src, version string
		make         bool // a folder of that name, which no file can replace
		want         string
	}{
		{name: "well", ctx: t.Context(), src: src, version: version},
		{name: "interrupted", ctx: over, src: src, version: version, want: "interrupted"},
		{name: "changed", ctx: t.Context(), src: src, version: "0123456789ab", want: `a.so" changed meanwhile; try again once it is built`},
		{name: "gone", ctx: t.Context(), src: src + "x", version: version, want: "no such file or directory"},
		{name: "taken", ctx: t.Context(), src: src, version: version, make: true, want: "file exists"},
	} {
		dir := t.TempDir()
		dst := filepath.Join(dir, "b.so")
		if tt.make {
			if err := os.MkdirAll(filepath.Join(dst, "c"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		err := place(tt.ctx, dst, tt.src, tt.version)
		if tt.want != "" {
			if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("%s: got %v, want … %s", tt.name, err, tt.want)
			}
		} else if got, e := os.ReadFile(dst); err != nil || e != nil || string(got) != content {
			t.Errorf("%s: %v, %v, %q", tt.name, err, e, got)
		} else if st, err := os.Stat(dst); err != nil || st.Mode() != 0o644 {
			t.Errorf("%s: mode %v, %v", tt.name, st.Mode(), err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != "b.so" {
				t.Errorf("%s: it left %q", tt.name, e.Name())
			}
		}
	}
}

func TestDenied(t *testing.T) {
	err := &fs.PathError{Op: "open", Path: "/h/.a.so", Err: fs.ErrPermission}
	if got, want := denied(1000, err).Error(), "open /h/.a.so: permission denied; the directory is root's: run it with sudo"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, e := range []error{denied(0, err), denied(1000, fs.ErrExist)} {
		if strings.Contains(e.Error(), "sudo") {
			t.Error(e)
		}
	}
}
