package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// A handler that is a whole router serves as it does in net/http's server: its own test
// passes against both.
func TestRouter(t *testing.T) {
	dir := filepath.Join(testbed.SourceRoot(), "handlers", "chi")
	client := filepath.Join(t.TempDir(), "chi.test")
	build := exec.Command("go", "test", "-c", "-o", client)
	build.Dir, build.Env = dir, testbed.GoEnv()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d := testbed.Start(t)
	d.Put("chi", testbed.Sample(t, "chi"))
	d.Put("other", plain(t, "/books/by/Bob/x", "another's"))
	test := exec.CommandContext(t.Context(), client, "-test.run", "^TestRouter$")
	test.Env = append(os.Environ(), "CHI_ADDRESS="+d.Addr)
	if out, err := test.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	d.Want("/books/by/Bob/x", 200, "another's") // what is more specific is another handler's
}
