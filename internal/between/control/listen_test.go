package control

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/andrestc/go-plugserver/internal/between/api"
)

// shortDir returns a folder that others may enter, with a path short enough
// for sockets whatever the test's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// stale leaves a socket nobody listens on, as a killed daemon does.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestListen(t *testing.T) {
	tests := []struct {
		name string
		path string                          // below the test's folder
		prep func(t *testing.T, path string) // nil: nothing
		want string                          // in the error; empty: none
	}{
		{name: "free", path: "s"},
		{name: "stale", path: "s", prep: stale},
		{name: "parent made", path: "run/s"},
		{name: "grandparent missing", path: "a/b/s", want: `/a" does not exist; make it or choose another path with --control`},
		{name: "live", path: "s", prep: func(t *testing.T, path string) {
			l, err := Listen(path, -1)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, want: "another daemon answers there; stop it"},
		{name: "file", path: "s", prep: func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, want: "no socket; remove it"},
		{name: "link to a socket", path: "s", prep: func(t *testing.T, path string) {
			stale(t, path+"2")
			if err := os.Symlink(path+"2", path); err != nil {
				t.Fatal(err)
			}
		}, want: "no socket; remove it"},
		{name: "socket of another type", path: "s", prep: func(t *testing.T, path string) {
			c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
		}, want: "may be in use"},
		{name: "parent is a file", path: "f/s", prep: func(t *testing.T, path string) {
			if err := os.WriteFile(filepath.Dir(path), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, want: "not a directory"},
		{name: "too long", path: strings.Repeat("x", 108), want: "at most 107 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := shortDir(t)
			path := filepath.Join(dir, tt.path)
			if tt.prep != nil {
				tt.prep(t, path)
			}
			before, _ := os.Lstat(path)
			l, err := Listen(path, -1)
			if tt.want != "" {
				if err == nil {
					l.Close()
					t.Fatalf("Listen succeeded, want an error with %q", tt.want)
				}
				if !strings.HasPrefix(err.Error(), "listen on ") || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %q, want %q", err, tt.want)
				}
				if after, _ := os.Lstat(path); before != nil && !os.SameFile(before, after) {
					t.Errorf("the file there was replaced")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := l.Addr().String(); got != path {
				t.Errorf("address %q, want %q", got, path)
			}
			fi, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if fi.Mode() != os.ModeSocket|0o660 {
				t.Errorf("mode %v, want 0660", fi.Mode())
			}
			entries, err := os.ReadDir(filepath.Dir(path))
			if err != nil || len(entries) != 1 {
				t.Errorf("folder holds %v (%v), want the socket alone", entries, err)
			}
			c, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("socket remains after Close: %v", err)
			}
			if err := l.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("second Close: %v, want net.ErrClosed", err)
			}
		})
	}
}

// TestPrivateSocket shows that no name is ever open to others: the socket is
// bound with mode 0600 under any umask.
func TestPrivateSocket(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := shortDir(t)
	config := net.ListenConfig{Control: privateSocket}
	l, err := config.Listen(context.Background(), "unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fi, err := os.Lstat(filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode() != os.ModeSocket|0o600 {
		t.Errorf("mode %v once bound, want 0600", fi.Mode())
	}
}

func TestListenGroup(t *testing.T) {
	gid := os.Getegid()
	if os.Geteuid() == 0 {
		gid = 4242
	}
	path := filepath.Join(shortDir(t), "run", "s")
	l, err := Listen(path, gid)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, mode := range map[string]uint32{path: unix.S_IFSOCK | 0o660, filepath.Dir(path): unix.S_IFDIR | 0o750} {
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			t.Fatal(err)
		}
		if int(st.Gid) != gid || st.Mode != mode {
			t.Errorf("%q has group %d and mode %o, want %d and %o", name, st.Gid, st.Mode, gid, mode)
		}
	}
}

// TestCloseSpares shows that a listener leaves its successor's socket alone.
func TestCloseSpares(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	first, err := Listen(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := Listen(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, second, &fake{}, defaultLimits)
	if _, err := NewClient(path).Version(t.Context()); err != nil {
		t.Error(err)
	}
}

var testVersion = api.Version{Version: "0.1.0", Go: "go1.26.0"}
