package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// longSource holds on to its clients. What it says is patched.
const longSource = `package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"time"
)

var version = "VERSION:................................"

func Stop(context.Context) error { log.Print("Stop ran"); return nil }

func Handlers() map[string]http.HandlerFunc {
	version := strings.TrimRight(version[8:], ".")
	return map[string]http.HandlerFunc{
		"/long/version": func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); io.WriteString(w, version) },
		"/long/stream": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for {
				if _, err := fmt.Fprintf(w, "data: %s\n\n", version); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		},
		"/long/upgrade": func(w http.ResponseWriter, r *http.Request) {
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n")
			lines := bufio.NewScanner(rw)
			for lines.Scan() {
				fmt.Fprintf(conn, "%s %s\n", version, lines.Text())
			}
		},
	}
}
`

func long(tb testing.TB, version string) testbed.Plugin {
	tb.Helper()
	return testbed.Go(longSource).Build(tb).Patched(tb, versionSlot, "VERSION:"+version)
}

// A version that is replaced finishes what it began: a stream and an upgraded
// connection go on until the time to drain is up. New requests are the new
// version's at once.
func TestRetireWithLongRequests(t *testing.T) {
	const drain = 1500 * time.Millisecond
	d := testbed.Start(t, testbed.Flags("--drain-timeout", drain.String()))
	d.Put("long", long(t, "old"))
	stream, upgrade, idle, slow := d.Dial(), d.Dial(), d.Dial(), d.Dial()
	for _, c := range []*testbed.Client{stream, upgrade, idle, slow} {
		defer c.Close()
	}
	stream.Send("GET /long/stream HTTP/1.1\r\nHost: h\r\n\r\n")
	resp, err := http.ReadResponse(stream.R, nil)
	if err != nil {
		t.Fatal(err)
	}
	events := bufio.NewReader(resp.Body)
	upgrade.Send("GET /long/upgrade HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n")
	if resp, err := http.ReadResponse(upgrade.R, nil); err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	slow.Send("POST /long/version HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf.")
	if a, err := idle.Get("/long/version"); err != nil || string(a.Body) != "old" {
		t.Fatalf("%q %v", a.Body, err)
	}
	inFlight(t, d, "long", 3)
	old, _ := d.Handler("long")

	began := time.Now()
	d.Put("long", long(t, "new"))

	for range 3 {
		if a, err := idle.Get("/long/version"); err != nil || string(a.Body) != "new" {
			t.Errorf("keep-alive: %q %v", a.Body, err)
		}
		d.Want("/long/version", 200, "new")
		upgrade.Send("hello\n")
		if line, err := upgrade.R.ReadString('\n'); line != "old hello\n" {
			t.Errorf("upgraded: %q %v", line, err)
		}
		for range 2 {
			if line, err := events.ReadString('\n'); line != "data: old\n" && line != "\n" {
				t.Errorf("stream: %q %v", line, err)
			}
		}
	}
	// The slow request ends as it began, and its connection moves on.
	if a, err := slow.Do("half."); err != nil || string(a.Body) != "old" || a.Close {
		t.Errorf("slow: %q %v, close %v", a.Body, err, a.Close)
	}
	if a, err := slow.Get("/long/version"); err != nil || string(a.Body) != "new" {
		t.Errorf("slow, then: %q %v", a.Body, err)
	}
	stream.SetDeadline(time.Now().Add(testbed.Patience))
	rest, err := io.ReadAll(events)
	if took := time.Since(began); took < drain || took > drain+5*time.Second {
		t.Errorf("the stream ended after %v (%v)", took, err)
	}
	for line := range strings.Lines(string(rest)) {
		if line != "data: old\n" && line != "\n" {
			t.Errorf("stream: %q", line)
		}
	}
	if line, err := upgrade.R.ReadString('\n'); err == nil {
		t.Errorf("upgraded: %q", line)
	}
	d.WaitLog("Stop", testbed.Says("long", "Stop ran"))
	if err := testbed.AwaitDeath(old.PID, testbed.Patience); err != nil {
		t.Error(err)
	}
	d.Want("/long/version", 200, "new")
}

// A client that always has a request more on its way than was answered leaves
// its connection no moment of rest. It, too, must get to the new version, and
// lose nothing.
func TestRetireUnderPipelining(t *testing.T) {
	d := testbed.Start(t, testbed.Flags("--drain-timeout", "1s"))
	d.Put("busy", plain(t, "/busy", number(0)))
	d.Put("calm", plain(t, "/calm", "calm"))
	c := d.Dial()
	defer c.Close()
	old, _ := d.Handler("busy")
	const ask = "GET /busy HTTP/1.1\r\nHost: h\r\n\r\n"
	stop, wrote, done := make(chan struct{}), make(chan error, 1), make(chan error, 1)
	room := make(chan struct{}, 2000) // requests on their way
	go func() {
		defer close(room)
		for {
			select {
			case <-stop:
				wrote <- nil
				return
			default:
			}
			for range 100 {
				room <- struct{}{}
			}
			if err := c.Send(strings.Repeat(ask, 100)); err != nil {
				wrote <- err
				return
			}
		}
	}()
	go func() {
		n := 0
		for range room {
			a, err := c.Receive("GET")
			if err != nil || a.Status != 200 || a.Close {
				done <- fmt.Errorf("after %d: %d %v, close %v", n, a.Status, err, a.Close)
				c.Close()
				for range room {
				}
				return
			}
			n++
		}
		t.Logf("%d requests", n)
		done <- nil
	}()
	next := plain(t, "/busy", number(1))
	d.Put("busy", next)
	gone := testbed.AwaitDeath(old.PID, 10*time.Second)
	close(stop)
	if err := <-done; err != nil {
		t.Errorf("the client: %v", err)
	}
	if err := <-wrote; err != nil {
		t.Fatalf("the client: %v", err)
	}
	if gone != nil {
		t.Error(gone)
	}
	if a, err := c.Get("/busy"); err != nil || string(a.Body) != number(1) {
		t.Errorf("afterwards: %q %v", a.Body, err)
	}
}
