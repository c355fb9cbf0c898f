package handover

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"
)

// prefaceServer is a process that accepts; with a taker, HTTP/2 goes there.
func prefaceServer(t *testing.T, taker func(net.Conn)) (address string) {
	t.Helper()
	s := NewServer(context.Background(), http.NotFoundHandler(), Limits{}, log.New(testLog{t}, "", 0))
	s.Route = func(r *http.Request) Dest { return Dest{Handler: http.NotFoundHandler()} }
	s.HTTP2 = taker
	return listening(t, s)
}

// A connection that begins with HTTP/2's preface, in whatever segments, goes with every
// byte to who serves HTTP/2; and counts until that closes it.
func TestPreface(t *testing.T) {
	got := make(chan string)
	address := prefaceServer(t, func(nc net.Conn) {
		b, _ := io.ReadAll(nc)
		nc.Close()
		got <- string(b)
	})
	want := string(preface) + "frames"
	for _, n := range []int{1, 5, 14, 23, 24, len(want)} {
		c := dial(t, address)
		for rest := want; rest != ""; {
			k := min(n, len(rest))
			c.write(rest[:k])
			rest = rest[k:]
		}
		c.conn.(*net.TCPConn).CloseWrite()
		if b := <-got; b != want {
			t.Errorf("in pieces of %d: %q", n, b)
		}
	}
}

// What is no whole preface, or does not come first, gets the bytes that it gets where
// HTTP/2 is off.
func TestNoPreface(t *testing.T) {
	off, on := prefaceServer(t, nil), prefaceServer(t, func(nc net.Conn) {
		t.Error("taken for HTTP/2")
		nc.Close()
	})
	for _, text := range []string{
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\rx", "PRI * HTTP/2.0\r\n\r\n", "PRI * HTTP/2.0\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\n\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + string(preface),
	} {
		var answers [2]string
		for i, address := range []string{off, on} {
			c := dial(t, address)
			c.write(text)
			c.conn.(*net.TCPConn).CloseWrite()
			c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			b, err := io.ReadAll(c.conn)
			if err != nil {
				t.Errorf("%q: %v", text, err)
			}
			answers[i] = anyDate.ReplaceAllString(string(b), "")
		}
		if answers[0] != answers[1] {
			t.Errorf("%q:\n off %q\n on  %q", text, answers[0], answers[1])
		}
	}
}
