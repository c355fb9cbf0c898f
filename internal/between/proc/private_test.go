package proc

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/sandbox"
)

// A child in a sandbox has a folder of its own, which ends with it; those that an earlier daemon left end
// with the next.
func TestPrivate(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "tmp", "cell-1", "left"), 0o700); err != nil {
		t.Fatal(err)
	}
	parent := filepath.Join(dir, "tmp")
	if err := Vacate(parent); err != nil {
		t.Fatal(err)
	}
	var l lines
	spec := Spec{Path: self, Env: []string{"PROC_CHILD=temp", "GORACE=atexit_sleep_ms=0"}, Output: l.add, Sandbox: &sandbox.Rules{Hide: []string{dir}, Private: parent}}
	c, err := Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Link.Close()
	exited(t, c)
	said := l.of["stdout"]
	if len(said) != 2 || filepath.Dir(said[0]) != parent || !strings.HasSuffix(said[1], "permission denied") {
		t.Errorf("it says %q, %q; %s", said, l.of["stderr"], c.Status())
	}
	if spec.Sandbox.Write != nil || slices.ContainsFunc(spec.Env, func(kv string) bool { return strings.HasPrefix(kv, "TMPDIR=") }) {
		t.Error("what we were given has changed")
	}
	spec.Path = "/nowhere"
	if _, err := Start(spec); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("started: %v", err)
	}
	spec.Path, spec.Sandbox.Write = self, []string{"/nowhere"}
	if _, err := Start(spec); err == nil {
		t.Error("started, without what it is to have")
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := Vacate(filepath.Join(dir, "none", "tmp")); err == nil {
		t.Error("there is a folder in none")
	}
}
