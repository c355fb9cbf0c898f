package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

var whoAsks = testbed.Go(`package main

import (
	"fmt"
	"net/http"
)

var slot = "PATTERN:................................"

func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	pattern := "/who"
	if slot[8] != '.' {
		pattern = "/else"
	}
	return pattern, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s to %v", r.RemoteAddr, r.Context().Value(http.LocalAddrContextKey))
	}
}

func main() {}
`)

// Handlers and the log see the client, not its proxy: by the PROXY protocol, also where it
// comes in pieces and where the connection goes from handler to handler, and by a
// trusted proxy's field. Without the protocol nobody is served on a socket for it.
func TestProxied(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	d := testbed.Start(t, testbed.Flags("--listen", "proxy:127.0.0.1:0", "--access-log", file, "--trusted-proxies", "127.0.0.0/8,198.51.100.7"))
	d.Put("who", whoAsks.Build(t))
	d.Put("else", whoAsks.Build(t).Patched(t, "PATTERN:................................", "PATTERN:x"))
	ready := d.WaitLog("ready", func(e testbed.Entry) bool { return e.Msg() == "ready" })
	addr, ok := strings.CutPrefix(fmt.Sprint(ready.Fields["listen"].([]any)[1]), "proxy:")
	if !ok {
		t.Fatal(ready.Raw)
	}
	for _, tt := range []struct{ header, want string }{
		{"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n", "192.0.2.1:4711 to 192.0.2.2:80"},
		{"PROXY UNKNOWN\r\n", "127.0.0.1:"},
		{"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x12\x67\x00\x50", "192.0.2.1:4711 to 192.0.2.2:80"},
	} {
		for _, size := range []int{1, 1 << 10} {
			c, err := testbed.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			all := tt.header + "GET /who HTTP/1.1\r\nHost: x\r\n\r\n"
			for len(all) > 0 {
				n := min(size, len(all))
				if err := c.Send(all[:n]); err != nil {
					t.Fatal(err)
				}
				all = all[n:]
			}
			for _, path := range []string{"", "/else", "/who", "/else"} {
				if path != "" {
					c.Send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
				}
				if a, err := c.Receive("GET"); err != nil || !strings.HasPrefix(string(a.Body), tt.want) {
					t.Errorf("%q, %s: %q, %v", tt.header, path, a.Body, err)
				}
			}
			c.Close()
		}
	}
	for _, without := range []string{"GET /who HTTP/1.1\r\nHost: x\r\n\r\n", "", "PROXY TCP4 1"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, without)
		c.(*net.TCPConn).CloseWrite()
		began := time.Now()
		if b, _ := io.ReadAll(c); len(b) > 0 || time.Since(began) > 8*time.Second { // --header-timeout is 10 s
			t.Errorf("%q is answered %q, after %v", without, b, time.Since(began))
		}
		c.Close()
	}
	ask := d.Dial()
	defer ask.Close()
	for _, tt := range []struct{ path, want string }{{"/who", "203.0.113.9:0 to "}, {"/nowhere", "404"}} {
		if a, err := ask.Do("GET " + tt.path + " HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.9, 198.51.100.7\r\nForwarded: for=6.6.6.6\r\n\r\n"); err != nil || !strings.HasPrefix(string(a.Body), tt.want) {
			t.Errorf("%s: %q, %v", tt.path, a.Body, err)
		}
	}
	for end := time.Now().Add(testbed.Patience); ; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), "203.0.113.9 - - ") == 2 && strings.Count(string(text), "192.0.2.1 - - ") == 16 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%s", text)
		}
	}
}
