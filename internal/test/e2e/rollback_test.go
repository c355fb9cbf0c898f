package e2e

import (
	"errors"
	"iter"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// frailSource answers with its version; every third request to a version that
// begins with "bad" ends the process.
const frailSource = `package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
)

var version = "VERSION:................................"

var n atomic.Int64

func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	_, v, _ := strings.Cut(version, ":")
	v = strings.TrimRight(v, ".")
	return "/frail", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(v, "bad") && n.Add(1)%3 == 0 {
			go panic("the third request")
			select {}
		}
		fmt.Fprint(w, v)
	}
}
`

func frail(tb testing.TB, version string) testbed.Plugin {
	tb.Helper()
	return testbed.Go(frailSource).Build(tb).Patched(tb, versionSlot, "VERSION:"+version)
}

// provoke asks for the path, on connections that may be cut, until the log
// has what it waits for.
func provoke(t *testing.T, d *testbed.Daemon, path string, mark int, what string, match func(testbed.Entry) bool) (asked, failed int64) {
	t.Helper()
	var n, bad atomic.Int64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var c *testbed.Client
		for {
			select {
			case <-stop:
				if c != nil {
					c.Close()
				}
				return
			default:
			}
			if c == nil {
				var err error
				if c, err = testbed.Dial("tcp", d.Addr); err != nil {
					t.Errorf("refused: %v", err)
					return
				}
			}
			n.Add(1)
			if a, err := c.Get(path); err != nil || a.Status != 200 {
				bad.Add(1)
				c.Close()
				c = nil
			}
		}
	}()
	d.WaitLogFrom(mark, what, match)
	close(stop)
	<-done
	return n.Load(), bad.Load()
}

func event(name, handler string) func(testbed.Entry) bool {
	return func(e testbed.Entry) bool { return e.Get("event") == name && e.Get("handler") == handler }
}

// A release that crashes is rolled back by itself, and stays so over a restart
// of the daemon, until it is released or a new file comes.
func TestRollBack(t *testing.T) {
	allow := testbed.Allow("crashed: frail", "rolled back: frail", "restart failed")
	d := testbed.Start(t, allow)
	d.Put("calm", plain(t, "/calm", "calm"))
	d.Put("frail", frail(t, "good"))
	load := testbed.Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/calm"}}.Run(t)

	mark := d.Log.Len()
	d.Put("frail", frail(t, "bad one"))
	asked, failed := provoke(t, d, "/frail", mark, "the roll-back", event("rolled_back", "frail"))
	t.Logf("a release that crashes on every third request: %d requests, %d failed until it was rolled back", asked, failed)
	if failed != 3 {
		t.Errorf("%d requests failed, want the 3 that crashed it", failed)
	}
	rolledBack := func(d *testbed.Daemon) {
		t.Helper()
		d.Want("/frail", 200, "good")
		h, _ := d.Handler("frail")
		if h.State != "rolled back" || h.Version != frail(t, "good").Version || h.Refusal == nil ||
			!strings.Contains(h.Refusal.Reason, frail(t, "bad one").Version+" crashed 3 times") ||
			!strings.Contains(h.Refusal.Reason, "panic: the third request") ||
			!strings.Contains(h.Refusal.Mend, "plugserverctl release frail") {
			t.Errorf("status %+v", h)
		}
	}
	rolledBack(d)
	for _, what := range fiddle(t, d, "frail") {
		if rolledBack(d); t.Failed() {
			t.Fatalf("after %s", what)
		}
	}
	load.End()
	load.Unharmed(t)

	// The daemon is started anew: the bad file is still in the directory.
	d.Stop()
	d = testbed.Start(t, testbed.In(d.Dir), allow)
	rolledBack(d) // for the same reason
	for _, what := range fiddle(t, d, "frail") {
		if d.Want("/frail", 200, "good"); t.Failed() {
			t.Fatalf("after a restart and %s", what)
		}
	}

	// Released, it is tried again.
	if _, stderr, code := d.Ctl("release", "frail"); code != 0 {
		t.Fatalf("release: %d %s", code, stderr)
	}
	if h, _ := d.Handler("frail"); h.State != "live" || h.Version != frail(t, "bad one").Version || h.Refusal != nil {
		t.Errorf("after release: status %+v", h)
	}
	mark = d.Log.Len()
	provoke(t, d, "/frail", mark, "the second roll-back", event("rolled_back", "frail"))
	rolledBack(d)

	d.Put("frail", frail(t, "mended"))
	d.Want("/frail", 200, "mended")
	if h, _ := d.Handler("frail"); h.State != "live" || h.Refusal != nil {
		t.Errorf("after a new file: status %+v", h)
	}
	if _, stderr, code := d.Ctl("release", "nobody"); code != 1 || !strings.Contains(stderr, `"nobody"`) {
		t.Errorf("release of no handler: %d %s", code, stderr)
	}
}

