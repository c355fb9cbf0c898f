package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// pair returns two ends, one in the runtime's poller and one that waits.
func pair(t testing.TB) (a, b *Conn) {
	t.Helper()
	fa, fb, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	if a, err = FromFile(fa); err != nil {
		t.Fatal(err)
	}
	if b, err = Waiting(fb); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// pipeWith returns the read end of a pipe that holds text.
func pipeWith(t testing.TB, text string) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, text)
	w.Close()
	t.Cleanup(func() { r.Close() })
	return r
}

// Frames with and without descriptors, small and larger than any socket
// buffer, from many senders: each arrives whole with its own descriptor.
func TestFramesKeepTheirDescriptors(t *testing.T) {
	a, b := pair(t)
	const senders, each = 8, 40
	var wg sync.WaitGroup
	for s := range senders {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range each {
				name := fmt.Sprintf("%d/%d", s, i)
				body := name + strings.Repeat(".", i*i*20)
				var err error
				if i%3 == 0 {
					err = a.Send('n', nil, []byte(body))
				} else {
					r := pipeWith(t, name)
					err = a.Send('f', []int{int(r.Fd())}, []byte(name), []byte(body[len(name):]))
				}
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	go func() { wg.Wait(); a.CloseWrite() }()
	got := 0
	for {
		f, err := b.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got++
		name := strings.TrimRight(string(f.Body), ".")
		if (f.Kind == 'f') != (len(f.FDs) == 1) {
			t.Fatalf("frame %q of kind %q has %d descriptors", name, f.Kind, len(f.FDs))
		}
		for _, fd := range f.FDs {
			file := os.NewFile(uintptr(fd), "received")
			text, _ := io.ReadAll(file)
			file.Close()
			if string(text) != name {
				t.Fatalf("frame %q came with the descriptor of %q", name, text)
			}
		}
	}
	wg.Wait()
	if got != senders*each {
		t.Fatalf("received %d frames, want %d", got, senders*each)
	}
}

func TestLargestFrame(t *testing.T) {
	a, b := pair(t)
	body := bytes.Repeat([]byte("x"), MaxBody)
	go a.Send('x', nil, body)
	f, err := b.Recv()
	if err != nil || !bytes.Equal(f.Body, body) {
		t.Fatalf("received %d bytes, %v", len(f.Body), err)
	}
	if err := a.Send('x', nil, body, []byte("y")); err == nil {
		t.Fatal("a body over the bound was sent")
	}
}

func TestStreamThatEndsInsideAFrame(t *testing.T) {
	fa, fb, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	b, err := FromFile(fb)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	fa.Write([]byte{0, 0, 0, 9, 'x', 0, magic >> 8, magic & 255, 'a'})
	fa.Close()
	if _, err := b.Recv(); err != io.ErrUnexpectedEOF {
		t.Fatalf("err = %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

// A process at its descriptor limit loses the descriptor, learns it, and gets
// the frames after it with theirs.
func TestDescriptorsLostAtTheLimit(t *testing.T) {
	a, b := pair(t)
	r1, r2 := pipeWith(t, "first"), pipeWith(t, "second")
	a.Send('f', []int{int(r1.Fd())}, []byte("first"))

	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	probe, err := syscall.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Close(probe)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(probe), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	f, err := b.Recv()
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was)
	if !errors.Is(err, ErrFDsLost) || string(f.Body) != "first" {
		t.Fatalf("frame %q, %v; want %v", f.Body, err, ErrFDsLost)
	}
	a.Send('f', []int{int(r2.Fd())}, []byte("second"))
	f, err = b.Recv()
	if err != nil || string(f.Body) != "second" || len(f.FDs) != 1 {
		t.Fatalf("frame %q with %d descriptors, %v", f.Body, len(f.FDs), err)
	}
	syscall.Close(f.FDs[0])
}

func FuzzRecv(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 'x', 0, magic >> 8, magic & 255, 'a'})
	f.Add([]byte{0, 0, 0, 1, 'x', 3, magic >> 8, magic & 255, 'a'})
	f.Add([]byte{255, 255, 255, 255, 'x', 0, magic >> 8, magic & 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		fa, fb, err := Pair()
		if err != nil {
			t.Fatal(err)
		}
		nc, err := net.FileConn(fa)
		fa.Close()
		if err != nil {
			t.Fatal(err)
		}
		b, err := FromFile(fb)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		go func() { nc.Write(data); nc.Close() }()
		total := 0
		for {
			fr, err := b.Recv()
			if errors.Is(err, ErrFDsLost) {
				continue
			}
			if err != nil {
				return
			}
			if total += headerLen + len(fr.Body); total > len(data) {
				t.Fatalf("%d bytes received of %d sent", total, len(data))
			}
		}
	})
}

// stutter writes a few bytes at a time, and fails in between.
type stutter struct {
	bytes.Buffer
	errs []error
}

func (s *stutter) Write(b []byte) (int, error) {
	if len(s.errs) == 0 {
		return s.Buffer.Write(b)
	}
	err := s.errs[0]
	s.errs = s.errs[1:]
	n, _ := s.Buffer.Write(b[:min(2, len(b))])
	return n, err
}

// A frame that has begun ends, though memory runs out in the middle of it.
func TestFrameGoesOn(t *testing.T) {
	s := &stutter{errs: []error{syscall.ENOBUFS, os.NewSyscallError("write", syscall.ENOMEM), syscall.ENOBUFS}}
	if err := writeAll(s, []byte("the rest of it")); err != nil || s.String() != "the rest of it" {
		t.Errorf("wrote %q, %v", s, err)
	}
	s = &stutter{errs: []error{syscall.EPIPE}}
	if err := writeAll(s, []byte("the rest of it")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("of a broken pipe: %v", err)
	}
}
