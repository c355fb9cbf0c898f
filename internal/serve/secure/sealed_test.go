package secure

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/serve/tls13"
	"github.com/andrestc/go-plugserver/internal/serve/tlskeys"
)

// sealedOf goes on with a connection that was given.
func sealedOf(fd int, keys *tlskeys.Keys) (*tls13.Conn, error) {
	f := os.NewFile(uintptr(fd), "sealed")
	defer f.Close()
	nc, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return tls13.New(nc.(tls13.Transport), tls13.Begin(keys))
}

// newSealedWorld is a world whose connections of TLS 1.3 are given with their keys.
func newSealedWorld(t *testing.T, cfg *link.TLS, h2 func(*tls.Conn)) (w *world, sealed chan *tls13.Conn) {
	t.Helper()
	w, sealed = newWorld(t, wait, cfg), make(chan *tls13.Conn, 9)
	w.cfg.HTTP2 = h2
	w.cfg.GiveSealed = func(fd int, _, _ net.Addr, _ *tls.ConnectionState, _ string, keys *tlskeys.Keys) {
		c, err := sealedOf(fd, keys)
		if err != nil {
			t.Error(err)
			return
		}
		c.SetDeadline(time.Now().Add(wait))
		sealed <- c
	}
	if err := w.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	return w, sealed
}

// A connection of TLS 1.3 and HTTP/1.1 is given with its keys, and takes one descriptor,
// the one that it is given by; all others are relayed, or are HTTP/2's.
func TestGiveSealed(t *testing.T) {
	streams := make(chan *tls.Conn, 9)
	w, sealed := newSealedWorld(t, &link.TLS{Pairs: []link.Pair{pairOf(t, "a.example")}}, func(c *tls.Conn) { c.Close(); streams <- c })
	ours := func() {
		t.Helper()
		for _, protocols := range [][]string{nil, {"http/1.1"}} {
			c := w.dial(t, &tls.Config{NextProtos: protocols})
			s := <-sealed
			for end := time.Now().Add(wait); w.uses.Load() != 0; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d descriptors beside its own", w.uses.Load())
				}
			}
			go io.WriteString(c, "ask")
			if b := make([]byte, 3); !fills(s, b) || string(b) != "ask" {
				t.Errorf("up: %q", b)
			}
			io.WriteString(s, "answer")
			s.Close()
			if got, err := io.ReadAll(c); string(got) != "answer" || err != nil {
				t.Errorf("down: %q, %v", got, err)
			}
		}
	}
	ours()
	w.dial(t, &tls.Config{NextProtos: []string{"h2", "http/1.1"}})
	<-streams
	c := w.dial(t, &tls.Config{MaxVersion: tls.VersionTLS12})
	p := <-w.given
	io.WriteString(p, "x")
	p.Close()
	if got, err := io.ReadAll(c); string(got) != "x" || err != nil {
		t.Errorf("relayed: %q, %v", got, err)
	}
	ours()
	if len(w.given)+len(sealed)+len(streams) > 0 {
		t.Error("a connection is given twice")
	}
}

func fills(r io.Reader, b []byte) bool { _, err := io.ReadFull(r, b); return err == nil }

// At the end the handshakes that are under way are waited for, and what comes out of one
// later is closed, and given to nobody.
func TestShaken(t *testing.T) {
	w, sealed := newSealedWorld(t, &link.TLS{Pairs: []link.Pair{pairOf(t, "a.example")}}, nil)
	dial := func() *tls.Conn {
		nc, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(wait))
		for end := time.Now().Add(wait); !w.shaking(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nobody shakes hands")
			}
		}
		return tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	c, shaken := dial(), make(chan struct{})
	go func() { w.Shaken(context.Background()); close(shaken) }()
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	<-shaken
	(<-sealed).Close()
	c = dial()
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the end is %v", err)
	}
	if len(sealed) > 0 {
		t.Error("the connection is given to be served")
	}
}
