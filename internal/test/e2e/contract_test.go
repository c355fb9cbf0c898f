package e2e

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// kitchenSource has a bit of everything that a handler may do.
const kitchenSource = `package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

func init() { fmt.Println("init ran") }

func Start(ctx context.Context) error { log.Print("Start ran"); return ctx.Err() }

func Stop(ctx context.Context) error { log.Print("Stop ran"); return errors.New("stopped with a sigh") }

func Handlers() map[string]http.Handler {
	log.Print("Handlers ran")
	h := map[string]func(w http.ResponseWriter, r *http.Request){
		"GET /k/users/{id}": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "user %s by %s", r.PathValue("id"), r.Pattern)
		},
		"/k/files/{rest...}": func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "file %s", r.PathValue("rest")) },
		"/k/exact/{$}":       func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "exact") },
		"/k/tree/":           func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "tree "+r.URL.Path) },
		"host.example/k/host": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "host "+r.Host) },
		"POST /k/post":       func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "posted") },
		"/k/print": func(w http.ResponseWriter, r *http.Request) {
			fmt.Println("printed to stdout")
			fmt.Fprintln(os.Stderr, "printed to stderr")
			println("printed by the runtime")
			log.Print("printed by log")
			slog.Warn("printed by slog", "key", "value", slog.Group("group", "n", 7))
			slog.Error("an error by slog")
			slog.Debug("a detail by slog")
		},
		"/k/panic": func(w http.ResponseWriter, r *http.Request) { panic("first thing " + r.FormValue("n")) },
		"/k/panic-late": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "partial")
			w.(http.Flusher).Flush()
			panic("too late")
		},
		"/k/abort": func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
		"/k/upgrade": func(w http.ResponseWriter, r *http.Request) {
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n")
			lines := bufio.NewScanner(rw)
			for lines.Scan() {
				fmt.Fprintf(conn, "%s!\n", lines.Text())
			}
		},
		"/k/stream": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				w.(http.Flusher).Flush()
				// The next event waits for the client to have read this one.
				if _, err := http.Get(r.FormValue("next")); err != nil {
					return
				}
			}
		},
		"/k/deadline": func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			err := c.EnableFullDuplex()
			fmt.Fprintf(w, "full duplex: %v;", err)
			c.Flush()
			err = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			_, read := io.ReadAll(r.Body)
			var ne net.Error
			fmt.Fprintf(w, " deadline: %v; timeout: %v; write: %v", err, errors.As(read, &ne) && ne.Timeout(), c.SetWriteDeadline(time.Now().Add(time.Minute)))
		},
		"/k/sum": func(w http.ResponseWriter, r *http.Request) {
			h := sha256.New()
			n, err := io.Copy(h, r.Body)
			fmt.Fprintf(w, "%d %x %v %v", n, h.Sum(nil), err, r.Trailer.Get("Checked"))
		},
		"/k/big": func(w http.ResponseWriter, r *http.Request) {
			n, _ := strconv.Atoi(r.FormValue("n"))
			chunk := make([]byte, 64<<10)
			for i := range chunk {
				chunk[i] = byte(i * 7)
			}
			for ; n > 0; n -= len(chunk) {
				w.Write(chunk[:min(n, len(chunk))])
			}
		},
		"/k/who": func(w http.ResponseWriter, r *http.Request) {
			local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
			fmt.Fprintf(w, "%s to %v over %s, tls %v, uri %s", r.RemoteAddr, local, r.Proto, r.TLS != nil, r.RequestURI)
		},
	}
	out := make(map[string]http.Handler)
	for p, f := range h {
		out[p] = http.HandlerFunc(f)
	}
	return out
}
`

func kitchen(tb testing.TB) testbed.Plugin { return testbed.Go(kitchenSource).Build(tb) }

