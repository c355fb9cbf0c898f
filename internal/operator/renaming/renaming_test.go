package renaming

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Of each kind the canary's files take the place of the handler's, whose source is kept.
func TestPromote(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const hidden = ".users.20260102T030405Z"
	for name, tt := range map[string]struct{ before, after map[string]string }{
		"a plugin": {map[string]string{"users.so": "old", "users.so.minisig": "s", "users.canary.so": "new"}, map[string]string{"users.so": "new"}},
		"signed":   {map[string]string{"users.so": "old", "users.canary.so": "new", "users.canary.so.minisig": "s"}, map[string]string{"users.so": "new", "users.so.minisig": "s"}},
		"folders": {map[string]string{"users/main.go": "old", "users/x/x.go": "old", "users.canary/main.go": "new"},
			map[string]string{"users/main.go": "new", hidden + "/main.go": "old", hidden + "/x/x.go": "old"}},
		"files":                 {map[string]string{"users.go": "old", "users.canary.go": "new"}, map[string]string{"users.go": "new", hidden: "old"}},
		"a file for a folder":   {map[string]string{"users/main.go": "old", "users.canary.go": "new"}, map[string]string{"users.go": "new", hidden + "/main.go": "old"}},
		"a folder for a file":   {map[string]string{"users.go": "old", "users.canary/main.go": "new"}, map[string]string{"users/main.go": "new", hidden: "old"}},
		"a folder for a plugin": {map[string]string{"users.so": "old", "users.so.minisig": "s", "users.canary/main.go": "new"}, map[string]string{"users/main.go": "new"}},
		"a plugin for a folder": {map[string]string{"users/main.go": "old", "users.canary.so": "new"}, map[string]string{"users.so": "new", hidden + "/main.go": "old"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for path, text := range tt.before {
				path = filepath.Join(dir, path)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			kept, err := Promote(dir, "users", now)
			if _, is := tt.after[hidden]; err != nil || kept != "" && kept != filepath.Join(dir, hidden) || is && kept == "" {
				t.Errorf("%q, %v", kept, err)
			}
			got := make(map[string]string)
			err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				text, err := os.ReadFile(path)
				rel, _ := filepath.Rel(dir, path)
				got[rel] = string(text)
				return err
			})
			if err != nil || !maps.Equal(got, tt.after) {
				t.Errorf("%v, there is %q", err, got)
			}
		})
	}
}

// Where what was kept would be overwritten, nothing is changed.
func TestPromoteKeeps(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	hidden := filepath.Join(dir, now.UTC().Format(".users.20060102T150405Z"))
	for _, path := range []string{hidden, filepath.Join(dir, "users.go"), filepath.Join(dir, "users.canary.go")} {
		if err := os.WriteFile(path, []byte(path), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Promote(dir, "users", now); err == nil {
		t.Error("no error")
	}
	for _, path := range []string{hidden, filepath.Join(dir, "users.go"), filepath.Join(dir, "users.canary.go")} {
		if text, err := os.ReadFile(path); string(text) != path {
			t.Errorf("%s has %q, %v", path, text, err)
		}
	}
}
