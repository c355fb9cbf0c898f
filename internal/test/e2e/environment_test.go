package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
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
}
