package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
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

// So it is over TLS, in each of the ways in which such a connection is served.
func TestProxiedTLS(t *testing.T) {
	s := testbed.StartSecure(t, testbed.NewDir(t), nil, testbed.Flags("--listen", "tls:proxy:127.0.0.1:0"))
	s.Put("who", whoAsks.Build(t))
	listeners := s.Status().Daemon.Listeners
	addr, ok := strings.CutPrefix(listeners[len(listeners)-1], "tls:proxy:")
	if !ok {
		t.Fatal(listeners)
	}
	for _, tt := range []struct {
		name    string
		version uint16
		http2   bool
	}{{"sealed", tls.VersionTLS13, false}, {"relayed", tls.VersionTLS12, false}, {"HTTP/2", tls.VersionTLS13, true}, {"HTTP/2 over TLS 1.2", tls.VersionTLS12, true}} {
		by := &http.Transport{TLSClientConfig: s.Config.Clone(), Protocols: new(http.Protocols)}
		by.TLSClientConfig.MaxVersion = tt.version
		by.Protocols.SetHTTP1(!tt.http2)
		by.Protocols.SetHTTP2(tt.http2)
		by.DialContext = func(_ context.Context, network, addr string) (net.Conn, error) {
			c, err := net.Dial(network, addr)
			if err == nil {
				_, err = io.WriteString(c, "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n")
			}
			return c, err
		}
		for range 3 {
			resp, err := (&http.Client{Transport: by}).Get("https://" + addr + "/who")
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			told, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := "192.0.2.1:4711 to 192.0.2.2:443"; err != nil || string(told) != want || (resp.ProtoMajor == 2) != tt.http2 {
				t.Errorf("%s: %s %q, %v, want %q", tt.name, resp.Proto, told, err, want)
			}
		}
		by.CloseIdleConnections()
	}
}
