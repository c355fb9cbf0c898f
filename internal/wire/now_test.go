package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
)

// A write that does not wait takes what there is room for; one that waits goes on
// where that has ended.
func TestPolledWrite(t *testing.T) {
	a, b := pair(t)
	s := a.uc.(*polled)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	n, err := s.writeNow(sent)
	if n == 0 || n == len(sent) || err != nil {
		t.Fatalf("%d of %d bytes, %v", n, len(sent), err)
	}
	if n, err := s.writeNow(sent); n != 0 || err != nil {
		t.Fatalf("%d bytes into a full socket, %v", n, err)
	}
	written := make(chan error, 1)
	go func() {
		k, err := s.Write(sent[n:])
		if err == nil && k != len(sent)-n {
			err = io.ErrShortWrite
		}
		s.CloseWrite()
		written <- err
	}()
	var got []byte
	for p := make([]byte, 1<<16); ; {
		n, _, _, _, err := b.uc.ReadMsgUnix(p, nil)
		got = append(got, p[:n]...)
		if err != nil {
			break
		}
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came, want %d", len(got), len(sent))
	}
}

// A write to nobody fails, and one that waits ends with the socket.
func TestPolledWriteFails(t *testing.T) {
	a, b := pair(t)
	s := a.uc.(*polled)
	for n := 1; n > 0; {
		n, _ = s.writeNow(make([]byte, 1<<16))
	}
	ended := make(chan error, 1)
	go func() {
		_, err := s.Write(make([]byte, 1<<16))
		ended <- err
	}()
	b.Close()
	if err := <-ended; !errors.Is(err, syscall.EPIPE) {
		t.Errorf("%v, want EPIPE", err)
	}
	a.Close()
	if _, err := s.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, want %v", err, net.ErrClosed)
	}
}
