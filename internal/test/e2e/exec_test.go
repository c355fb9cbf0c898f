package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

const turncoatSource = `package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"syscall"
)

func Handlers() map[string]http.Handler {
	return map[string]http.Handler{
		"/turncoat": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "pid ", os.Getpid()) }),
		"/turncoat/exec": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			syscall.Exec("/bin/sleep", []string{"sleep", "600"}, os.Environ())
		}),
		"/turncoat/starts": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cmd := exec.Command("/bin/sleep", "600")
			fmt.Fprint(w, cmd.Start())
		}),
	}
}
`

// A process that is no cell any more, because its handler has become another
// program, is replaced as one that died; and what a handler has started ends
// with its cell.
func TestHandlerBecomesAnotherProgram(t *testing.T) {
	d := testbed.Start(t, testbed.Allow("crashed: turncoat"))
	d.Put("turncoat", testbed.Go(turncoatSource).Build(t))
	d.Want("/turncoat/starts", 200, "<nil>")
	mark := d.Log.Len()
	began := time.Now()
	c := d.Dial()
	c.Get("/turncoat/exec")
	c.Close()
	d.WaitLogFrom(mark, "its end", event("crashed", "turncoat"))
	d.Want("/turncoat", 200, "pid ")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, p := range d.Processes() {
		if strings.HasPrefix(p.Args, "sleep") {
			t.Errorf("left over: %+v", p)
		}
	}
}

// A client that asks several handlers over one connection learns of the end of
// the service from an answer, too.
func TestStopWithWanderers(t *testing.T) {
	d := testbed.Start(t)
	d.Put("a", plain(t, "/a", "a"))
	d.Put("b", plain(t, "/b", "b"))
	done := make(chan error, 4)
	for i := range cap(done) {
		c := d.Dial()
		defer c.Close()
		// A connection that still waits in the backlog of the daemon's own
		// socket ends with that.
		if _, err := c.Get("/a"); err != nil {
			t.Fatal(err)
		}
		go func() {
			for n := i; ; n++ {
				a, err := c.Get([]string{"/a", "/b"}[n%2])
				if err != nil || a.Status != 200 || a.Close {
					if err == nil && a.Status == 503 {
						t.Errorf("got 503: %s", a.Body)
					}
					done <- err
					return
				}
			}
		}()
	}
	began := time.Now()
	d.Stop()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the stop took %v", took)
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
