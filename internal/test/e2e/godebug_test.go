package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// debugSource answers with what its GODEBUG defaults make of a URL with two
// ports (urlstrictcolons), and refuses to start where its own directive does not
// hold (panicnil).
const debugSource = `//go:debug panicnil=1
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

func Start(context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic(nil) recovers as %%v", p)
		}
	}()
	panic(nil)
}

func Handlers() map[string]http.Handler {
	return map[string]http.Handler{"GET /%[1]s/{id}": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := url.Parse("http://localhost:80:80/")
		fmt.Fprintf(w, "%%s %%v", r.PathValue("id"), errors.Unwrap(err))
	})}
}

func main() {}
`

// A plugin finds the GODEBUG defaults that its go.mod and its //go:debug lines
// give a program, but for the daemon's own, and plugins that differ in them
// share no cell.
func TestGODEBUG(t *testing.T) {
	debugged := func(name, release string) testbed.Plugin {
		return testbed.Source{Files: map[string]string{
			"go.mod":  "module e2e.example/" + name + "\n\ngo " + release + "\n",
			"main.go": fmt.Sprintf(debugSource, name),
		}}.Build(t)
	}
	strict := `invalid port ":80:80" after host`
	for _, c := range []struct{ own, old, young string }{
		{"", "<nil>", strict},
		{"urlstrictcolons=1", strict, strict},
		{"urlstrictcolons=0", "<nil>", "<nil>"},
	} {
		d := testbed.Start(t, testbed.Wrap(func(cmd *exec.Cmd) {
			if c.own != "" {
				cmd.Env = append(cmd.Env, "GODEBUG="+c.own)
			}
		}))
		// As far back as ServeMux was another: patterns are the server's.
		old := debugged("old", "1.21")
		d.Put("old", old)
		d.Put("young", debugged("young", "1.26"))
		for name, want := range map[string]string{"old": c.old, "young": c.young} {
			if s, b := d.Get("/" + name + "/7"); s != 200 || b != "7 "+want {
				t.Errorf("GODEBUG=%q, %s: got %d %q, want %q", c.own, name, s, b, want)
			}
		}
		if out, errs, code := d.Ctl("check", d.Path("old")); code != 0 || !strings.Contains(out, "[OK] trial") && !strings.Contains(out, "ready in") {
			t.Errorf("check: exit %d: %s%s", code, out, errs)
		}
		d.Stop()
	}
}
