package gate

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/andrestc/go-plugserver/internal/wire"
)

// The test binary is the gate: GATE_TEST says so.
func TestMain(m *testing.M) {
	if os.Getenv("GATE_TEST") == "" {
		os.Exit(m.Run())
	}
	lc, err := link.New(os.NewFile(link.ChildFD, "link"))
	if err != nil {
		panic(err)
	}
	Run(lc)
}

// A supervisor that is gone before it has said a word leaves a gate that ends
// in good order.
func TestOrphanedAtOnce(t *testing.T) {
	ours, theirs, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "GATE_TEST=1")
	cmd.ExtraFiles = []*os.File{theirs}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	ours.Close()
	if err := cmd.Wait(); err != nil || out.Len() > 0 {
		t.Errorf("%v\n%s", err, out.String())
	}
}