// With no earlier version there is nothing to roll back to: the handler's
// routes say 503 at once, and nothing else is affected.
func TestQuarantine(t *testing.T) {
	d := testbed.Start(t, testbed.Allow("crashed: frail", "quarantined: frail"), testbed.Flags("--hold", "10s"))
	d.Put("calm", plain(t, "/calm", "calm"))
	load := testbed.Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/calm"}}.Run(t)
	mark := d.Log.Len()
	d.Put("frail", frail(t, "bad only"))
	c := d.Dial()
	defer c.Close()
	for i := range 9 {
		a, err := c.Get("/frail")
		if i%3 == 2 {
			if err == nil {
				t.Fatalf("request %d: %d %q", i, a.Status, a.Body)
			}
			c.Close()
			c = d.Dial()
			continue
		}
		if err != nil || a.Status != 200 {
			t.Fatalf("request %d: %d %v", i, a.Status, err)
		}
	}
	d.WaitLogFrom(mark, "the quarantine", event("quarantined", "frail"))
	if _, code := d.Reload(); code != 1 { // it waits until the table is in force
		t.Errorf("reload: exit %d", code)
	}
	a, err := c.Get("/frail")
	if err != nil || a.Status != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("in quarantine: %d %v %v", a.Status, a.Header, err)
	}
	if h, _ := d.Handler("frail"); h.State != "quarantined" || h.Refusal == nil {
		t.Errorf("status %+v", h)
	}
	for _, what := range fiddle(t, d, "frail") {
		if h, _ := d.Handler("frail"); h.State != "quarantined" || h.Refusal == nil || !strings.Contains(h.Refusal.Reason, "crashed 3 times") {
			t.Fatalf("after %s: status %+v", what, h)
		}
	}
	// The same bytes, copied over the file, are tried again.
	mark = d.Log.Len()
	if err := os.WriteFile(d.Path("frail"), frail(t, "bad only").Bytes, 0o644); err != nil {
		t.Fatal(err)
	}
	d.WaitLogFrom(mark, "another try", testbed.Says("frail", "live again: frail"))
	d.Want("/frail", 200, "bad only")
	if h, _ := d.Handler("frail"); h.State != "live" || h.Refusal != nil {
		t.Errorf("status %+v", h)
	}
	load.End()
	load.Unharmed(t)
	d.Put("frail", frail(t, "mended"))
	d.Want("/frail", 200, "mended")
}

// Where the directory cannot be read at the start, what was live serves from
// the store.
func TestStartWithoutDirectory(t *testing.T) {
	d := testbed.Start(t)
	d.Put("calm", plain(t, "/calm", "calm"))
	d.Stop()
	for _, run := range []string{"gone", "back"} {
		t.Run(run, func(t *testing.T) {
			alarm := testbed.Allow("handlers directory cannot be read")
			if run == "gone" {
				rename(t, d.Handlers, d.Handlers+".away")
				d := testbed.Start(t, testbed.In(d.Dir), alarm)
				d.Want("/calm", 200, "calm")
				if p := d.Status().Daemon.Problem; !strings.Contains(p, "handlers") {
					t.Errorf("problem %q", p)
				}
				mark := d.Log.Len()
				rename(t, d.Handlers+".away", d.Handlers)
				d.Signal(1) // SIGHUP
				d.WaitLogFrom(mark, "the directory", func(e testbed.Entry) bool { return strings.Contains(e.Msg(), "can be read again") })
				d.Reload()
				d.Want("/calm", 200, "calm")
				return
			}
			d := testbed.Start(t, testbed.In(d.Dir))
			d.Want("/calm", 200, "calm")
		})
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// fiddle yields after each change of a handler's file that leaves its content
// alone, once it is reconciled.
func fiddle(t *testing.T, d *testbed.Daemon, name string) iter.Seq2[int, string] {
	path, now := d.Path(name), time.Now().Add(time.Second)
	return func(yield func(int, string) bool) {
		for i, step := range []struct {
			what string
			do   func() error
		}{
			{"chmod", func() error { return os.Chmod(path, 0o640) }},
			{"chown", func() error { return os.Chown(path, os.Getuid(), os.Getgid()) }},
			{"touch", func() error {
				f, err := os.OpenFile(path, os.O_WRONLY, 0) // as touch(1) does
				return errors.Join(err, os.Chtimes(path, now, now), f.Close())
			}},
			{"chmod to a mode that is refused", func() error { return os.Chmod(path, 0o666) }},
			{"chmod back", func() error { return os.Chmod(path, 0o644) }},
		} {
			if err := step.do(); err != nil {
				t.Fatal(err)
			}
			d.Reload()
			if step.what == "chmod to a mode that is refused" {
				continue // for another reason
			}
			if !yield(i, step.what) {
				return
			}
		}
	}
}
