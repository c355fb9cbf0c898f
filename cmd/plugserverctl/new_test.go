package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/operator/cli"
)

// Whatever the name, what new makes is in order, with no network.
func TestNewNames(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"a", "con", "com1.x", "a.", "v2", "v1.2.3", "main", "fmt", "internal", "vendor", "testdata", "x_test", "y_windows", "A-b", "1", strings.Repeat("x", 100)} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"new", "--cell", "none", name}, &out, &errs); code != cli.ExitOK {
			t.Errorf("%s: exit %d: %s", name, code, &errs)
			continue
		}
		cmd := exec.Command("go", "vet", ".")
		cmd.Dir = name
		cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local")
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, b)
		}
	}
	for _, name := range []string{"", ".a", "a/b", "a b", strings.Repeat("x", 101), "../a"} {
		var errs bytes.Buffer
		if code := run(t.Context(), []string{"new", name}, &errs, &errs); code != cli.ExitError || !strings.Contains(errs.String(), "cannot name a handler") {
			t.Errorf("%q: exit %d: %s", name, code, &errs)
		}
	}
}
