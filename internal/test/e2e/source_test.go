package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

var edits = flag.Int("edits", 12, "how often TestSourceUnderLoad edits a folder of source")

// nobody is who a daemon runs as that compiles source, where root runs the
// tests: a daemon of root's does not.
const nobody = 65534

// startCompiling starts a daemon that compiles, as a user that may.
func startCompiling(t *testing.T, options ...testbed.Option) *testbed.Daemon {
	t.Helper()
	dir := testbed.NewDir(t)
	options = append(options, testbed.In(dir), testbed.Flags("--build", "auto", "--cache", filepath.Join(dir, "cache")))
	if os.Geteuid() == 0 {
		lendCache(t, filepath.Join(dir, "cache"))
		options = append(options, asNobody(t, dir))
	}
	return testbed.Start(t, options...)
}

// asNobody has root's tests run the daemon in dir as nobody.
func asNobody(t *testing.T, dir string) testbed.Option {
	t.Helper()
	if os.Geteuid() != 0 {
		return testbed.Flags()
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return testbed.Wrap(func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		cmd.Dir = dir
	})
}

// lendCache gives nobody what this user's builds have compiled: the standard
// library takes a minute. The files are linked, not copied, and can be read only.
func lendCache(t *testing.T, cache string) {
	t.Helper()
	if err := os.Mkdir(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	lent := filepath.Join(cache, "go-build")
	if out, err := exec.Command("cp", "-al", goEnvOf(t, "local", "GOCACHE"), lent).CombinedOutput(); err != nil {
		t.Logf("the build cache is elsewhere, so all is compiled anew: %v: %.200s", err, out)
		os.RemoveAll(lent)
	}
	if out, err := exec.Command("find", cache, "-type", "d", "-exec", "chown", fmt.Sprint(nobody), "{}", "+").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func sourceOf(pattern, version string) string {
	return strings.NewReplacer(patternSlot, "PATTERN:"+pattern, versionSlot, "VERSION:"+version).Replace(plainSource)
}

// put replaces a file as editors and git do.
func putSource(t *testing.T, d *testbed.Daemon, path, text string) {
	t.Helper()
	path = filepath.Join(d.Handlers, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatalf("%v", err)
	}
	temp := filepath.Join(d.Handlers, ".edit")
	if err := os.WriteFile(temp, []byte(text), 0o644); err != nil {
		t.Fatalf("%v", err)
	}
	if err := os.Rename(temp, path); err != nil {
		t.Fatalf("%v", err)
	}
}

func verdict(t *testing.T, d *testbed.Daemon, mark int, name string) testbed.Entry {
	t.Helper()
	e, err := d.Log.Wait(mark, 6*testbed.Patience, func(e testbed.Entry) bool { // the first build compiles the standard library
		return e.Get("handler") == name && (e.Get("event") == "live" || e.Get("event") == "refused")
	})
	if err != nil {
		t.Fatalf("verdict on %s: %v", name, err)
	}
	return e
}

// A file and folders of source are compiled and served; what does not compile
// is refused with the compiler's words, and what served before serves.
func TestSourceInTheDirectory(t *testing.T) {
	if testbed.Race {
		t.Skip("a cell under the race detector wants plugins built so: the standard library is compiled once more, for minutes")
	}
	d := startCompiling(t)
	for _, c := range []struct {
		name  string
		files map[string]string
	}{
		{"file", map[string]string{"file.go": sourceOf("/file", "a file")}},
		{"bare", map[string]string{"bare/main.go": sourceOf("/bare", "a folder")}},
		{"module", map[string]string{
			"module/go.mod": "module m\n\ngo 1.24\n", "module/words/words.go": "package words\n\nconst Version = \"words\"\n",
			"module/main.go": strings.Replace(sourceOf("/module", "x"), `value(version)`, `words.Version`, 1) + "\nvar _ = value\n",
		}},
		{"vendored", map[string]string{
			"vendored/go.mod":                        "module v\n\ngo 1.24\n\nrequire example.com/lib v1.0.0\n",
			"vendored/vendor/modules.txt":            "# example.com/lib v1.0.0\n## explicit; go 1.24\nexample.com/lib\n",
			"vendored/vendor/example.com/lib/lib.go": "package lib\n\nconst Version = \"vendored\"\n",
			"vendored/main.go":                       strings.Replace(strings.Replace(sourceOf("/vendored", "x"), `value(version)`, `lib.Version`, 1), "import (", "import (\n\t\"example.com/lib\"", 1),
		}},
	} {
		mark := d.Log.Len()
		for path, text := range c.files {
			if c.name == "module" {
				text = strings.Replace(text, "import (", "import (\n\t\"m/words\"", 1)
			}
			putSource(t, d, filepath.Join(".new", path), text)
		}
		top := c.name
		if c.name == "file" {
			top += ".go"
		}
		if err := os.Rename(filepath.Join(d.Handlers, ".new", top), filepath.Join(d.Handlers, top)); err != nil {
			t.Fatal(err)
		}
		if e := verdict(t, d, mark, c.name); e.Get("event") != "live" {
			t.Fatal(e.Raw)
		}
	}
	for path, want := range map[string]string{"/file": "a file", "/bare": "a folder", "/module": "words", "/vendored": "vendored"} {
		d.Want(path, 200, want)
	}

	mark := d.Log.Len()
	putSource(t, d, "file.go", strings.Replace(sourceOf("/file", "wrong"), "return value", "return no", 1))
	e := verdict(t, d, mark, "file")
	if !strings.HasPrefix(e.Get("reason"), "file.go:") || !strings.Contains(e.Get("reason"), "undefined: no") || !strings.Contains(e.Get("mend"), "mend the source") {
		t.Errorf("refused: %s", e.Raw)
	}
	d.Want("/file", 200, "a file")
	mark = d.Log.Len()
	putSource(t, d, "file.go", sourceOf("/file", "mended"))
	if e := verdict(t, d, mark, "file"); e.Get("event") != "live" {
		t.Errorf("mended: %s", e.Raw)
	}
	d.Want("/file", 200, "mended")

	// Both a plugin and a source of one name.
	mark = d.Log.Len()
	d.Drop("file", plain(t, "/file", "a plugin"))
	if e := verdict(t, d, mark, "file"); e.Get("event") != "refused" || !strings.Contains(e.Get("reason"), "file.go") {
		t.Errorf("both: %s", e.Raw)
	}
	d.Want("/file", 200, "mended")
	mark = d.Log.Len()
	if err := os.Remove(filepath.Join(d.Handlers, "file.go")); err != nil {
		t.Fatal(err)
	}
	d.WaitLive(mark, "file", plain(t, "/file", "a plugin"))

	promoteSource(t, d)
	mark = d.Log.Len()
	if err := os.RemoveAll(filepath.Join(d.Handlers, "bare")); err != nil {
		t.Fatal(err)
	}
	d.WaitLogFrom(mark, "end of bare", event("retired", "bare"))
	d.Want("/bare", 404, "")
}

// promoteSource gives bare a canary that is a folder of source, too. By a promotion that gets the handler's name, and no client
// notices; the handler's own is kept.
func promoteSource(t *testing.T, d *testbed.Daemon) {
	t.Helper()
	defer func(was time.Duration) { testbed.Patience = was }(testbed.Patience)
	testbed.Patience *= 6 // what the command waits for is compiled
	load := testbed.Plan{Addr: d.Addr, Paths: []string{"/bare"}, Clients: 2, Pause: func(int) time.Duration { return 10 * time.Millisecond }, Check: func(_ string, a testbed.Answer) error {
		if v := string(a.Body); a.Status != 200 || v != "a folder" && v != "two" {
			return fmt.Errorf("%d %q", a.Status, v)
		}
		return nil
	}}.Run(t)
	mark := d.Log.Len()
	putSource(t, d, "bare.canary/main.go", sourceOf("/bare", "two"))
	if _, err := d.Log.Wait(mark, testbed.Patience, event("canary_begun", "bare.canary")); err != nil {
		t.Fatal(err)
	}
	out, errs, code := d.Ctl("canary", "bare", "--promote")
	if code != 0 || !strings.HasPrefix(out, "promoted: bare, version ") {
		t.Errorf("exit %d, %s%s", code, out, errs)
	}
	_, kept, _ := strings.Cut(errs, "the source of before is ")
	kept, _, _ = strings.Cut(kept, "\n")
	for path, want := range map[string]string{filepath.Join(d.Handlers, "bare"): "two", kept: "a folder"} {
		if text, err := os.ReadFile(filepath.Join(path, "main.go")); !strings.Contains(string(text), "VERSION:"+want) {
			t.Errorf("%s is not of version %s: %v", path, want, err)
		}
	}
	if _, err := os.Stat(filepath.Join(d.Handlers, "bare.canary")); !os.IsNotExist(err) {
		t.Errorf("the canary's folder is there still: %v", err)
	}
	d.Want("/bare", 200, "two")
	if h, _ := d.Handler("bare"); h.State != api.StateLive || h.Refusal != nil {
		t.Errorf("it is %+v", h)
	}
	load.Unharmed(t)
}

// Where it is off, and where root runs the daemon, source is refused with what
// to do about it.
func TestSourceIsOff(t *testing.T) {
	for _, c := range []struct{ build, reason, mend string }{
		{"off", "--build is off", "PLUGSERVER_BUILD=auto"},
		{"auto", "never compiled as root", "plugserverctl install "},
	} {
		if c.build == "auto" && os.Geteuid() != 0 {
			continue // the daemon is not root's
		}
		d := testbed.Start(t, testbed.Flags("--build", c.build))
		mark := d.Log.Len()
		putSource(t, d, "file.go", sourceOf("/file", "x"))
		if e := verdict(t, d, mark, "file"); !strings.Contains(e.Get("reason"), c.reason) || !strings.Contains(e.Get("mend"), c.mend) {
			t.Errorf("--build %s: %s", c.build, e.Raw)
		}
		// The fix leads to no other refusal.
		h, _ := d.Handler("file")
		_, fix, _ := strings.Cut(h.Refusal.Mend, ": ")
		cmd := exec.Command("sh", "-ec", fix)
		cmd.Env = append(testbed.GoEnv(), "HOME="+t.TempDir(), "GOMODCACHE="+t.TempDir(), "GOCACHE="+goEnvOf(t, "local", "GOCACHE"),
			"PATH="+filepath.Dir(testbed.Build(t).Ctl)+":"+os.Getenv("PATH"), "PLUGSERVER_CONTROL="+d.Control)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", fix, err, out)
		}
		d.Want("/file", 200, "x")
		d.Stop()
	}
}

// A folder of source that is edited under load, every third edit broken: each
// good edit goes live, and no client notices any.
func TestSourceUnderLoad(t *testing.T) {
	if testbed.Race {
		t.Skip("a cell under the race detector wants plugins built so: the standard library is compiled once more, for minutes")
	}
	d := startCompiling(t)
	mark := d.Log.Len()
	putSource(t, d, "page/main.go", sourceOf("/page", "edit 0"))
	if e := verdict(t, d, mark, "page"); e.Get("event") != "live" {
		t.Fatal(e.Raw)
	}
	load := testbed.Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/page"}}.Run(t)
	last := "edit 0"
	for i := 1; i <= *edits; i++ {
		mark := d.Log.Len()
		version := fmt.Sprintf("edit %d", i)
		text := sourceOf("/page", version)
		want := "live"
		if i%3 == 0 {
			text, want = strings.Replace(text, "return value", "return no", 1), "refused"
		} else {
			last = version
		}
		putSource(t, d, "page/main.go", text)
		if e := verdict(t, d, mark, "page"); e.Get("event") != want {
			t.Errorf("edit %d: %s", i, e.Raw)
		}
		d.Want("/page", 200, last)
	}
	t.Logf("%d edits", *edits)
	load.Unharmed(t)
}

// What is compiled is watched: hidden files that go:embed takes, too.
func TestHiddenFilesAreWatched(t *testing.T) {
	d := startCompiling(t)
	const text = `package main

import (
	"embed"
	"net/http"
)

//go:embed all:files
var files embed.FS

func Handler() (string, http.Handler) { return "/files/", http.FileServerFS(files) }
`
	top := filepath.Join(d.Handlers, "files")
	if err := os.MkdirAll(filepath.Join(top, "files", ".well-known"), 0o755); err != nil {
		t.Fatal(err)
	}
	hidden := filepath.Join(top, "files", ".well-known", ".x")
	for path, text := range map[string]string{filepath.Join(top, "main.go"): text, hidden: "one"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	live := func(e testbed.Entry) bool { return e.Msg() == "live: files" }
	d.WaitLog("live", live)
	d.Want("/files/.well-known/.x", 200, "one")
	mark := d.Log.Len()
	if err := os.WriteFile(hidden, []byte("two"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.WaitLogFrom(mark, "live again", live)
	d.Want("/files/.well-known/.x", 200, "two")
}
