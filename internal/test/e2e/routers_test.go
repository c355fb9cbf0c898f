package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// A handler that is a whole router serves as it does in net/http's server: its own test
// passes against both.
func TestRouter(t *testing.T) {
	d := testbed.Start(t)
	for _, name := range []string{"chi", "gin", "labstack"} {
		client := filepath.Join(t.TempDir(), name+".test")
		build := exec.Command("go", "test", "-c", "-o", client)
		build.Dir, build.Env = filepath.Join(testbed.SourceRoot(), "handlers", name), testbed.GoEnv()
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		d.Put(name, testbed.Sample(t, name))
		test := exec.CommandContext(t.Context(), client, "-test.run", "^TestRouter$")
		test.Env = append(os.Environ(), strings.ToUpper(name)+"_ADDRESS="+d.Addr)
		if out, err := test.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	d.Put("other", plain(t, "/books/by/Bob/x", "another's"))
	d.Want("/books/by/Bob/x", 200, "another's") // what is more specific is another handler's
}
