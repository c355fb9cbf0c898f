package e2e

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// greeters are the sample of gRPC, which says Hello, and another version of it, which
// says Howdy.
func greeters(t *testing.T) (hello, howdy testbed.Plugin) {
	t.Helper()
	source := testbed.Source{Files: make(map[string]string)}
	for _, name := range []string{"go.mod", "go.sum", "grpc.go"} {
		text, err := os.ReadFile(filepath.Join(testbed.SourceRoot(), "handlers", "grpc", name))
		if err != nil {
			t.Fatal(err)
		}
		source.Files[name] = strings.ReplaceAll(string(text), `"Hello`, `"Howdy`)
	}
	return testbed.Sample(t, "grpc"), source.Build(t)
}

// The sample of gRPC is served to a client of grpc's own, which is the sample's test:
// all kinds of calls, before and after the handler is replaced, and one meanwhile.
func TestGRPC(t *testing.T) {
	if testbed.Race {
		t.Skip("TestHTTP2 has the same streams; grpc itself takes half a minute to build once more")
	}
	dir := filepath.Join(testbed.SourceRoot(), "handlers", "grpc")
	client := filepath.Join(t.TempDir(), "grpc.test")
	build := exec.Command("go", "test", "-c", "-o", client)
	build.Dir = dir
	build.Env = testbed.GoEnv()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	first, next := greeters(t) // before the client begins, whose time is bounded
	d := testbed.Start(t, testbed.Flags("--http2=all"))
	d.Put("grpc", first)

	cmd := exec.CommandContext(t.Context(), client, "-test.run", "^TestCalls$")
	cmd.Env = append(os.Environ(), "GRPC_ADDRESS="+d.Addr)
	var said bytes.Buffer
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	replaced := false
	for out := bufio.NewScanner(stdout); out.Scan(); {
		said.WriteString(out.Text() + "\n")
		if out.Text() == "replace" {
			d.Put("grpc", next)
			io.WriteString(in, "Howdy\n")
			replaced = true
		}
	}
	if err := cmd.Wait(); err != nil || !replaced {
		t.Errorf("the client: %v, replaced %v\n%s", err, replaced, said.Bytes())
	}
}
