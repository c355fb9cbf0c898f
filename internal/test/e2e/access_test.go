package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// accessLines counts the lines of the files by their handler, path and status; each has to
// be whole.
func accessLines(t *testing.T, files ...string) map[string]int64 {
	t.Helper()
	all := make(map[string]int64)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range bytes.SplitAfter(text, []byte("\n")) {
			if len(line) == 0 {
				continue
			}
			var e struct {
				Time, Client, Handler, Version, Pattern, Method, Path, Protocol string
				Status                                                          int
				Duration                                                        float64
			}
			if err := json.Unmarshal(line, &e); err != nil || e.Client != "127.0.0.1" {
				t.Fatalf("%v: %q", err, line)
			}
			if e.Handler != "" && (e.Version == "" || e.Pattern != e.Path || e.Method == "") {
				t.Errorf("%s", line)
			}
			all[fmt.Sprint(e.Handler, " ", e.Protocol, " ", e.Path, " ", e.Status)]++
		}
	}
	return all
}

// Each request has one line, however it is served, over new versions, a cell that is killed,
// and a file that is renamed while clients ask.
func TestAccessLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	d := testbed.Start(t, testbed.Allow("crashed: busy"), testbed.Flags("--access-log", file, "--access-log-format", "json", "--http2", "all", "--max-header-bytes", "4096"))
	config := "[Handler quiet]\nAccessLog=no\n"
	if err := os.WriteFile(filepath.Join(d.Dir, "plugserverd.conf"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if stderr, code := d.Reload(); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	d.Put("busy", plain(t, "/busy", number(0)))
	d.Put("calm", plain(t, "/calm", "calm"))
	d.Put("quiet", plain(t, "/quiet", "quiet"))
	var loads []*testbed.Load
	for _, fresh := range []bool{true, false} {
		for _, path := range []string{"/busy", "/calm"} {
			loads = append(loads, testbed.Plan{Addr: d.Addr, Clients: 2, Fresh: fresh, Paths: []string{path}}.Run(t))
		}
	}
	for n := 1; n <= 3; n++ {
		d.Put("busy", plain(t, "/busy", number(n)))
		old := fmt.Sprint(file, n)
		if err := os.Rename(file, old); err != nil {
			t.Fatal(err)
		}
		if stderr, code := d.Reload(); code != 0 {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		if n == 1 {
			for _, l := range loads {
				l.Rest() // nothing is under way in the cell that is killed
			}
			busy, _ := d.Handler("busy")
			syscall.Kill(busy.PID, syscall.SIGKILL)
			for _, l := range loads {
				l.Resume()
			}
			d.WaitLog("its restart", testbed.Says("busy", "live again: busy"))
		}
		testbed.Each(t, loads...)
	}
	want := make(map[string]int64)
	for i, l := range loads {
		l.End()
		if err := l.Errors(); err != nil && i%2 == 1 { // kept connections to the killed cell are closed
			t.Error(err)
		}
		name := []string{"busy", "calm"}[i%2]
		want[name+" HTTP/1.1 /"+name+" 200"] += l.Requests.Load() - l.Failed.Load()
	}
	for _, kind := range oddRequests(t, d) {
		want[kind]++
	}
	deadline := time.Now().Add(testbed.Patience)
	for {
		got := accessLines(t, file, file+"1", file+"2", file+"3")
		if fmt.Sprint(got) == fmt.Sprint(want) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("got  %v\nwant %v", got, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// oddRequests sends one of each kind, and returns what the log is to say.
func oddRequests(t *testing.T, d *testbed.Daemon) (want []string) {
	t.Helper()
	d.Put("ws", hijacking.Build(t))
	for _, tt := range []struct{ raw, want string }{
		{"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", " HTTP/1.1 /nowhere 404"},
		{"HEAD /busy HTTP/1.1\r\nHost: x\r\n\r\n", "busy HTTP/1.1 /busy 200"},
		{"GET /quiet HTTP/1.1\r\nHost: x\r\n\r\n", ""},
		{"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", " HTTP/1.1 * 200"},
		{"GET /busy\r\n\r\n", "  GET /busy 400"},
		{"GET /busy HTTP/1.1\r\n\r\n", " HTTP/1.1 /busy 400"}, // no Host
		{"GET /busy HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 20_000) + "\r\n\r\n", " HTTP/1.1 /busy 431"},
		{"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", "ws HTTP/1.1 /ws 101"},
		{"POST /calm HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\n\r\n", "calm HTTP/1.1 /calm 200"},
	} {
		c, err := net.Dial("tcp", d.Addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, tt.raw)
		c.(*net.TCPConn).CloseWrite()
		if answer, err := io.ReadAll(c); len(answer) == 0 {
			t.Errorf("%.40q: no answer, %v", tt.raw, err)
		}
		c.Close()
		if tt.want != "" {
			want = append(want, tt.want)
		}
	}
	h2 := h2Client(t)
	for path, kind := range map[string]string{"/calm": "calm HTTP/2.0 /calm 200", "/nowhere": " HTTP/2.0 /nowhere 404"} {
		resp, err := h2.Get("http://" + d.Addr + path)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		want = append(want, kind)
	}
	return want
}

var hijacking = testbed.Go(`package main

import (
	"io"
	"net/http"
)

func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	return "/ws", func(w http.ResponseWriter, r *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(c, "taken")
		c.Close()
	}
}

func main() {}
`)

// A full disk costs lines, which are counted and told of, and no request.
func TestAccessLogFull(t *testing.T) {
	d := testbed.Start(t, testbed.Allow("access log: lines are lost"), testbed.Flags("--access-log", "/dev/full", "--admin-listen", "127.0.0.1:0"))
	admin := d.Admin()
	d.Put("busy", plain(t, "/busy", number(0)))
	load := testbed.Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/busy"}}.Run(t)
	load.Await(t, 500)
	load.Unharmed(t)
	d.WaitLog("why", func(e testbed.Entry) bool { return strings.Contains(e.Msg(), "no space left on device") })
	deadline := time.Now().Add(testbed.Patience)
	for n := int64(-1); n != load.Requests.Load(); {
		n = metric(t, scrape(t, admin, "/metrics"), `plugserver_access_log_lines_lost_total`)
		if time.Now().After(deadline) {
			t.Fatalf("%d lines lost, %d requests", n, load.Requests.Load())
		}
	}
}
