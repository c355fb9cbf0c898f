package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

const belongingsSource = `package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"syscall"
)

// Version 1
func Handlers() map[string]http.Handler {
	return map[string]http.Handler{
		"/NAME/env/{name}": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, os.Getenv(r.PathValue("name"))) }),
		"/NAME/works": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			dir, err := os.Getwd()
			fmt.Fprint(w, dir, " ", err)
		}),
		"/NAME/read": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w)(os.ReadFile(r.FormValue("path"))) }),
		"/NAME/write": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w)(nil, os.WriteFile(r.FormValue("path"), []byte("kept"), 0o600)) }),
		"/NAME/list": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := os.ReadDir(r.FormValue("path"))
			answer(w)(nil, err)
		}),
	}
}

func answer(w io.Writer) func([]byte, error) {
	return func(content []byte, err error) {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			io.WriteString(w, "denied")
		} else if err != nil {
			io.WriteString(w, err.Error())
		} else {
			w.Write(content)
		}
	}
}
`

// A credential is its handler's alone, state outlives versions, and another credential is a new process, which
// nobody notices. What cannot be had is refused, and what was served is served on.
func TestBelongings(t *testing.T) {
	dir := testbed.NewDir(t)
	shm, err := os.MkdirTemp("/dev/shm", "e2e-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(shm)
	conf, token := filepath.Join(dir, "plugserverd.conf"), filepath.Join(dir, "token")
	put := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(token, "one's")
	ones := "[Handler one]\nLoadCredential=token:" + token + "\nStateDirectory=one more\nWorkingDirectory=" + dir + "\n"
	put(conf, ones+"[Handler two]\nSetCredential=token:two's\n")
	d := testbed.Start(t, testbed.In(dir), testbed.Bare(), testbed.Flags("--sandbox", "on", "--credentials", shm))
	build := func(name, version string) testbed.Plugin {
		return testbed.Go(strings.NewReplacer("NAME", name, "Version 1", version).Replace(belongingsSource)).Build(t)
	}
	d.Put("one", build("one", "1"))
	d.Put("two", build("two", "1"))
	variable := func(handler, name string) string {
		t.Helper()
		_, value := d.Get("/" + handler + "/env/" + name)
		return value
	}
	try := func(handler, what, path, want string) {
		t.Helper()
		if _, got := d.Get("/" + handler + "/" + what + "?path=" + path); got != want {
			t.Errorf("%s may %s %s: %q, want %q", handler, what, path, got, want)
		}
	}
	ofOne, ofTwo, state := variable("one", "CREDENTIALS_DIRECTORY"), variable("two", "CREDENTIALS_DIRECTORY"), filepath.Join(d.State, "state", "one")
	if got, want := variable("one", "STATE_DIRECTORY"), state+":"+filepath.Join(d.State, "state", "more"); got != want {
		t.Errorf("its state is in %s, want %s", got, want)
	}
	d.Want("/one/works", 200, dir+" <nil>")
	try("one", "read", ofOne+"/token", "one's")
	try("two", "read", ofTwo+"/token", "two's")
	try("one", "write", ofOne+"/token", "denied")
	try("one", "write", state+"/kept", "")
	for _, path := range []string{ofOne + "/token", token, conf, state + "/kept"} {
		try("two", "read", path, "denied")
	}
	try("one", "read", ofTwo+"/token", "denied")
	try("two", "list", filepath.Dir(ofOne), "denied")

	d.Put("one", build("one", "2"))
	try("one", "read", state+"/kept", "kept")
	before, _ := d.Handler("one")
	load := testbed.Plan{Addr: d.Addr, Clients: 2, Paths: []string{"/one/works", "/two/works"}}.Run(t)
	load.Await(t, 10)
	put(token, "another")
	if stderr, code := d.Reload(); code != 0 {
		t.Fatal(stderr)
	}
	if after, _ := d.Handler("one"); after.PID == before.PID {
		t.Error("its process is the same")
	}
	try("one", "read", variable("one", "CREDENTIALS_DIRECTORY")+"/token", "another")
	load.End()
	load.Unharmed(t)

	if stdout, _, _ := d.Ctl("show", "two"); !strings.Contains(stdout, "SetCredential=token:(hidden)  # "+conf+":6\n") {
		t.Errorf("show: %s", stdout)
	}
	put(conf, ones+"WorkingDirectory="+dir+"/none\n")
	d.Allow("restart failed: one")
	if stderr, code := d.Reload(); code != 1 || !strings.Contains(stderr, "new settings of one are not in force") || !strings.Contains(stderr, "its WorkingDirectory= cannot be entered: ") {
		t.Errorf("reload: exit %d, %s", code, stderr)
	}
	try("one", "read", state+"/kept", "kept")
	put(conf, ones)
	if stderr, code := d.Reload(); code != 0 {
		t.Errorf("reload: exit %d, %s", code, stderr)
	}
	d.Stop()
	left, err := filepath.Glob(shm + "/*")
	if err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// Where there is no folder in memory, the handler that needs one is refused; a reload that finds what was missed, or
// other settings, has it served.
func TestCredentialsOnNoDisk(t *testing.T) {
	dir := testbed.NewDir(t)
	work := filepath.Join(dir, "work")
	put := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "plugserverd.conf"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("[Handler one]\nSetCredential=a:b\n")
	d := testbed.Start(t, testbed.In(dir), testbed.Allow("refused: one"), testbed.Flags("--credentials", "/proc"))
	mark := d.Log.Len()
	d.Drop("one", plain(t, "/one", "one"))
	if e := d.WaitRefused(mark, "one"); !strings.Contains(e.Get("reason"), "/proc is not in memory alone") || !strings.Contains(e.Get("fix")+e.Get("mend"), "--credentials") {
		t.Errorf("%s", e.Raw)
	}
	put("[Handler one]\nWorkingDirectory=" + work + "\n")
	if stderr, code := d.Reload(); code != 1 || !strings.Contains(stderr, "its WorkingDirectory= cannot be entered") {
		t.Errorf("reload: exit %d, %s", code, stderr)
	}
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	if stderr, code := d.Reload(); code != 0 {
		t.Errorf("reload: exit %d, %s", code, stderr)
	}
	d.Want("/one", 200, "one")
}
