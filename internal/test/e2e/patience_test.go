package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
	"golang.org/x/net/http2"
)

// endlessSource answers without end, or at once.
const endlessSource = `package main

import "net/http"

func Handlers() map[string]http.Handler {
	return map[string]http.Handler{
		"/endless/now": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}),
		"/endless": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var err error
			for p := make([]byte, 64<<10); err == nil; {
				_, err = w.Write(p)
			}
			println("the write fails")
		}),
	}
}
`

// A client's patience is the same wherever its connection is: in the gate, in a cell,
// over TLS, with HTTP/2.
func TestPatience(t *testing.T) {
	const header, idle, write = time.Second, 2 * time.Second, time.Second
	s := testbed.StartSecure(t, testbed.NewDir(t), nil, testbed.Flags("--http2=all",
		"--header-timeout", header.String(), "--idle-timeout", idle.String(), "--write-timeout", write.String()))
	s.Put("endless", testbed.Go(endlessSource).Build(t))
	const get = "GET /endless/now HTTP/1.1\r\nHost: e2e.example\r\n\r\n"
	secure := func(protocol string) func() (net.Conn, error) {
		cfg := s.Config.Clone()
		cfg.NextProtos = []string{protocol}
		return func() (net.Conn, error) { return tls.Dial("tcp", s.Secure, cfg) }
	}
	clear := func() (net.Conn, error) { return net.Dial("tcp", s.Addr) }
	var all sync.WaitGroup
	for name, tt := range map[string]struct {
		dial  func() (net.Conn, error)
		asks  int    // requests before
		say   string // behind them
		limit time.Duration
	}{
		"nothing, in the gate":              {clear, 0, "", header},
		"part of a head, in the gate":       {clear, 0, "GET ", header},
		"idle, in a cell":                   {clear, 9, "", idle},
		"part of a head, in a cell":         {clear, 9, "GET / HT", header},
		"no handshake":                      {func() (net.Conn, error) { return net.Dial("tcp", s.Secure) }, 0, "", header},
		"nothing, over TLS":                 {secure("http/1.1"), 0, "", header},
		"part of a head, over TLS":          {secure("http/1.1"), 0, "GET ", header},
		"idle, over TLS, in a cell":         {secure("http/1.1"), 9, "", idle},
		"part of a head, over TLS, in cell": {secure("http/1.1"), 9, "GET / HT", header},
		"HTTP/2":                            {clear, 0, http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00", idle},
		"HTTP/2, over TLS":                  {secure("h2"), 0, http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00", idle},
		"part of a frame of HTTP/2":         {clear, 0, http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00", idle},
	} {
		all.Go(func() {
			nc, err := tt.dial()
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			defer nc.Close()
			c := &testbed.Client{Conn: nc, R: bufio.NewReader(nc)}
			for range tt.asks {
				if a, err := c.Do(get); err != nil || a.Status != 200 {
					t.Errorf("%s: %d, %v", name, a.Status, err)
					return
				}
			}
			io.WriteString(nc, tt.say)
			began := time.Now()
			nc.SetReadDeadline(began.Add(testbed.Patience))
			_, err = io.Copy(io.Discard, c.R)
			if took := time.Since(began); errors.Is(err, os.ErrDeadlineExceeded) || took < tt.limit/2 {
				t.Errorf("%s: %v after %v, want its end after %v", name, err, took, tt.limit)
			}
		})
	}
	mark := s.Log.Len()
	for name, dial := range map[string]func() (net.Conn, error){"clear": clear, "TLS": secure("http/1.1")} {
		nc, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		io.WriteString(nc, "GET /endless HTTP/1.1\r\nHost: e2e.example\r\n\r\n")
		s.WaitLogFrom(mark, name+": the handler's write fails", func(e testbed.Entry) bool { return strings.Contains(e.Raw, "the write fails") })
		mark = s.Log.Len()
	}
	all.Wait()
}
