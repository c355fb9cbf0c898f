package e2e

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

const helloSource = `package main

import (
	"io"
	"net/http"
)

func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	return "/hello", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, %q) }
}
`

// The life of a file, with builds that differ in nothing but a text, as in
// the README. Another handler's client must not notice any of it.
func TestAddReplaceRemove(t *testing.T) {
	one, two, three := testbed.Go(fmt.Sprintf(helloSource, "Hello World!")).Build(t),
		testbed.Go(fmt.Sprintf(helloSource, "Hello again!")).Build(t),
		testbed.Go(fmt.Sprintf(helloSource, "Hello at last, and at some length!")).Build(t)
	d := testbed.Start(t)
	d.Put("bye", testbed.Sample(t, "bye"))
	load := testbed.Plan{Addr: d.Addr, Clients: 2, Paths: []string{"/bye"}}.Run(t)
	c := d.Dial() // lives through all of it
	defer c.Close()
	want := func(status int, body string) {
		t.Helper()
		a, err := c.Get("/hello")
		if err != nil || a.Status != status || status == 200 && string(a.Body) != body {
			t.Fatalf("keep-alive: got %d %q %v, want %d %q", a.Status, a.Body, err, status, body)
		}
		d.Want("/hello", status, body)
	}

	want(404, "")
	d.Put("hello", one)
	want(200, "Hello World!")

	d.Put("hello", two)
	want(200, "Hello again!")

	mark := d.Log.Len()
	d.CopyInPlace("hello", three)
	d.WaitLive(mark, "hello", three)
	want(200, "Hello at last, and at some length!")

	d.Take("hello")
	want(404, "")

	d.Put("hello", one)
	want(200, "Hello World!")

	before, _ := d.Handler("hello")
	now := time.Now()
	if err := os.Chtimes(d.Path("hello"), now, now); err != nil {
		t.Fatal(err)
	}
	d.Drop("bye", testbed.Sample(t, "bye"))
	if errs, code := d.Reload(); code != 0 {
		t.Errorf("reload: exit %d: %s", code, errs)
	}
	d.CopyInPlace("hello", one)
	if errs, code := d.Reload(); code != 0 {
		t.Errorf("reload: exit %d: %s", code, errs)
	}
	after, _ := d.Handler("hello")
	if before.PID == 0 || before.PID != after.PID || before.Version != after.Version {
		t.Errorf("the same content again: cell %d became %d", before.PID, after.PID)
	}
	want(200, "Hello World!")
	load.Unharmed(t)
}

// What was there at the start is served before the first client is: the gate
// does not accept until everything was tried.
func TestFirstAnswerAfterStart(t *testing.T) {
	dir := testbed.NewDir(t)
	for i := range 5 {
		if err := os.WriteFile(fmt.Sprintf("%s/handlers/h%d.so", dir, i), plain(t, fmt.Sprintf("/h%d", i), "x").Bytes, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d := testbed.Start(t, testbed.In(dir))
	for i := range 5 {
		d.Want(fmt.Sprintf("/h%d", i), http.StatusOK, "x")
	}
	for _, h := range d.Status().Handlers {
		if h.State != "live" || h.PID == 0 || h.Requests != 1 || h.MemoryBytes == 0 || len(h.Patterns) != 1 {
			t.Errorf("status: %+v", h)
		}
	}
}

// Once a removal is reported, no connection is answered by what was removed,
// not even one that was with it all the time.
func TestRemovedIsGone(t *testing.T) {
	d := testbed.Start(t)
	var clients [8]*testbed.Client
	for i := range clients {
		clients[i] = d.Dial()
		defer clients[i].Close()
	}
	for n := range 25 {
		d.Put("fleeting", plain(t, "/fleeting", number(n)))
		for _, c := range clients {
			if a, err := c.Get("/fleeting"); err != nil || string(a.Body) != number(n) {
				t.Fatalf("round %d: got %d %q %v", n, a.Status, a.Body, err)
			}
		}
		d.Take("fleeting")
		for _, c := range clients {
			if a, err := c.Get("/fleeting"); err != nil || a.Status != 404 {
				t.Fatalf("round %d, once it is removed: got %d %q %v", n, a.Status, a.Body, err)
			}
		}
	}
}
