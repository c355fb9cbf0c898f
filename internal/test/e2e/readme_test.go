package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// The commands with which README.md and README.Debian begin a handler work as
// they stand there, in an empty folder.
func TestReadmeAsWritten(t *testing.T) {
	bin := testbed.Build(t)
	for _, tt := range []struct{ file, first, last string }{
		{"README.md", "plugserverctl new ", "curl "},
		{"packaging/deb/debian/README.Debian", "plugserverctl new ", "curl "},
	} {
		t.Run(filepath.Base(tt.file), func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(testbed.SourceRoot(), tt.file))
			if err != nil {
				t.Fatal(err)
			}
			block := regexp.MustCompile(`(?m)^    ` + tt.first + `.*\n(?:    .*\n)*?    ` + tt.last + `.*$`).FindString(string(text))
			if block == "" {
				t.Fatalf("%s has no commands from %q to %q", tt.file, tt.first, tt.last)
			}
			d := testbed.Start(t)
			script := strings.ReplaceAll(block, "curl localhost:8080", "curl -sSf "+d.Addr)
			cmd := exec.Command("sh", "-exc", script)
			cmd.Dir = t.TempDir()
			cmd.Env = append(testbed.GoEnv(), "PATH="+filepath.Dir(bin.Ctl)+":"+os.Getenv("PATH"), "PLUGSERVER_CONTROL="+d.Control, "PLUGSERVER_STATE="+d.State)
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Hello from ") {
				t.Errorf("%v\n%s\n%s", err, script, out)
			}
		})
	}
}