// Every signature of the contract is served.
func TestSignatures(t *testing.T) {
	const answer = `func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("served")) }`
	d := testbed.Start(t)
	plugins := map[string]string{
		"func":        `func Handler() (string, func(http.ResponseWriter, *http.Request)) { return "/func", ` + answer + ` }`,
		"named":       `func Handler() (pattern string, handleFunc func(http.ResponseWriter, *http.Request)) { return "/named", ` + answer + ` }`,
		"handlerfunc": `func Handler() (string, http.HandlerFunc) { return "/handlerfunc", ` + answer + ` }`,
		"handler":     `func Handler() (string, http.Handler) { return "/handler", http.HandlerFunc(` + answer + `) }`,
		"maphandler":  `func Handlers() map[string]http.Handler { return map[string]http.Handler{"/maphandler": http.HandlerFunc(` + answer + `)} }`,
		"mapfunc":     `func Handlers() map[string]func(http.ResponseWriter, *http.Request) { return map[string]func(http.ResponseWriter, *http.Request){"/mapfunc": ` + answer + `} }`,
		"maphfunc":    `func Handlers() map[string]http.HandlerFunc { return map[string]http.HandlerFunc{"/maphfunc": ` + answer + `} }`,
	}
	for name, text := range plugins {
		d.Drop(name, testbed.Go("package main\n\nimport \"net/http\"\n\n"+text+"\n").Build(t))
	}
	if errs, code := d.Reload(); code != 0 {
		t.Errorf("reload: %s", errs)
	}
	for name := range plugins {
		d.Want("/"+name, http.StatusOK, "served")
	}
}

