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

// start runs a gate and returns the other end of its link.
func start(t *testing.T) (ours *os.File, wait func() (output string, err error)) {
	t.Helper()
	ours, theirs, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "GATE_TEST=1")
	cmd.ExtraFiles = []*os.File{theirs}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	return ours, func() (string, error) {
		err := cmd.Wait()
		return out.String(), err
	}
}

// A supervisor that is gone before it has said a word leaves a gate that ends
// in good order.
func TestOrphanedAtOnce(t *testing.T) {
	ours, wait := start(t)
	ours.Close()
	if out, err := wait(); err != nil || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
}

// A gate that cannot listen on all that it is given does not say that it does:
// it ends, and another one is started.
func TestCannotListen(t *testing.T) {
	ours, wait := start(t)
	lc, err := link.New(ours)
	if err != nil {
		t.Fatal(err)
	}
	defer lc.Close()
	none, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	lc.Send(link.Message{Kind: link.Open})
	lc.Send(link.Message{Kind: link.Listen, FDs: []*os.File{none}})
	for {
		m, err := lc.Recv()
		if err != nil {
			break
		}
		if m.Kind != link.Log || !strings.HasPrefix(m.Text, "listen: ") {
			t.Errorf("the gate says %+v", m)
		}
	}
	if out, err := wait(); err == nil || err.Error() != "exit status 1" || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
}
