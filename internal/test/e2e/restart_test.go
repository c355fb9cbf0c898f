package e2e

import (
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// restartLinger is how long a connection is kept for one more request while the
// service ends.
const restartLinger = 200 * time.Millisecond

// restartKinds are what clients do while the service is restarted.
var restartKinds = []struct {
	name    string
	clients int
	fresh   bool     // a connection for each request
	asks    []string // in turn, in two segments
}{
	{"keep alive", 16, false, []string{rawGet("/left/")}},
	{"reconnect", 4, true, []string{rawGet("/left/")}},
	{"post", 3, false, []string{testbed.PostRequest("/left/", "some bytes")}},
	{"alternate", 3, false, []string{rawGet("/left/"), rawGet("/right/")}},
	{"alternate and post", 3, false, []string{testbed.PostRequest("/left/", "x"), rawGet("/right/"), rawGet("/left/")}},
	{"ask for what is not there", 3, false, []string{rawGet("/none")}},
}

func rawGet(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: e2e.example\r\n\r\n" }

// The service is restarted under load, with sockets that outlive it, as systemd's
// do. No request is lost: each connection ends with an answer that says so.
func TestRestartUnderLoad(t *testing.T) {
	times := 5
	if testing.Short() {
		times = 3
	}
	socket := listening(t)
	d := testbed.Start(t, testbed.Sockets(socket))
	for _, name := range []string{"left", "right"} {
		d.Put(name, plain(t, "/"+name+"/", name))
	}
	var stop atomic.Bool
	var clients sync.WaitGroup
	defer clients.Wait()
	defer stop.Store(true)
	answered := make([]atomic.Int64, len(restartKinds))
	for i, kind := range restartKinds {
		for range kind.clients {
			clients.Go(func() {
				c := restarted{addr: d.Addr, fresh: kind.fresh}
				defer c.hangUp()
				for n := 0; !stop.Load(); n++ {
					if err := c.ask(kind.asks[n%len(kind.asks)]); err != nil {
						t.Errorf("clients that %s: %v", kind.name, err)
					}
					answered[i].Add(1)
				}
			})
		}
	}
	var longest time.Duration
	for range times {
		before := make([]int64, len(answered))
		for i := range answered {
			before[i] = answered[i].Load()
		}
		for end := time.Now().Add(testbed.Patience); !grown(answered, before); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the clients are stuck")
			}
		}
		began := time.Now()
		d.Stop()
		longest = max(longest, time.Since(began))
		d = testbed.Start(t, testbed.Sockets(socket), testbed.In(d.Dir))
	}
	stop.Store(true)
	clients.Wait()
	for i, kind := range restartKinds {
		t.Logf("clients that %-26s %6d requests", kind.name, answered[i].Load())
	}
	t.Logf("%d restarts, the longest stop took %v", times, longest.Round(time.Millisecond))
}

// listening is a socket that outlives daemons.
func listening(t *testing.T) *os.File {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return socket
}

// grown reports whether each kind of clients was answered a few times more.
func grown(answered []atomic.Int64, before []int64) bool {
	for i := range answered {
		if answered[i].Load() < before[i]+5 {
			return false
		}
	}
	return true
}

// restarted is a client of a service that is restarted. It never retries.
type restarted struct {
	addr  string
	fresh bool
	conn  *testbed.Client
	began time.Time // its last turn
}

func (c *restarted) hangUp() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// ask sends one request. An error is one that a client may never see. The end of
// a connection on which no request was sent for a while is none: it may have
// ended as the request was on its way.
func (c *restarted) ask(raw string) error {
	before := c.began
	c.began = time.Now()
	if c.conn == nil {
		var err error
		if c.conn, err = testbed.Dial("tcp", c.addr); err != nil {
			return err
		}
		before = c.began
	}
	half := len(raw) / 2
	err := c.conn.Send(raw[:half])
	waited := time.Since(before) // that long it may have been idle, no longer
	if err == nil {
		err = c.conn.Send(raw[half:])
	}
	var a testbed.Answer
	if err == nil {
		a, err = c.conn.Receive("GET")
	}
	if err != nil || a.Close || c.fresh {
		c.hangUp()
	}
	switch {
	case err != nil && waited > restartLinger:
		return nil
	case err != nil:
		return fmt.Errorf("%w, %v after the request before", err, waited)
	case a.Status != 200 && (a.Status != 404 || raw != rawGet("/none")):
		return fmt.Errorf("%d %q", a.Status, a.Body)
	}
	return nil
}

const lateSource = `package main

import (
	"context"
	"io"
	"net/http"
	"time"
)

func Start(context.Context) error { time.Sleep(3 * time.Second); return nil }

func Handler() (string, http.HandlerFunc) {
	return "/late", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "late") }
}
`

// A request for what served before is held until that has been tried, though the gate accepts earlier, and however
// short requests wait for what has crashed.
func TestUntriedIsAwaited(t *testing.T) {
	socket := listening(t)
	hold := testbed.Flags("--hold=100ms")
	d := testbed.Start(t, testbed.Sockets(socket), hold)
	d.Put("late", plainly(t, lateSource))
	d.Stop()
	c, err := testbed.Dial("tcp", d.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Send("GET /late HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	testbed.Start(t, testbed.Sockets(socket), testbed.In(d.Dir), hold)
	if a, err := c.Receive("GET"); err != nil || a.Status != 200 || string(a.Body) != "late" {
		t.Errorf("got %d %q, %v", a.Status, a.Body, err)
	}
}
