package atomicfile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// names are the folder's.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// A file takes the place of another at once and as a whole, and nothing else is left.
func TestCommit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Create(dir, ".new-", 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Discard()
	sum, err := f.Fill(context.Background(), strings.NewReader("new"))
	want := sha256.Sum256([]byte("new"))
	if err != nil || sum != hex.EncodeToString(want[:]) {
		t.Errorf("Fill: %q, %v", sum, err)
	}
	if old, err := os.ReadFile(path); err != nil || string(old) != "old" {
		t.Errorf("before: %q, %v", old, err)
	}
	if err := f.Commit(path); err != nil {
		t.Fatal(err)
	}
	f.Discard()
	info, err := os.Stat(path)
	if b, _ := os.ReadFile(path); err != nil || string(b) != "new" || info.Mode() != 0o755 {
		t.Errorf("after: %q, %v, %v", b, info.Mode(), err)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("left behind: %q", got)
	}
}

// What fails leaves what was there, and nothing else.
func TestNotCommitted(t *testing.T) {
	boom := errors.New("boom")
	cancelled, cancel := context.WithCancelCause(context.Background())
	cancel(boom)
	for name, do := range map[string]func(f *File, dir string) error{
		"reading": func(f *File, _ string) error {
			_, err := f.Fill(context.Background(), iotest.ErrReader(boom))
			return err
		},
		"cancelled": func(f *File, _ string) error {
			_, err := f.Fill(cancelled, strings.NewReader("new"))
			return err
		},
		"renaming": func(f *File, dir string) error {
			if err := f.Commit(filepath.Join(dir, "no", "such")); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return boom
		},
	} {
		dir := t.TempDir()
		f, err := Create(dir, ".new-", 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := do(f, dir); !errors.Is(err, boom) {
			t.Errorf("%s: %v", name, err)
		}
		f.Discard()
		if got := names(t, dir); got != nil {
			t.Errorf("%s: left behind: %q", name, got)
		}
	}
}
