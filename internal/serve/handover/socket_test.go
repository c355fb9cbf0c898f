package handover

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// newSocket returns a socket, and its client's side.
func newSocket(t *testing.T) (*socket, net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[1]), "client")
	defer f.Close()
	client, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	s := &socket{fd: fds[0], remote: addr{"unix", "client"}, local: addr{"unix", "server"}}
	t.Cleanup(func() { s.Close(); client.Close() })
	return s, client
}

// What net/http and the Conn expect of a connection holds before somebody had to
// wait for a socket, and after.
func TestSocket(t *testing.T) {
	for _, waited := range []bool{false, true} {
		s, client := newSocket(t)
		if waited {
			if _, err := s.waiting(); err != nil {
				t.Fatal(err)
			}
		}
		s.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err := s.Read(make([]byte, 1))
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%t: read beyond the deadline: %v", waited, err)
		}
		s.SetReadDeadline(time.Time{})

		// More than the socket takes at once.
		large := make([]byte, 8<<20)
		got := make(chan int)
		go func() {
			n, _ := io.Copy(io.Discard, client)
			got <- int(n)
		}()
		if n, err := s.Write(large); n != len(large) || err != nil {
			t.Errorf("%t: write: %d, %v", waited, n, err)
		}
		s.CloseWrite()
		if n := <-got; n != len(large) {
			t.Errorf("%t: %d bytes came", waited, n)
		}
		client.(*net.UnixConn).CloseWrite()
		if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("%t: the client's end: %d, %v", waited, n, err)
		}
		s.Close()
		for what, f := range map[string]func() error{
			"read":        func() error { _, err := s.Read(make([]byte, 1)); return err },
			"write":       func() error { _, err := s.Write([]byte("x")); return err },
			"deadline":    func() error { return s.SetReadDeadline(time.Time{}) },
			"close":       s.Close,
			"close write": s.CloseWrite,
			"control":     func() error { return rawSocket{s}.Control(func(uintptr) {}) },
		} {
			if err := f(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%t: %s of a closed socket: %v", waited, what, err)
			}
		}
	}
}

// Close ends who waits, and leaves the descriptor to who uses it.
func TestSocketClosed(t *testing.T) {
	s, client := newSocket(t)
	read := make(chan error)
	go func() { _, err := s.Read(make([]byte, 1)); read <- err }()
	await(t, "somebody waits", s.isWaited)
	err := rawSocket{s}.Control(func(fd uintptr) {
		s.Close()
		if _, err := syscall.Write(int(fd), []byte("x")); err != nil {
			t.Errorf("the descriptor is in use: %v", err)
		}
	})
	if err != nil {
		t.Error(err)
	}
	if err := <-read; err == nil {
		t.Error("read: no error")
	}
	if b, err := io.ReadAll(client); string(b) != "x" || err != nil {
		t.Errorf("the client got %q, %v", b, err)
	}
}
