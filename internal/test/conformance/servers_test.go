package conformance

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

var reloadsFlag = flag.Int("reloads", 3, "during how many reloads, one a second, TestHTTP1 plays its cases")

func TestMain(m *testing.M) {
	code := m.Run()
	testbed.CleanUp()
	os.Exit(code)
}

// source answers with the body, or says Hello; serve is the same, here.
const source = `package main

import (
	"io"
	"net/http"
)

var version = "VERSION:................................"

func Handler() (string, http.HandlerFunc) { return "/", serve }

func serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Version", version)
	body, err := io.ReadAll(r.Body)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case len(body) > 0:
		w.Write(body)
	default:
		io.WriteString(w, "Hello")
	}
}
`

const version = "VERSION:................................"

func serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Version", version)
	body, err := io.ReadAll(r.Body)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case len(body) > 0:
		w.Write(body)
	default:
		io.WriteString(w, "Hello")
	}
}

// target is one address of a server.
type target struct {
	name, addr string
	secure     *tls.Config // nil in the clear
}

func (g target) dial() (net.Conn, error) {
	d := &net.Dialer{Timeout: testbed.AnswerWait}
	if g.secure == nil {
		return d.Dial("tcp", g.addr)
	}
	return tls.DialWithDialer(d, "tcp", g.addr, g.secure)
}

// daemon starts a daemon, whose handler is replaced once a second where reloads is set.
func daemon(t *testing.T, name string, reloads bool) (clear, secure target, s *testbed.Secure) {
	t.Helper()
	s = testbed.StartSecure(t, testbed.NewDir(t), nil, testbed.Flags("--http2=all"))
	p := testbed.Go(source).Build(t)
	s.Put("root", p)
	if reloads {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for n := 0; ctx.Err() == nil; n++ {
				s.Drop("root", p.Patched(t, version, fmt.Sprintf("VERSION:%d", n)))
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		}()
		t.Cleanup(func() { cancel(); <-done })
	}
	return target{name, s.Addr, nil}, target{name + ", over TLS", s.Secure, s.Config}, s
}

// bare starts a plain net/http server with the certificate of s. In the clear it has HTTP/2
// only where that is asked: it waits for 24 bytes then, whatever those that came say.
func bare(t *testing.T, s *testbed.Secure, clearHTTP2 bool) (clear, secure target) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(s.Dir, "server.pem"), filepath.Join(s.Dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	addrs := make([]string, 2)
	for i := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addrs[i] = l.Addr().String()
		srv := &http.Server{Handler: http.HandlerFunc(serve), Protocols: new(http.Protocols)}
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetHTTP2(true)
		srv.Protocols.SetUnencryptedHTTP2(clearHTTP2)
		if i == 0 {
			go srv.Serve(l)
		} else {
			srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}}
			go srv.ServeTLS(l, "", "")
		}
		t.Cleanup(func() { srv.Close() })
	}
	return target{"net/http", addrs[0], nil}, target{"net/http, over TLS", addrs[1], s.Config}
}
