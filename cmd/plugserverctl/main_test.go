package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/control"
	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

func TestMain(m *testing.M) {
	testscript.Main(tidy{m}, map[string]func(){"plugserverctl": main})
}

// tidy deletes the plugins that were built.
type tidy struct{ m *testing.M }

func (t tidy) Run() int {
	defer testbed.CleanUp()
	return t.m.Run()
}

// daemon answers from canned values, at ages that hold while a test runs.
type daemon struct {
	*hall  // nil: it is not asked for more
	status func(now time.Time) api.Status
	reload api.Reload
}

func (d daemon) Status(context.Context) (api.Status, error) { return d.status(time.Now()), nil }
func (d daemon) Release(_ context.Context, name string) (api.Reload, error) {
	re := d.reload
	re.Nothing = name == "bye"
	return re, nil
}

func (d daemon) Reload(context.Context) (api.Reload, error) { return d.reload, nil }

func header(now time.Time) api.Daemon {
	return api.Daemon{Version: "0.1.0", PID: 123, GatePID: 124, Since: now.Add(-3*time.Hour - 30*time.Minute),
		Handlers: "/var/lib/plugserver/handlers", Listeners: []string{":8080", "unix:/run/plugserver/http.sock"}}
}

var taken = api.Refusal{Reason: `pattern "/users" is taken by handler "users"`, Mend: "choose another pattern, or remove the other handler"}

// daemons are what a script can start with "daemon NAME".
var daemons = map[string]daemon{
	"empty": {status: func(now time.Time) api.Status { return api.Status{Daemon: header(now)} }},
	"well": {
		status: func(now time.Time) api.Status {
			return api.Status{Daemon: header(now), Handlers: []api.Handler{
				{Name: "bye", State: api.StateLive, Version: "0123456789ab", Patterns: []string{"/bye"}, PID: 201,
					Since: now.Add(-90 * time.Minute), Requests: 1234567, InFlight: 2, MemoryBytes: 4404019},
				{Name: "users", State: api.StateLive, Version: "ba9876543210", PID: 40202, Since: now.Add(-50 * time.Hour),
					Patterns: []string{"DELETE /users/{id}", "GET /users", "GET /users/{id}", "POST /users"}, MemoryBytes: 900},
			}}
		},
		reload: api.Reload{Live: 2, Notes: []string{"/etc/plugserver/plugserverd.conf:3: [Handler userss]: there is no such handler; did you mean users?"}, RolledBack: map[string]api.Refusal{"users": {Reason: "version 0123456789ab was rolled back by plugserverctl rollback"}}},
	},
	"ailing": {
		status: func(now time.Time) api.Status {
			d := header(now)
			d.Notes = []string{"/etc/plugserver/plugserverd.conf:3: [Handler userss]: there is no such handler; did you mean users?"}
			d.GatePID, d.Problem = 0, `read folder "/var/lib/plugserver/handlers": permission denied`
			return api.Status{Daemon: d, Handlers: []api.Handler{
				{Name: "late", State: api.StateSeen, Since: now.Add(-30 * time.Minute)},
				{Name: "squatter", State: api.StateRefused, Since: now.Add(-30 * time.Minute), Refusal: &taken},
				{Name: "users", State: api.StateLive, Version: "ba9876543210", PID: 202, Since: now.Add(-26 * time.Hour),
					Patterns: []string{"/users"}, Requests: 7, MemoryBytes: 5 << 20, Earlier: true, Refusal: &api.Refusal{
						Reason: "built by go1.25.1, but the cells are built by go1.26.0",
						Mend:   "build it again: GOTOOLCHAIN=go1.26.0 CGO_ENABLED=1 GOAMD64=v1 go build -buildmode=plugin -o users.so ./handlers/users"}},
			}}
		},
		reload: api.Reload{Live: 1, Problem: "no inotify:\nonly the poll looks", Refused: map[string]api.Refusal{
			"squatter": taken, "evil\x1b[2J\nrefused good": {Reason: "init() panicked: \x1b]0;owned\a"}}},
	},
}

func TestScripts(t *testing.T) { testscript.Run(t, scripts(t, "testdata/script")) }

// scripts are those of a folder, and what they can say.
func scripts(t *testing.T, dir string) testscript.Params {
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	goCache := strings.TrimSpace(string(out))
	return testscript.Params{
		Dir:                dir,
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			// Not below the script's folder: a socket's path must be short.
			dir, err := os.MkdirTemp("", "ctl")
			if err != nil {
				return err
			}
			env.Defer(func() { os.RemoveAll(dir) })
			env.Setenv("PLUGSERVER_CONTROL", filepath.Join(dir, "s"))
			env.Setenv("PLUGSERVER_STATE", filepath.Join(dir, "state")) // what this machine has is not ours
			env.Setenv("DIR", dir)
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			// For the go command, which has no network.
			env.Setenv("GOCACHE", goCache)
			env.Setenv("GOVERSION", runtime.Version())
			env.Setenv("GOPROXY", "off")
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, ".cache"))
			if testbed.Race {
				env.Setenv("GOFLAGS", "-race") // as the cell
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// await PATH waits until there is such a file.
			"await": func(ts *testscript.TestScript, neg bool, args []string) {
				for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
					if _, err := os.Stat(args[0]); err == nil {
						return
					} else if time.Now().After(deadline) {
						ts.Fatalf("%v", err)
					}
				}
			},
			// cell sets $CELL to a cell's binary.
			"cell": func(ts *testscript.TestScript, neg bool, args []string) { ts.Setenv("CELL", testbed.Build(t).Cell) },
			// plugin KIND FILE builds one of plugins, and sets $CELL.
			"plugin": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 2 || plugins[args[0]] == nil {
					ts.Fatalf("usage: plugin KIND FILE")
				}
				ts.Check(os.WriteFile(ts.MkAbs(args[1]), plugins[args[0]](t).Bytes, 0o644))
				ts.Setenv("CELL", testbed.Build(t).Cell)
			},
			// daemon NAME [PATH] serves one of daemons, or a hall over $DIR, until
			// the script ends.
			"daemon": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) == 0 || len(args) > 2 {
					ts.Fatalf("usage: daemon NAME [PATH]")
				}
				path := ts.Getenv("PLUGSERVER_CONTROL")
				if len(args) == 2 {
					path = args[1]
				}
				var d control.Backend
				if canned, ok := daemons[args[0]]; ok {
					d = canned
				} else if args[0] == "hall" || args[0] == "builder" {
					d = &hall{dir: ts.Getenv("DIR"), asked: make(chan struct{}, 1), cells: args[0] == "builder"}
				} else {
					ts.Fatalf("no daemon %q", args[0])
				}
				l, err := control.Listen(path, -1)
				ts.Check(err)
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan error, 1)
				go func() {
					done <- control.Serve(ctx, l, d, api.Version{Version: "0.1.0", Go: "go1.26.0"}, control.Operators{})
				}()
				ts.Defer(func() {
					cancel()
					if err := <-done; err != nil {
						ts.Logf("%v", err)
					}
				})
			},
		},
	}
}
