package e2e

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
	"golang.org/x/net/http2"
)

// All connections count, whatever is spoken on them and wherever they are, those too that
// outlive the gate; who is beyond their number waits, and is served then.
func TestMaxConnections(t *testing.T) {
	s := testbed.StartSecure(t, testbed.NewDir(t), nil, testbed.Flags("--http2=all", "--max-connections=6"),
		testbed.Allow("gate died", "as many as --max-connections allows"))
	s.Put("calm", plain(t, "/calm", "calm"))
	const get = "GET /calm HTTP/1.1\r\nHost: e2e.example\r\n\r\n"
	answered := func(what string, c *testbed.Client, times int) *testbed.Client {
		t.Helper()
		for range times {
			if a, err := c.Do(get); err != nil || a.Status != 200 {
				t.Fatalf("%s: %d, %v", what, a.Status, err)
			}
		}
		return c
	}
	waits := func(what string) *testbed.Client {
		t.Helper()
		c := s.Dial()
		t.Cleanup(func() { c.Close() })
		io.WriteString(c.Conn, get)
		c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := c.R.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%s: one too many is not kept waiting: %v", what, err)
		}
		return c
	}
	served := func(what string, c *testbed.Client) {
		t.Helper()
		if a, err := c.Receive("GET"); err != nil || a.Status != 200 {
			t.Fatalf("%s: who has waited gets %d, %v", what, a.Status, err)
		}
	}

	first, second := answered("in a cell", s.Dial(), 10), answered("in a cell", s.Dial(), 10)
	secure, err := s.DialTLS(nil)
	if err != nil {
		t.Fatal(err)
	}
	answered("over TLS, in a cell", secure, 10)
	handshake, err := net.Dial("tcp", s.Secure)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.Config.Clone()
	cfg.NextProtos = []string{"h2"}
	h2, err := tls.Dial("tcp", s.Secure, cfg)
	if err != nil {
		t.Fatal(err)
	}
	h2c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{h2, h2c} {
		fr := http2.NewFramer(c, c)
		io.WriteString(c, http2.ClientPreface)
		fr.WriteSettings()
		if _, err := fr.ReadFrame(); err != nil { // it is served
			t.Fatal(err)
		}
	}
	var rest []*testbed.Client
	for _, tt := range []struct {
		what string
		end  func() error
	}{{"a TLS connection", secure.Close}, {"a handshake", handshake.Close}, {"HTTP/2 over TLS", h2.Close}, {"HTTP/2", h2c.Close}} {
		c := waits(tt.what)
		tt.end()
		served(tt.what, c)
		defer c.Close()
		rest = append(rest, c)
	}

	for _, c := range rest[1:] {
		c.Close() // or it may die with the gate, or not
	}
	answered("in a cell", rest[0], 10)
	gate := s.Status().Daemon.GatePID
	if err := syscall.Kill(gate, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := testbed.AwaitDeath(gate, testbed.Patience); err != nil {
		t.Fatal(err)
	}
	var more []*testbed.Client
	for range 3 {
		c := s.Dial()
		defer c.Close()
		more = append(more, c)
	}
	for _, c := range more {
		answered("after the gate's end", c, 10)
	}
	c := waits("after the gate's end")
	answered("in a cell, through the gate's end", second, 1)
	first.Close()
	served("after the gate's end", c)
}
