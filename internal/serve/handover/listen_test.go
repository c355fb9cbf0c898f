package handover

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"
)

// options returns what is set for a connection's socket.
func options(t *testing.T, c syscall.Conn) (set [5]int) {
	t.Helper()
	sc, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = sc.Control(func(fd uintptr) {
		for i, o := range [...][2]int{
			{syscall.IPPROTO_TCP, syscall.TCP_NODELAY}, {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE}, {syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL}, {syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT},
		} {
			if set[i], err = syscall.GetsockoptInt(int(fd), o[0], o[1]); err != nil {
				set[i] = -1 // no such option
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// A connection has the addresses and the options that package net gives it.
func TestListen(t *testing.T) {
	for _, tt := range []struct{ network, address string }{
		{"tcp", "127.0.0.1:0"}, {"tcp", "[::1]:0"}, {"tcp", ":0"}, {"tcp4", "0.0.0.0:0"},
		{"unix", filepath.Join(t.TempDir(), "socket")},
	} {
		nl, err := net.Listen(tt.network, tt.address)
		if err != nil {
			t.Fatal(err)
		}
		client := func() net.Conn {
			c, err := net.Dial(tt.network, nl.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return c
		}
		client()
		want, err := nl.Accept()
		if err != nil {
			t.Fatal(err)
		}
		f, err := nl.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		l, err := Listen(f)
		if err != nil {
			t.Fatal(err)
		}
		s := NewServer(context.Background(), http.NotFoundHandler(), Limits{}, log.New(testLog{t}, "", 0))
		s.Route = func(*http.Request) Dest { return Dest{} }
		ended := make(chan error)
		go func() { ended <- s.Accept(l) }()
		c := client()
		await(t, "the client is accepted", func() bool { return s.Conns() == 1 })
		got := s.owned()[0]
		l.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if tt.network != "unix" {
			if got.remote.String() != c.LocalAddr().String() || got.localText() != c.RemoteAddr().String() {
				t.Errorf("%s: %s to %s, want %s to %s", tt.address, got.remote, got.localText(), c.LocalAddr(), c.RemoteAddr())
			}
		} else if got.remote.String() != want.RemoteAddr().String() || got.localText() != want.LocalAddr().String() {
			t.Errorf("%q to %q, want %q to %q", got.remote, got.localText(), want.RemoteAddr(), want.LocalAddr())
		}
		if a, b := reflect.TypeOf(got.local), reflect.TypeOf(want.LocalAddr()); a != b {
			t.Errorf("%s: the address is a %v, want %v", tt.address, a, b)
		}
		if a, b := options(t, got.raw.(syscall.Conn)), options(t, want.(syscall.Conn)); a != b {
			t.Errorf("%s: options %v, want %v", tt.address, a, b)
		}
		nl.Close()
		want.Close()
		got.drop()
	}
}
