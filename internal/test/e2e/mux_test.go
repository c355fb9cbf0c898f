package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// valuesSource answers with its version and what a request's pattern has matched.
var valuesSource = strings.NewReplacer(
	"import (", "import (\n\t\"fmt\"",
	"io.WriteString(w, version)", `fmt.Fprintf(w, "%s of %s: id %q, rest %q", version, r.Pattern, r.PathValue("id"), r.PathValue("rest")+r.PathValue("*"))`,
).Replace(plainSource)

// values is a handler of the pattern that answers so.
func values(tb testing.TB, pattern, version string) testbed.Plugin {
	tb.Helper()
	return plainly(tb, valuesSource).Patched(tb, patternSlot, "PATTERN:"+pattern, versionSlot, "VERSION:"+version)
}

// muxCase is what handlers give with one router.
type muxCase struct {
	router                 string
	one, all               string // patterns
	rest                   string // what all has matched at /files/a/b
	contested              string // conflicts with one
	bad, says              string // no pattern, and what is wrong in it
	allow                  []string
	moved, moves, movesnot string // a path that is redirected, and where to; one that is not found
}

var muxCases = []muxCase{
	{
		router: "chi", one: "GET /users/{id:[0-9]+}", all: "/files/*", rest: "a/b", contested: "GET /users/{n:[0-9]+}",
		bad: "/x/{rest...}", says: "net/http's syntax", allow: []string{"GET"}, movesnot: "/users/7/",
	},
	{
		router: "gorilla", one: "GET /users/{id:[0-9]+}", all: "/files/{rest:.*}", rest: "a/b", contested: "GET /users/{n:[0-9]+}",
		bad: "/x/{a:(b)}", says: "a group", moved: "//users/7", moves: "/users/7", movesnot: "/users/x",
	},
	{
		router: "httprouter", one: "GET /users/:id", all: "/files/*rest", rest: "/a/b", contested: "GET /users/me",
		bad: "/x/{id}", says: "write :name", allow: []string{"GET, OPTIONS"}, moved: "/USERS/7/", moves: "/users/7", movesnot: "/users",
	},
}

// With --mux patterns, what they match and what is answered to all else are another
// router's; handlers come and go as ever.
func TestMux(t *testing.T) {
	for _, tt := range muxCases {
		t.Run(tt.router, func(t *testing.T) {
			d := testbed.Start(t, testbed.Flags("--mux", tt.router))
			d.Put("users", values(t, tt.one, "v1"))
			d.Put("files", values(t, tt.all, "v1"))
			// One connection goes to and fro between the handlers, and the gate.
			c := d.Dial()
			defer c.Close()
			tt.serves(t, c, "v1")
			d.Put("users", values(t, tt.one, "v2"))
			tt.serves(t, c, "v2")

			out, errs, code := d.Ctl("check", "--mux", tt.router, d.Path("users"))
			if code != 0 || !strings.Contains(out, tt.one) {
				t.Errorf("check: exit %d\n%s%s", code, out, errs)
			}
			tt.refuses(t, d)

			d.Take("files")
			if a, err := c.Get("/files/a/b"); err != nil || a.Status != 404 {
				t.Errorf("a handler that is removed: %d, %v", a.Status, err)
			}
		})
	}
}

// serves checks the answers of both handlers.
func (tt muxCase) serves(t *testing.T, c *testbed.Client, version string) {
	t.Helper()
	want := func(a testbed.Answer, err error, status int, body string) {
		t.Helper()
		if err != nil || a.Status != status || body != "" && string(a.Body) != body {
			t.Errorf("%v, %d %q, want %d %q", err, a.Status, a.Body, status, body)
		}
	}
	users := fmt.Sprintf("%s of %s: id %q, rest %q", version, tt.one, "7", "")
	files := fmt.Sprintf("v1 of %s: id %q, rest %q", tt.all, "", tt.rest)
	for range 5 {
		for range 3 {
			a, err := c.Get("/users/7")
			want(a, err, 200, users)
		}
		a, err := c.Post("/users/7", "x")
		want(a, err, 405, "")
		if got := a.Header["Allow"]; fmt.Sprint(got) != fmt.Sprint(tt.allow) {
			t.Errorf("405 allows %q, want %q", got, tt.allow)
		}
		for range 3 {
			a, err = c.Post("/files/a/b", "x")
			want(a, err, 200, files)
		}
		a, err = c.Get(tt.movesnot)
		want(a, err, 404, "")
		if tt.moved != "" {
			a, err = c.Get(tt.moved)
			want(a, err, 301, "")
			if got := a.Header.Get("Location"); got != tt.moves {
				t.Errorf("%s is moved to %q", tt.moved, got)
			}
		}
	}
}

// refuses checks the refusals of patterns that conflict with users', and of those that
// are of no syntax; the former is served once users is gone.
func (tt muxCase) refuses(t *testing.T, d *testbed.Daemon) {
	t.Helper()
	mark := d.Log.Len()
	contested := values(t, tt.contested, "v1")
	d.Drop("second", contested)
	want := fmt.Sprintf("pattern %q conflicts with %q of handler %q", tt.contested, tt.one, "users")
	if e := d.WaitRefused(mark, "second"); e.Get("reason") != want {
		t.Errorf("a conflict is refused: %s", e.Raw)
	}
	d.Drop("bad", values(t, tt.bad, "v1"))
	e := d.WaitRefused(mark, "bad")
	if !strings.Contains(e.Get("reason"), tt.says) || !strings.Contains(e.Get("mend"), "--mux") {
		t.Errorf("a bad pattern is refused: %s", e.Raw)
	}
	mark = d.Log.Len()
	d.Take("users")
	d.WaitLive(mark, "second", contested)
}