// What ServeMux promises of patterns holds on one keep-alive connection that
// wanders between the gate and two handlers.
func TestPatterns(t *testing.T) {
	d := testbed.Start(t)
	d.Put("kitchen", kitchen(t))
	d.Put("special", plain(t, "/k/files/special", "special"))
	d.Put("deeper", plain(t, "GET /k/tree/a/{x}/c", "deeper"))
	c := d.Dial()
	defer c.Close()
	for range 2 { // the second time from where the first left it
		for _, tt := range []struct {
			method, target, host string
			status               int
			want                 string // the body, or a header's "Name: value"
		}{
			{"GET", "/k/users/7", "h", 200, "user 7 by GET /k/users/{id}"},
			{"GET", "/k/users/a%2Fb", "h", 200, "user a/b by GET /k/users/{id}"},
			{"HEAD", "/k/users/7", "h", 200, ""},
			{"DELETE", "/k/users/7", "h", 405, "Allow: GET, HEAD"},
			{"GET", "/k/users/", "h", 404, "404 page not found\n"},
			{"GET", "/k/files/a/b", "h", 200, "file a/b"},
			{"GET", "/k/files/special", "h", 200, "special"},
			{"GET", "/k/files/special/x", "h", 200, "file special/x"},
			{"GET", "/k/files/special", "h", 200, "special"},
			{"GET", "/k/exact/", "h", 200, "exact"},
			{"GET", "/k/exact/x", "h", 404, "404 page not found\n"},
			{"GET", "/k/tree", "h", 307, "Location: /k/tree/"},
			{"GET", "/k/tree/a/b", "h", 200, "tree /k/tree/a/b"},
			{"GET", "/k/tree/a/b/c", "h", 200, "deeper"},
			{"POST", "/k/tree/a/b/c", "h", 200, "tree /k/tree/a/b/c"},
			{"GET", "/k//tree/./a/../b", "h", 307, "Location: /k/tree/b"},
			{"GET", "/k/host", "host.example", 200, "host host.example"},
			{"GET", "/k/host", "host.example:80", 200, "host host.example:80"},
			{"GET", "/k/host", "h", 404, "404 page not found\n"},
			{"POST", "/k/post", "h", 200, "posted"},
			{"GET", "/k/post", "h", 405, "Allow: POST"},
			{"GET", "/none", "h", 404, "404 page not found\n"},
			{"OPTIONS", "*", "h", 404, ""},
		} {
			name := tt.method + " " + tt.host + tt.target
			if tt.target == "*" {
				continue // net/http answers it by itself, where it says what
			}
			a, err := c.Do(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n\r\n", tt.method, tt.target, tt.host))
			if err != nil || a.Close {
				t.Fatalf("%s: %v, close %v", name, err, a.Close)
			}
			got := string(a.Body)
			if header, _, ok := strings.Cut(tt.want, ": "); ok {
				got = header + ": " + a.Header.Get(header)
			}
			if a.Status != tt.status || got != tt.want {
				t.Errorf("%s: got %d %q, want %d %q", name, a.Status, got, tt.status, tt.want)
			}
		}
	}
}

// What a handler prints and logs arrives under its name, and its life has the
// order of the contract.
func TestHandlerOutput(t *testing.T) {
	d := testbed.Start(t)
	d.Put("kitchen", kitchen(t))
	if s, b := d.Get("/k/print"); s != 200 {
		t.Fatalf("got %d %q", s, b)
	}
	for _, want := range []struct{ text, level, field, value string }{
		{"printed to stdout", "info", "stream", "stdout"},
		{"printed to stderr", "warning", "stream", "stderr"},
		{"printed by the runtime", "warning", "stream", "stderr"},
		{"printed by log", "info", "", ""},
		{"printed by slog", "warning", "key", "value"},
		{"printed by slog", "warning", "group.n", "7"},
		{"an error by slog", "error", "", ""},
		{"a detail by slog", "debug", "", ""},
	} {
		e := d.WaitLog(want.text, testbed.Says("kitchen", want.text))
		if e.Msg() != want.text || e.Get("level") != want.level || want.field != "" && e.Get(want.field) != want.value {
			t.Errorf("%q: got %s", want.text, e.Raw)
		}
	}
	mark := d.Log.Len()
	d.Take("kitchen")
	d.WaitLogFrom(mark, "Stop", testbed.Says("kitchen", "Stop ran"))
	d.WaitLogFrom(mark, "Stop's error", testbed.Says("kitchen", "Stop returned an error: stopped with a sigh"))
	var order []string
	for _, e := range d.Log.From(0) {
		switch e.Msg() {
		case "Start ran", "Handlers ran", "live: kitchen", "retired: kitchen", "Stop ran":
			order = append(order, e.Msg())
		}
	}
	if got, want := strings.Join(order, ", "), "Start ran, Handlers ran, live: kitchen, retired: kitchen, Stop ran"; got != want {
		t.Errorf("the order was %s, want %s", got, want)
	}
	d.WaitLog("init's output", testbed.Says("kitchen", "init ran"))
}

func TestPanics(t *testing.T) {
	d := testbed.Start(t)
	d.Put("kitchen", kitchen(t))
	before, _ := d.Handler("kitchen")
	c := d.Dial()
	defer c.Close()
	for n := range 3 {
		a, err := c.Get(fmt.Sprintf("/k/panic?n=%d", n))
		if err != nil || a.Status != 500 || a.Close {
			t.Fatalf("got %d %v, close %v", a.Status, err, a.Close)
		}
		e := d.WaitLog("the panic", testbed.Says("kitchen", fmt.Sprintf("panic in GET /k/panic: first thing %d", n)))
		if e.Get("level") != "error" || e.Get("pattern") != "/k/panic" || !strings.Contains(e.Get("stack"), "main.go:") ||
			!strings.Contains(e.Get("at"), "main.go:") {
			t.Errorf("got %s", e.Raw)
		}
	}
	a, err := c.Get("/k/panic-late")
	if err == nil || string(a.Body) != "partial" {
		t.Errorf("a panic after a part of the answer: got %d %q %v, want it cut", a.Status, a.Body, err)
	}
	d.WaitLog("the late panic", testbed.Says("kitchen", "panic in GET /k/panic-late: too late"))
	mark := d.Log.Len()
	b := d.Dial()
	defer b.Close()
	if a, err := b.Get("/k/abort"); err == nil {
		t.Errorf("http.ErrAbortHandler: got %d, want the connection cut", a.Status)
	}
	after, _ := d.Handler("kitchen")
	if after.PID != before.PID || after.Requests != 5 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	for _, e := range d.Log.From(mark) {
		if strings.Contains(e.Msg(), "panic") {
			t.Errorf("http.ErrAbortHandler was logged: %s", e.Raw)
		}
	}
}

// wander is how a request may reach a handler: on a new connection, on one
// that the handler has already, and on one that is with another handler.
var wander = []struct{ name, before string }{{"new", ""}, {"own", "/k/exact/"}, {"other's", "/calm"}, {"gate's", "/none"}}

func eachWay(t *testing.T, d *testbed.Daemon, f func(t *testing.T, c *testbed.Client)) {
	for _, way := range wander {
		t.Run(way.name, func(t *testing.T) {
			c := d.Dial()
			defer c.Close()
			if way.before != "" {
				if _, err := c.Get(way.before); err != nil {
					t.Fatal(err)
				}
			}
			f(t, c)
		})
	}
}

func TestHTTP(t *testing.T) {
	sock := filepath.Join(testbed.NewDir(t), "s")
	d := testbed.Start(t, testbed.Flags("--listen", "unix:"+sock))
	d.Put("kitchen", kitchen(t))
	d.Put("calm", plain(t, "/calm", "calm"))
	release := make(chan struct{})
	next := releaser(t, release)

	t.Run("upgrade", func(t *testing.T) {
		eachWay(t, d, func(t *testing.T, c *testbed.Client) {
			// The first line comes along with the head.
			if err := c.Send("GET /k/upgrade HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nearly\n"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(c.R, nil)
			if err != nil || resp.StatusCode != 101 {
				t.Fatalf("got %v %v", resp, err)
			}
			for _, word := range []string{"early", "late", "later"} {
				if word != "early" {
					c.Send(word + "\n")
				}
				if line, err := c.R.ReadString('\n'); line != word+"!\n" {
					t.Fatalf("got %q %v, want %s!", line, err, word)
				}
			}
		})
	})
	t.Run("stream", func(t *testing.T) {
		eachWay(t, d, func(t *testing.T, c *testbed.Client) {
			c.Send("GET /k/stream?next=" + next + " HTTP/1.1\r\nHost: h\r\n\r\n")
			resp, err := http.ReadResponse(c.R, nil)
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(resp.Body)
			for i := range 3 {
				if line, err := lines.ReadString('\n'); line != fmt.Sprintf("data: %d\n", i) {
					t.Fatalf("got %q %v", line, err)
				}
				lines.ReadString('\n')
				release <- struct{}{}
			}
			if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
				t.Errorf("got %q %v", rest, err)
			}
			if a, err := c.Get("/calm"); err != nil || a.Status != 200 {
				t.Errorf("afterwards: %d %v", a.Status, err)
			}
		})
	})
	t.Run("deadline", func(t *testing.T) {
		eachWay(t, d, func(t *testing.T, c *testbed.Client) {
			a, err := c.Do("POST /k/deadline HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf")
			if err != nil || string(a.Body) != "full duplex: <nil>; deadline: <nil>; timeout: true; write: <nil>" {
				t.Errorf("got %d %q %v", a.Status, a.Body, err)
			}
		})
	})
	t.Run("large bodies", func(t *testing.T) {
		eachWay(t, d, func(t *testing.T, c *testbed.Client) {
			const size = 24 << 20
			body := strings.Repeat("0123456789abcdef", size/16)
			a, err := c.Post("/k/sum", body)
			if want := fmt.Sprintf("%d %x <nil> ", size, sha256.Sum256([]byte(body))); err != nil || string(a.Body) != want {
				t.Errorf("up: got %q %v, want %q", a.Body, err, want)
			}
			a, err = c.Get(fmt.Sprintf("/k/big?n=%d", size))
			if err != nil || len(a.Body) != size || a.Body[size-1] != byte(0xffff*7&0xff) {
				t.Errorf("down: got %d bytes, %v", len(a.Body), err)
			}
			if a, err := c.Get("/calm"); err != nil || a.Status != 200 {
				t.Errorf("afterwards: %d %v", a.Status, err)
			}
		})
	})
	t.Run("chunked with trailer", func(t *testing.T) {
		eachWay(t, d, func(t *testing.T, c *testbed.Client) {
			a, err := c.Do("POST /k/sum HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: Checked\r\n\r\n3\r\nabc\r\n0\r\nChecked: yes\r\n\r\n")
			if want := fmt.Sprintf("3 %x <nil> yes", sha256.Sum256([]byte("abc"))); err != nil || string(a.Body) != want {
				t.Errorf("got %q %v", a.Body, err)
			}
		})
	})
	t.Run("expect continue", func(t *testing.T) {
		eachWay(t, d, func(t *testing.T, c *testbed.Client) {
			c.Send("POST /k/sum HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
			if line, err := c.R.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
				t.Fatalf("got %q %v", line, err)
			}
			c.R.ReadString('\n')
			a, err := c.Do("abc")
			if want := fmt.Sprintf("3 %x <nil> ", sha256.Sum256([]byte("abc"))); err != nil || string(a.Body) != want {
				t.Errorf("got %q %v", a.Body, err)
			}
		})
	})
	t.Run("split in bytes", func(t *testing.T) {
		eachWay(t, d, func(t *testing.T, c *testbed.Client) {
			for _, b := range []byte("POST /k/sum HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc") {
				c.Send(string(b))
			}
			a, err := c.Receive("POST")
			if want := fmt.Sprintf("3 %x <nil> ", sha256.Sum256([]byte("abc"))); err != nil || string(a.Body) != want {
				t.Errorf("got %q %v", a.Body, err)
			}
		})
	})
	t.Run("HTTP 1.0", func(t *testing.T) {
		eachWay(t, d, func(t *testing.T, c *testbed.Client) {
			for range 2 {
				a, err := c.Do("GET /k/users/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
				if err != nil || a.Close || !strings.HasPrefix(string(a.Body), "user 1 ") {
					t.Fatalf("got %d %q %v, close %v", a.Status, a.Body, err, a.Close)
				}
			}
			a, err := c.Do("GET /calm HTTP/1.0\r\n\r\n")
			if err != nil || string(a.Body) != "calm" {
				t.Fatalf("got %d %q %v", a.Status, a.Body, err)
			}
			if b, err := c.R.ReadByte(); err != io.EOF {
				t.Errorf("got %q %v, want the end", b, err)
			}
		})
	})
	t.Run("pipelining", func(t *testing.T) {
		eachWay(t, d, func(t *testing.T, c *testbed.Client) {
			for range 3 {
				const get = "GET %s HTTP/1.1\r\nHost: h\r\n\r\n"
				c.Send(fmt.Sprintf(get, "/k/users/1") + fmt.Sprintf(get, "/calm") + testbed.PostRequest("/k/sum", "abc") + fmt.Sprintf(get, "/none") +
					testbed.PostRequest("/calm", "body") + fmt.Sprintf(get, "/k/users/2") + fmt.Sprintf(get, "/k/users/3"))
				for _, want := range []string{"user 1 ", "calm", "3 ba7816bf", "404 ", "calm", "user 2 ", "user 3 "} {
					a, err := c.Receive("GET")
					if err != nil || a.Close || !strings.HasPrefix(string(a.Body), want) {
						t.Fatalf("got %d %q %v, close %v, want %q", a.Status, a.Body, err, a.Close, want)
					}
				}
			}
		})
	})
	t.Run("addresses", func(t *testing.T) {
		eachWay(t, d, func(t *testing.T, c *testbed.Client) {
			a, err := c.Get("/k/who?x=%2F;y")
			want := fmt.Sprintf("%s to %s over HTTP/1.1, tls false, uri /k/who?x=%%2F;y", c.LocalAddr(), c.RemoteAddr())
			if err != nil || string(a.Body) != want {
				t.Errorf("got %q %v, want %q", a.Body, err, want)
			}
			// The same where a pipelined request goes to another process.
			c.Send("GET /calm HTTP/1.1\r\nHost: h\r\n\r\nGET /k/who?x=%2F;y HTTP/1.1\r\nHost: h\r\n\r\n")
			c.Receive("GET")
			if a, err := c.Receive("GET"); err != nil || string(a.Body) != want {
				t.Errorf("pipelined: got %q %v, want %q", a.Body, err, want)
			}
		})
	})
	t.Run("malformed", func(t *testing.T) {
		eachWay(t, d, func(t *testing.T, c *testbed.Client) {
			a, err := c.Do("GET /calm HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
			if err != nil || a.Status != 400 {
				t.Errorf("got %d %v", a.Status, err)
			}
		})
	})
	t.Run("unix socket", func(t *testing.T) {
		c, err := testbed.Dial("unix", sock)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, path := range []string{"/k/users/1", "/calm", "/none", "/k/users/1"} {
			if a, err := c.Get(path); err != nil || a.Close {
				t.Errorf("%s: %d %v, close %v", path, a.Status, err, a.Close)
			}
		}
		if a, err := c.Get("/k/who"); err != nil || !strings.Contains(string(a.Body), "to "+sock) {
			t.Errorf("got %q %v", a.Body, err)
		}
	})
}

// releaser is a server that answers once for each value of release.
func releaser(t *testing.T, release chan struct{}) string {
	t.Helper()
	s := newHTTPServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release }))
	return s.URL
}
