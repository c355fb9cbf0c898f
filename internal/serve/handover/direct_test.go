package handover

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/direct"
)

// A cell answers a client without the runtime being told.
func TestDirect(t *testing.T) {
	s := NewServer(context.Background(), nil, Limits{}, log.New(testLog{t}, "", 0))
	mux := helloMux()
	s.Mux = func() Mux { return mux }
	ask := asker(t, listening(t, s), helloRequest, helloSize)
	ask()
	for _, c := range s.owned() {
		if c.out.Load() == nil {
			t.Error("package net has written the answer")
		}
	}
}

// So it does where the client's connection came over TLS: what it has then is the plain end
// of a socket pair.
func TestDirectOverTLS(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	gate := os.NewFile(uintptr(fds[0]), "gate")
	defer gate.Close()
	s := NewServer(context.Background(), hello, Limits{}, nil)
	nc, err := s.open(fds[1], addr{"tcp", "a"}, addr{"tcp", "b"}, new(tls.ConnectionState), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := s.newConn(nc, nc.RemoteAddr(), nc.LocalAddr())
	if gate.WriteString("ask"); c.fill() != nil || string(c.pending()) != "ask" {
		t.Fatalf("%q was read", c.pending())
	}
	if _, err := c.writeSocket([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if n, err := gate.Read(b); err != nil || string(b[:n]) != "answer" {
		t.Fatalf("%q, %v", b[:n], err)
	}
	if c.in == nil || c.out.Load() == nil {
		t.Error("package net has read or written")
	}
}

// What ends a call is told in net's words.
func TestDirectErrors(t *testing.T) {
	for _, end := range []string{"reset", "closed", "ended", "late"} {
		for _, how := range []string{"read", "ahead", "write"} {
			nc, client := tcpPair(t)
			s := NewServer(context.Background(), hello, Limits{}, nil)
			w := &wholeConn{Conn: s.newConn(nc, nc.RemoteAddr(), nc.LocalAddr())}
			past := time.Now().Add(-time.Second)
			switch end {
			case "reset":
				client.SetLinger(0)
				client.Close()
				await(t, "the reset", func() bool { return isReset(nc) })
			case "closed":
				nc.Close()
			case "ended":
				if client.Close(); how == "write" {
					continue // the first write may succeed
				}
			case "late":
				nc.SetDeadline(past)
			}
			b := make([]byte, 1)
			var err, want error
			switch how {
			case "read":
				_, err = w.readSocket(b)
				_, want = nc.Read(b)
			case "ahead":
				_, err = w.readAhead(w.reader(), b, 10)
				_, want = nc.Read(b)
			case "write":
				_, err = w.writeSocket(b)
				_, want = nc.Write(b)
			}
			if end == "reset" { // it is told once
				want = errors.New("read tcp 127.0.0.1:1->127.0.0.1:1: read: connection reset by peer")
				if how == "write" {
					want = errors.New("write tcp 127.0.0.1:1->127.0.0.1:1: write: connection reset by peer")
				}
			}
			got := anyPort.ReplaceAllString(fmt.Sprint(err), "127.0.0.1:1")
			if wanted := anyPort.ReplaceAllString(want.Error(), "127.0.0.1:1"); got != wanted {
				t.Errorf("%s, %s: %s, want %s", end, how, got, wanted)
			}
		}
	}
}

// A write that the client does not take at once goes on when it does, and ends at
// the deadline with what it took.
func TestDirectWrite(t *testing.T) {
	nc, client := tcpPair(t)
	out := newDirect(nc, true)
	sent := randomBytes(direct.Most)
	n, total := len(sent), 0
	for n == len(sent) { // until nothing more goes
		nc.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		var err error
		if n, err = out.Write(sent); err != nil && !isTimeout(err) {
			t.Fatal(err)
		}
		total += n
	}
	nc.SetWriteDeadline(time.Time{})
	done := make(chan error, 1)
	go func() {
		k, err := out.Write(sent[n:])
		if total += k; err == nil && k != len(sent)-n {
			err = io.ErrShortWrite
		}
		nc.CloseWrite()
		done <- err
	}()
	got, err := io.ReadAll(client)
	if err != nil || <-done != nil || len(got) != total {
		t.Fatalf("%d bytes of %d, %v", len(got), total, err)
	}
	for i, b := range got {
		if b != sent[i%len(sent)] {
			t.Fatalf("byte %d is wrong", i)
		}
	}
}

// isReset reports whether the client's reset has come.
func isReset(nc *net.TCPConn) bool {
	const tcpClose = 7 // the kernel's tcp_states.h
	state := 0
	raw, _ := nc.SyscallConn()
	raw.Control(func(fd uintptr) {
		info, _ := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO)
		state = info & 0xff
	})
	return state == tcpClose
}
