package conformance

import (
	"encoding/xml"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// verdict is what h2spec says of one case: "" where the server has passed.
type verdict map[h2Case]string

// h2Case is the section of h2spec's, and the case's name.
type h2Case struct{ section, name string }

// h2spec plays all cases, or those of a section, against g.
func h2spec(t *testing.T, binary string, g target, section string) (verdict, error) {
	out, err := os.CreateTemp(t.TempDir(), "*.xml")
	if err != nil {
		return nil, err
	}
	defer out.Close()
	host, port, _ := net.SplitHostPort(g.addr)
	args := []string{"-h", host, "-p", port, "-j", out.Name()}
	if g.secure != nil {
		args = append(args, "-t", "-k")
	}
	if section != "" {
		args = append(args, section)
	}
	said, err := exec.Command(binary, args...).CombinedOutput() // exit 1 says that a case has failed
	var report struct {
		Suites []struct {
			Cases []struct {
				Section string `xml:"package,attr"`
				Name    string `xml:"classname,attr"`
				Failure string `xml:"failure"`
				Error   string `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if xml.NewDecoder(out).Decode(&report) != nil {
		return nil, fmt.Errorf("h2spec of %s: %v\n%s", g.name, err, said)
	}
	v := make(verdict)
	for _, s := range report.Suites {
		for _, c := range s.Cases {
			v[h2Case{c.Section, c.Name}] = strings.TrimSpace(c.Failure + c.Error)
		}
	}
	return v, nil
}

func (v verdict) failed() (n int) {
	for _, why := range v {
		if why != "" {
			n++
		}
	}
	return n
}

// What h2spec demands of a server, and net/http's does, the daemon does, at rest and while
// its handler is replaced.
//
// Some of its cases go one way or the other with net/http: of those that have failed with
// the daemon alone each is played five times more against both, and has failed if the
// daemon fails it again, and net/http does not.
func TestH2Spec(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(testbed.Workshop(t), "h2spec")
	build := exec.Command("go", "build", "-o", binary, "github.com/summerwind/h2spec/cmd/h2spec")
	build.Dir, build.Env = testbed.SourceRoot(), testbed.GoEnv()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	clear, secure, s := daemon(t, "at rest", false)
	movingClear, movingSecure, _ := daemon(t, "reloading", true)
	plain, plainSecure := bare(t, s, true)

	targets := []target{plain, plainSecure, movingClear, movingSecure, clear, secure}
	if testing.Short() {
		targets = targets[:4] // at rest there is nothing that there is not meanwhile
	}
	verdicts := make([]verdict, len(targets))
	errs := make([]error, len(targets))
	var all sync.WaitGroup
	for i, g := range targets {
		all.Go(func() { verdicts[i], errs[i] = h2spec(t, binary, g, "") })
	}
	all.Wait()
	for i, g := range targets {
		v := verdicts[i]
		if errs[i] != nil || len(v) < 140 {
			t.Fatalf("%s: %d cases, %v", g.name, len(v), errs[i])
		}
		t.Logf("%s: %d of %d", g.name, len(v)-v.failed(), len(v))
		reference, right := targets[i%2], verdicts[i%2]
		for c, why := range v {
			if why != "" && right[c] == "" {
				again(t, binary, g, reference, c, why)
			}
		}
	}
}

// again plays a case that has failed with g alone.
func again(t *testing.T, binary string, g, reference target, c h2Case, why string) {
	t.Helper()
	t.Logf("%s: %s, %q: %s", g.name, c.section, c.name, why)
	ours, theirs := 0, 0
	for range 5 {
		for of, failed := range map[target]*int{g: &ours, reference: &theirs} {
			v, err := h2spec(t, binary, of, c.section)
			if err != nil {
				t.Fatal(err)
			}
			if v[c] != "" {
				*failed++
			}
		}
	}
	if ours > 0 && theirs == 0 {
		t.Errorf("%s: %s, %q: failed %d times of 5 more, and never with net/http: %s", g.name, c.section, c.name, ours, why)
	}
}
