package e2e

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// goEnvOf asks the go command, of the toolchain, for a variable.
func goEnvOf(t *testing.T, toolchain, name string) string {
	t.Helper()
	cmd := exec.Command("go", "env", name)
	cmd.Env = testbed.GoEnv("GOTOOLCHAIN=" + toolchain)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go env %s of %s, which go fetches where it is missing: %v", name, toolchain, err)
	}
	return strings.TrimSpace(string(out))
}

// builderDir is a --cache that shares the go command's own build cache: what
// the tests have compiled is not compiled again.
func builderDir(t *testing.T, dir string) string {
	t.Helper()
	cache := filepath.Join(dir, "cache")
	if err := os.Mkdir(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(goEnvOf(t, "local", "GOCACHE"), filepath.Join(cache, "go-build")); err != nil {
		t.Fatal(err)
	}
	return cache
}

// Plugins of several Go releases, of different flags, with conflicting libraries
// and of one module path serve side by side in one daemon: a cell is built for
// each that needs one, while the rest goes on. What was built stays.
func TestToolchains(t *testing.T) {
	if testbed.Race || testing.Short() {
		t.Skip("every plugin of this test has flags of its own, and -race would be another; it compiles the standard library several times")
	}
	source := func(name string, flags []string, env ...string) testbed.Source {
		return testbed.Source{Files: map[string]string{
			"go.mod":  "module e2e.example/" + name + "\n\ngo 1.24\n",
			"main.go": strings.NewReplacer(patternSlot, "PATTERN:/"+name, versionSlot, "VERSION:"+name).Replace(plainSource),
		}, Flags: flags, Env: env}
	}
	goroot := filepath.Join(testbed.Workshop(t), "goroot")
	if out, err := exec.Command("cp", "-r", goEnvOf(t, "local", "GOROOT"), goroot).CombinedOutput(); err != nil {
		t.Fatalf("copy GOROOT: %v\n%s", err, out)
	}
	plugins := map[string]testbed.Source{
		"plain":     source("plain", nil),
		"go125":     source("go125", nil, "GOTOOLCHAIN=go1.25.4"),
		"go124":     source("go124", nil, "GOTOOLCHAIN=go1.24.10"),
		"trimmed":   source("trimmed", []string{"-trimpath"}),
		"raced":     source("raced", []string{"-race"}),
		"debugged":  source("debugged", []string{"-gcflags=all=-N -l"}),
		"elsewhere": source("elsewhere", nil, "GOROOT="+goroot, "PATH="+filepath.Join(goroot, "bin")+":"+os.Getenv("PATH")),
	}
	plugins["user1"], plugins["user2"] = librarySource("user1", "lib1"), librarySource("user2", "lib2")
	plugins["same1"], plugins["same2"] = myPlugin("same1"), myPlugin("same2")
	answers := map[string]string{"user1": "one: user1", "user2": "two: user2", "same1": "/same1", "same2": "/same2"}
	needsCell := map[string]bool{"go125": true, "go124": true, "trimmed": true, "raced": true, "debugged": true}
	dir := testbed.NewDir(t)
	conf := fmt.Sprintf("[Toolchains]\nGOROOT=%s\nGOROOT=%s\n", goEnvOf(t, "go1.25.4", "GOROOT"), goEnvOf(t, "go1.24.10", "GOROOT"))
	if err := os.WriteFile(filepath.Join(dir, "plugserverd.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	flags := testbed.Flags("--build-cells", "auto", "--cache", builderDir(t, dir))

	// Without a toolchain, each is refused with what mends it.
	d := testbed.Start(t, testbed.In(dir))
	built := make(map[string]testbed.Plugin)
	for name, src := range plugins {
		built[name] = src.Build(t)
		mark := d.Log.Len()
		d.Drop(name, built[name])
		e := d.WaitLogFrom(mark, "verdict on "+name, func(e testbed.Entry) bool {
			return e.Get("handler") == name && (e.Get("event") == "refused" || e.Get("event") == "live")
		})
		if needsCell[name] != (e.Get("event") == "refused") {
			t.Errorf("%s: %s", name, e.Raw)
		} else if needsCell[name] {
			if !strings.Contains(e.Get("mend"), "go build -buildmode=plugin") || !strings.Contains(e.Get("mend"), "plugserverctl cell build") {
				t.Errorf("%s: mend %q", name, e.Get("mend"))
			}
			t.Logf("%s: %s; %s", name, e.Get("reason"), e.Get("mend"))
		}
	}
	d.Stop()

	d = testbed.Start(t, testbed.In(dir), flags)
	load := testbed.Plan{Addr: d.Addr, Clients: 2, Paths: []string{"/plain"}, Pause: func(int) time.Duration { return time.Millisecond }}.Run(t)
	began := time.Now()
	doing := ""
	d.WaitLog("a build", func(e testbed.Entry) bool { return strings.HasPrefix(e.Msg(), "building a cell for go1.") })
	for _, h := range d.Status().Handlers {
		doing += h.Doing
	}
	for name, p := range built {
		e, err := d.Log.Wait(0, 10*time.Minute, func(e testbed.Entry) bool {
			return e.Get("handler") == name && (e.Get("event") == "live" || e.Get("event") == "refused")
		})
		if err != nil || e.Get("event") != "live" || e.Get("version") != p.Version {
			t.Errorf("%s: %v %s", name, err, e.Raw)
			continue
		}
		d.Want("/"+name, 200, cmp.Or(answers[name], name))
	}
	t.Logf("all live after %v", time.Since(began).Round(time.Second))
	if !strings.Contains(doing, "building a cell for go1.") {
		t.Errorf("status did not tell what was being built: %q", doing)
	}
	cells := make(map[string]bool)
	for name := range built {
		h, _ := d.Handler(name)
		cells[h.Cell] = true
		t.Logf("%s runs in %s", name, h.Cell)
	}
	if len(cells) != 6 {
		t.Errorf("%d cells, want 6", len(cells))
	}
	load.Unharmed(t)
	d.Stop()

	// What was built serves again, with no toolchain at all.
	d = testbed.Start(t, testbed.In(dir))
	for name := range built {
		d.Want("/"+name, 200, cmp.Or(answers[name], name))
	}
}
