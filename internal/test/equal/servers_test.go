package equal

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// server is one of the two.
type server struct {
	addr, events string
	tls          *tls.Config // nil where it speaks in the clear
}

// pair is the daemon and the reference, with the same handlers and limits.
type pair struct {
	product, reference server
	daemon             *testbed.Daemon
}

var names = []string{"a", "b", "c"}

// source is the module of the handlers, to build one folder of it.
func source(t *testing.T, dir string, flags ...string) testbed.Source {
	t.Helper()
	line := "1.26"
	src := testbed.Source{Dir: dir, Flags: append([]string{"-ldflags=-s"}, flags...)}
	if *releaseFlag != "" {
		line = "1.23"
		src.Env = []string{"GOTOOLCHAIN=" + *releaseFlag}
	}
	src.Files = map[string]string{"go.mod": "module equal.example\n\ngo " + line + "\n"}
	root := os.DirFS("testdata/src")
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, path)
		src.Files[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

const versionSlot = "VERSION:................................"

// plugin builds a handler; version makes another of it.
func plugin(t *testing.T, name string, version int) testbed.Plugin {
	t.Helper()
	return source(t, name).Build(t).Patched(t, versionSlot, fmt.Sprintf("VERSION:%d", version))
}

// limits are the flags that both understand.
var limits = []string{"header-timeout", "idle-timeout", "max-header-bytes"}

// defaults are the daemon's own limits, as its help tells them.
func defaults(t *testing.T) map[string]string {
	t.Helper()
	help, _ := exec.Command(testbed.Build(t).Daemon, "--help").CombinedOutput()
	found := make(map[string]string)
	for _, name := range limits {
		m := regexp.MustCompile(`(?s)-` + name + ` [^(]*\(default ([^)]*)\)`).FindSubmatch(help)
		if m == nil {
			t.Fatalf("the help tells no default of --%s:\n%s", name, help)
		}
		found[name] = string(m[1])
	}
	return found
}

// patient limits are the defaults, but for what a client that sends byte by byte
// could meet on a busy machine.
func patientLimits(t *testing.T) map[string]string {
	lim := defaults(t)
	lim["header-timeout"] = "2m0s"
	return lim
}

var patientFlags = []string{"--header-timeout=2m"}

// tight limits can be reached within a test, and not by a machine that is busy.
var (
	tight      = map[string]string{"header-timeout": "2s", "idle-timeout": "3s", "max-header-bytes": "8192"}
	tightFlags = []string{"--header-timeout=2s", "--idle-timeout=3s", "--max-header-bytes=8192"}
)

// startPair starts both servers, the daemon with the flags, the reference with
// the limits.
func startPair(t *testing.T, lim map[string]string, flags ...string) *pair {
	t.Helper()
	events, err := os.MkdirTemp("", "equal") // outside of the test's folder, whose name may have a space
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(events) })
	t.Setenv("EQUAL_EVENTS", events)
	p := &pair{}
	p.reference = server{addr: startReference(t, lim), events: events}
	dir := testbed.NewDir(t)
	p.daemon = startDaemon(t, dir, flags, func(o ...testbed.Option) *testbed.Daemon { return testbed.Start(t, append(o, testbed.In(dir))...) })
	p.product = server{addr: p.daemon.Addr, events: events}
	return p
}

// startSecurePair is startPair for both servers over TLS.
func startSecurePair(t *testing.T, lim map[string]string, flags ...string) *pair {
	t.Helper()
	events, err := os.MkdirTemp("", "equal")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(events) })
	t.Setenv("EQUAL_EVENTS", events)
	dir := testbed.NewDir(t)
	p := &pair{}
	var secure *testbed.Secure
	p.daemon = startDaemon(t, dir, flags, func(o ...testbed.Option) *testbed.Daemon {
		secure = testbed.StartSecure(t, dir, nil, o...)
		return secure.Daemon
	})
	p.product = server{secure.Secure, events, secure.Config}
	reference := startReference(t, lim, "-cert", filepath.Join(dir, "server.pem"), "-key", filepath.Join(dir, "server.key"))
	p.reference = server{reference, events, secure.Config}
	return p
}

// startDaemon starts the daemon of a pair in dir, and waits until it has all handlers.
func startDaemon(t *testing.T, dir string, flags []string, start func(...testbed.Option) *testbed.Daemon) *testbed.Daemon {
	t.Helper()
	if *releaseFlag != "" {
		flags = append(flags, "--build-cells", "auto")
	}
	letWrite(t, dir, os.Getenv("EQUAL_EVENTS"))
	d := start(testbed.Flags(flags...), testbed.Allow("panic", "superfluous"))
	mark := d.Log.Len()
	for _, name := range names {
		d.Drop(name, plugin(t, name, 0))
	}
	for _, name := range names {
		if _, err := d.Log.Wait(mark, 10*time.Minute, func(e testbed.Entry) bool {
			return e.Get("handler") == name && e.Get("event") == "live"
		}); err != nil {
			t.Fatalf("%s is not live: %v", name, err)
		}
	}
	return d
}

func startReference(t *testing.T, lim map[string]string, args ...string) (addr string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "reference")
	if err := os.WriteFile(path, source(t, "reference", "-buildmode=exe").Build(t).Bytes, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, value := range lim {
		args = append(args, "-"+name+"="+value)
	}
	cmd := exec.Command(path, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the reference tells no address: %v", err)
	}
	return strings.TrimSpace(line)
}

// letWrite lets each handler write in a folder of the test's, where they leave word of events.
func letWrite(t *testing.T, dir, folder string) {
	t.Helper()
	var conf strings.Builder
	for _, name := range names {
		fmt.Fprintf(&conf, "[Handler %s]\nReadWritePaths=%s\n", name, folder)
	}
	dropIns := filepath.Join(dir, "plugserverd.conf.d")
	if err := errors.Join(os.MkdirAll(dropIns, 0o755), os.WriteFile(filepath.Join(dropIns, "events.conf"), []byte(conf.String()), 0o644)); err != nil {
		t.Fatal(err)
	}
}
