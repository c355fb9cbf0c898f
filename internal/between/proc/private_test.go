package proc

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/belongings"
	"github.com/andrestc/go-plugserver/internal/between/link"
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
	spec := Spec{Path: self, Env: []string{"PROC_CHILD=temp", "GORACE=atexit_sleep_ms=0"}, Output: l.add, Sandbox: &sandbox.Rules{Hide: []string{dir}, Read: []string{self}, Private: parent}}
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
	lent(t, dir)
	if err := Vacate(filepath.Join(dir, "none", "tmp")); err == nil {
		t.Error("there is a folder in none")
	}
}

// lent: a child that was started before it was known what it opens finds that in a folder of its own, and
// nothing else of what is hidden.
func lent(t *testing.T, dir string) {
	shelf := filepath.Join(dir, "shelf")
	if err := Vacate(shelf); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var l lines
	rules := &sandbox.Rules{Hide: []string{dir}, Read: []string{self}, Shelf: shelf}
	c, err := Start(Spec{Path: self, Env: []string{"PROC_CHILD=read", "GORACE=atexit_sleep_ms=0"}, Output: l.add, Sandbox: rules, Ahead: true})
	if err != nil {
		t.Fatal(err)
	}
	a := filepath.Join(dir, "a")
	if err := errors.Join(c.Lend([]string{a}), c.Lend([]string{a})); err != nil { // twice is once
		t.Fatal(err)
	}
	if err := c.Lend([]string{filepath.Join(dir, "none")}); err == nil {
		t.Error("what is not there was lent")
	}
	for _, path := range []string{c.Lent(a), a, filepath.Join(dir, "b")} {
		c.Link.Send(link.Message{Kind: link.Ping, Name: path})
	}
	c.Link.Finish(time.Second)
	exited(t, c)
	if said := strings.Join(l.of["stdout"], ", "); said != "a false,  true,  true" {
		t.Errorf("it says %q, %q; %s", said, l.of["stderr"], c.Status())
	}
	if left, err := os.ReadDir(shelf); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	c.Link.Close()
	l.of = nil
	if c, err = Start(Spec{Path: self, Env: []string{"PROC_CHILD=read", "GORACE=atexit_sleep_ms=0"}, Output: l.add, Sandbox: rules, Opens: []string{a}}); err != nil {
		t.Fatal(err)
	}
	defer c.Link.Close()
	if c.Lent(a) != a {
		t.Errorf("it is at %s", c.Lent(a))
	}
	c.Link.Send(link.Message{Kind: link.Ping, Name: a})
	c.Link.Finish(time.Second)
	if exited(t, c); strings.Join(l.of["stdout"], ", ") != "a false" {
		t.Errorf("it says %q, %q; %s", l.of["stdout"], l.of["stderr"], c.Status())
	}
}

// A child in a sandbox reads its credentials, writes its state, and sees no other's; its credentials end with it.
func TestBelongings(t *testing.T) {
	shm, err := os.MkdirTemp("/dev/shm", "belongings-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(shm) })
	keep, state, work := filepath.Join(shm, "keep"), filepath.Join(t.TempDir(), "state"), t.TempDir()
	has := belongings.Belongings{Credentials: []belongings.Credential{{Name: "token", Content: "s3cret"}}, Keep: keep, State: []string{state}, Dir: work}
	other, err := has.Make()
	if err != nil {
		t.Fatal(err)
	}
	var l lines
	c, err := Start(Spec{
		Path: self, Env: []string{"PROC_CHILD=belongings", "GORACE=atexit_sleep_ms=0"}, Output: l.add, Belongings: has,
		Sandbox: &sandbox.Rules{Hide: []string{keep, filepath.Dir(state)}, Read: []string{self}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Link.Close()
	exited(t, c)
	if said := l.of["stdout"]; !slices.Equal(said, []string{"s3cret <nil>", "<nil>", "true", "true", work + " <nil>"}) {
		t.Errorf("it says %q, %q; %s", said, l.of["stderr"], c.Status())
	}
	if kept, err := os.ReadFile(filepath.Join(state, "kept")); err != nil || string(kept) != "kept" {
		t.Errorf("its state is %q, %v", kept, err)
	}
	other.Remove()
	if left, err := os.ReadDir(keep); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
