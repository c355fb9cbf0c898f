package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

const envSource = `package main

import (
	"io"
	"net/http"
	"os"
)

func Handlers() map[string]http.Handler {
	return map[string]http.Handler{"/env/{name}": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, ok := os.LookupEnv(r.PathValue("name"))
		if !ok {
			v = "unset"
		}
		io.WriteString(w, v)
	})}
}
`

// A handler has what is named of the daemon's environment, and what its settings say; other settings
// are a new process, and nobody notices.
func TestEnvironment(t *testing.T) {
	dir := testbed.NewDir(t)
	if err := os.Mkdir(filepath.Join(dir, "plugserverd.conf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	conf, file := filepath.Join(dir, "plugserverd.conf"), filepath.Join(dir, "env.env")
	put := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(file, "TOKEN=one\n")
	put(conf, "[Handler env]\nPassEnvironment=DB\nEnvironment=\"GREETING=hello there\"\nEnvironmentFile="+file+"\n")
	d := testbed.Start(t, testbed.In(dir), testbed.Bare(), testbed.Flags("--pass-environment", "EVERYBODYS,NONE"), testbed.Wrap(func(c *exec.Cmd) {
		c.Env = append(c.Env, "DB=db", "SECRET=x", "EVERYBODYS=y", "TZ=UTC", "CREDENTIALS_DIRECTORY=/c", "LC_TIME=C")
	}))
	d.Put("env", testbed.Go(envSource).Build(t))
	for name, want := range map[string]string{
		"DB": "db", "SECRET": "unset", "EVERYBODYS": "y", "TZ": "UTC", "LC_TIME": "C", "CREDENTIALS_DIRECTORY": "unset",
		"GREETING": "hello there", "TOKEN": "one", "PLUGSERVER_CONTROL": "unset", "NONE": "unset",
	} {
		d.Want("/env/"+name, 200, want)
	}
	before, _ := d.Handler("env")
	load := testbed.Plan{Addr: d.Addr, Clients: 2, Paths: []string{"/env/GREETING"}}.Run(t)
	load.Await(t, 10)
	put(file, "TOKEN=two\n")
	if stderr, code := d.Reload(); code != 0 {
		t.Fatal(stderr)
	}
	d.Want("/env/TOKEN", 200, "two")
	after, _ := d.Handler("env")
	if after.PID == before.PID {
		t.Error("its process is the same")
	}
	load.End()
	load.Unharmed(t)
	if stderr, code := d.Reload(); code != 0 {
		t.Fatal(stderr)
	}
	if again, _ := d.Handler("env"); again.PID != after.PID {
		t.Error("a reload that changes nothing is a new process")
	}
	put(filepath.Join(dir, "plugserverd.conf.d", "bounds.conf"), "[Handler env]\nMaxBodyBytes=3\n")
	if stderr, code := d.Reload(); code != 0 {
		t.Fatal(stderr)
	}
	for body, want := range map[string]int{"abc": 200, "abcd": 413} {
		if a, err := d.Dial().Post("/env/TZ", body); err != nil || a.Status != want {
			t.Errorf("a body of %d bytes: %d, %v", len(body), a.Status, err)
		}
	}
	if stdout, stderr, code := d.Ctl("show", "env"); code != 0 || !strings.Contains(stdout, "MaxBodyBytes=3  # "+conf+".d/bounds.conf:2\n") || !strings.Contains(stdout, "DrainTimeout=30s  # default\n") {
		t.Errorf("show: exit %d, %s%s", code, stdout, stderr)
	}
	bounded, _ := d.Handler("env")
	if stdout, stderr, code := d.Ctl("restart", "env"); code != 0 || !strings.HasPrefix(stdout, "restarted: env, ") {
		t.Errorf("restart: exit %d, %s%s", code, stdout, stderr)
	}
	if again, _ := d.Handler("env"); again.PID == bounded.PID || again.Restarts != 0 {
		t.Errorf("after a restart: process %d, which was %d, %d restarts", again.PID, bounded.PID, again.Restarts)
	}
}
