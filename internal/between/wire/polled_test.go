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

// What there is no room for is left to Deliver, in order; and what is posted
// meanwhile, to the same.
func TestDeliverNow(t *testing.T) {
	a, b := pair(t)
	const n, size = 40, 20 << 10
	body := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, size) }
	for i := range n {
		if deliver, err := a.AppendNow('x', body(i)); err != nil || deliver != (i == 0) {
			t.Fatalf("frame %d: deliver is %t, %v", i, deliver, err)
		}
	}
	if all, err := a.DeliverNow(); all || err != nil {
		t.Fatalf("all: %t, %v; that is more than the socket takes", all, err)
	}
	if deliver, err := a.AppendNow('x', body(n)); err != nil || deliver {
		t.Fatalf("deliver is %t, %v; the first is to do it", deliver, err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Deliver() }()
	for i := range n + 1 {
		f, err := b.Recv()
		if err != nil || !bytes.Equal(f.Body, body(i)) {
			t.Fatalf("frame %d: %d bytes, %v", i, len(f.Body), err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if deliver, err := a.Append('x', nil); err != nil || !deliver {
		t.Fatalf("deliver is %t, %v; nobody else does it", deliver, err)
	}
	if all, err := a.DeliverNow(); !all || err != nil {
		t.Fatalf("all: %t, %v", all, err)
	}
	if f, err := b.Recv(); err != nil || len(f.Body) != 0 {
		t.Fatalf("%d bytes, %v", len(f.Body), err)
	}
}

// While another goroutine writes, it is left to Deliver; and an error is every later
// one's.
func TestDeliverNowFails(t *testing.T) {
	a, b := pair(t)
	a.Append('x', nil)
	a.out.Lock()
	if all, err := a.DeliverNow(); all || err != nil {
		t.Errorf("all: %t, %v, while another goroutine writes", all, err)
	}
	a.out.Unlock()
	b.Close()
	if _, err := a.DeliverNow(); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("%v, want EPIPE", err)
	}
	if _, err := a.AppendNow('x', nil); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("then %v, want EPIPE", err)
	}
}
