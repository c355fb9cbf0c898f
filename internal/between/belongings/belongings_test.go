package belongings

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
)

// inMemory is a folder that is on no disk, on any Linux.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "belongings-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Credentials are files that nobody writes, in a folder that ends with the child; state outlives it.
func TestMake(t *testing.T) {
	keep, state, work := filepath.Join(inMemory(t), "keep"), filepath.Join(t.TempDir(), "state", "a"), t.TempDir()
	b := Belongings{
		Credentials: []Credential{{"empty", ""}, {"token", "s3cret\n\x00"}}, Keep: keep, State: []string{state, state + "2"}, Dir: "-" + work,
	}
	m, err := b.Make()
	if err != nil {
		t.Fatal(err)
	}
	dir := m.credentials
	if want := []string{"STATE_DIRECTORY=" + state + ":" + state + "2", "CREDENTIALS_DIRECTORY=" + dir}; !slices.Equal(m.Env, want) || m.Dir != work {
		t.Errorf("it has %q, works in %q", m.Env, m.Dir)
	}
	if !slices.Equal(m.Read, []string{dir}) || !slices.Equal(m.Write, b.State) {
		t.Errorf("it may read %q, write %q", m.Read, m.Write)
	}
	for path, mode := range map[string]fs.FileMode{
		keep: fs.ModeDir | 0o700, dir: fs.ModeDir | 0o500, dir + "/token": 0o400, dir + "/empty": 0o400, state: fs.ModeDir | 0o700,
	} {
		if is, err := os.Stat(path); err != nil || is.Mode() != mode {
			t.Errorf("%s: %v, %v", path, is.Mode(), err)
		}
	}
	if content, err := os.ReadFile(dir + "/token"); err != nil || string(content) != "s3cret\n\x00" {
		t.Errorf("%q, %v", content, err)
	}
	other, err := b.Make()
	if err != nil || other.credentials == dir {
		t.Errorf("another has the same folder, %v", err)
	}
	m.Remove()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
	Vacate(keep)
	if left, err := os.ReadDir(keep); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := os.Stat(state); err != nil {
		t.Error(err)
	}
	Vacate(filepath.Join(keep, "none"))
}

// What cannot be had is refused, with the fix, and nothing stays behind.
func TestNotMade(t *testing.T) {
	disk, shm := t.TempDir(), inMemory(t)
	file, open := filepath.Join(disk, "file"), filepath.Join(shm, "open")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil { // whatever the umask
		t.Fatal(err)
	}
	if err := os.Symlink(disk, filepath.Join(shm, "link")); err != nil {
		t.Fatal(err)
	}
	secret := []Credential{{"a", "b"}}
	for _, tt := range []struct {
		name string
		b    Belongings
		want string
	}{
		{"a file system that is no memory", Belongings{Credentials: secret, Keep: "/proc/keep"}, `/proc is not in memory alone; name a folder on a tmpfs`},
		{"no such folder", Belongings{Credentials: secret, Keep: filepath.Join(shm, "none", "keep")}, "cannot be used: no such file or directory"},
		{"one that others may write", Belongings{Credentials: secret, Keep: open}, `has "open", which is not the daemon's alone`},
		{"a link", Belongings{Credentials: secret, Keep: filepath.Join(shm, "link")}, `has "link", which is not the daemon's alone`},
		{"state in a file", Belongings{State: []string{file + "/a"}}, "its StateDirectory= cannot be made"},
		{"no working directory", Belongings{Dir: disk + "/none"}, "its WorkingDirectory= cannot be entered"},
		{"a file for one", Belongings{Dir: "-" + file}, "not a directory"},
	} {
		m, err := tt.b.Make()
		if r, ok := errors.AsType[*refusal.Error](err); !ok || r.Mend == "" || !strings.Contains(r.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
		if m.credentials != "" {
			t.Errorf("%s: %q is left", tt.name, m.credentials)
		}
	}
	if m, err := (Belongings{Dir: "-" + disk + "/none"}).Make(); err != nil || m.Dir != "" {
		t.Errorf("one that need not be there: %q, %v", m.Dir, err)
	}
	if _, err := (Belongings{Dir: disk + "/none"}).Make(); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("the cause is lost: %v", err)
	}
}
