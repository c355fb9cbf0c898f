package gobuild

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/file/trust"
)

// Source that somebody else could write is not root's to compile, wherever in its module that is.
func TestSourceOfOthers(t *testing.T) {
	rules := &trust.Rules{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	top := t.TempDir()
	at := func(name string) string { return filepath.Join(top, name) }
	for _, name := range []string{"m/go.mod", "m/h/main.go", "m/lib/lib.go", "alone/main.go", "go.work"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(at(name)), 0o755), os.WriteFile(at(name), nil, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/proc/self/environ", at("m/h/link")); err != nil {
		t.Fatal(err)
	}
	inModule, alone := Source{Path: at("m/h"), As: "h", InPlace: true}, Source{Path: at("alone/main.go"), As: "main.go"}
	for _, src := range []Source{inModule, alone} {
		if refused := ofOthers(src, rules); refused != nil {
			t.Errorf("%s is refused: %v", src.As, refused)
		}
	}
	for _, c := range []struct {
		path string
		src  Source
	}{
		{"m/h/main.go", inModule}, {"m/h", inModule}, {"m/lib/lib.go", inModule}, {"m/go.mod", inModule}, {"m", inModule}, {"go.work", inModule},
		{"alone/main.go", alone}, {"alone", alone},
	} {
		info, err := os.Stat(at(c.path))
		if err := errors.Join(err, os.Chmod(at(c.path), info.Mode().Perm()|0o002)); err != nil {
			t.Fatal(err)
		}
		refused := ofOthers(c.src, rules)
		if refused == nil || !strings.Contains(refused.Reason, at(c.path)) || !strings.Contains(refused.Reason, "writable by others") {
			t.Errorf("others may write %s: %v", c.path, refused)
		}
		if err := os.Chmod(at(c.path), info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
}
