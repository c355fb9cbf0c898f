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
	// Others come in one message with it.
	a.Send('f', nil, []byte("before"))
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
	if f, err := b.Recv(); err != nil || string(f.Body) != "before" {
		t.Errorf("frame %q, %v", f.Body, err)
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

// hostile is the other side of a Conn, and sends what it likes.
type hostile struct {
	*net.UnixConn
	fd int // that it gives away
}

func newHostile(t testing.TB) (h hostile, c *Conn) {
	t.Helper()
	fa, fb, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	nc, err := net.FileConn(fa)
	fa.Close()
	if err != nil {
		t.Fatal(err)
	}
	if c, err = FromFile(fb); err != nil {
		t.Fatal(err)
	}
	h = hostile{nc.(*net.UnixConn), int(pipeWith(t, "").Fd())}
	t.Cleanup(func() { h.Close(); c.Close() })
	return h, c
}

// send sends b with n descriptors.
func (h hostile) send(b []byte, n int) error {
	var oob []byte
	if n > 0 {
		fds := make([]int, n)
		for i := range fds {
			fds[i] = h.fd
		}
		oob = syscall.UnixRights(fds...)
	}
	_, _, err := h.WriteMsgUnix(b, oob, nil)
	return err
}

// openFDs counts this process's descriptors, of which one is for the count.
func openFDs(t testing.TB) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

// Who attaches descriptors that no frame declares, or others than it does, is heard
// no more, and costs no descriptor from then on.
func TestForeignDescriptors(t *testing.T) {
	frame := func(fds int, body string) []byte {
		b, _ := appendFrame(nil, 'x', fds, [][]byte{[]byte(body)})
		return b
	}
	long := frame(0, strings.Repeat("x", 1<<10))
	for name, send := range map[string]func(h hostile){
		"with each byte of a frame": func(h hostile) {
			for _, b := range long {
				if h.send([]byte{b}, 100) != nil {
					return
				}
			}
		},
		"with a frame that declares none": func(h hostile) {
			for h.send(frame(0, "a"), 1) == nil && h.send(frame(1, "b"), 1) == nil {
			}
		},
		"too many":              func(h hostile) { h.send(frame(1, "a"), scmMaxFD) },
		"too few":               func(h hostile) { h.send(frame(2, "a"), 1) },
		"none":                  func(h hostile) { h.send(frame(1, "a"), 0) },
		"with half a frame":     func(h hostile) { h.send(long[:20], 64) },
		"with what is no frame": func(h hostile) { h.send([]byte("GET / HTTP/1.1"), 64) },
	} {
		t.Run(name, func(t *testing.T) {
			h, c := newHostile(t)
			before := openFDs(t)
			go func() { send(h); h.CloseWrite() }()
			most := 0
			for {
				f, err := c.Recv()
				closeAll(f.FDs)
				if err != nil && err != errForeign && err != errHeader && err != io.ErrUnexpectedEOF {
					t.Errorf("it ends with %v", err)
				}
				if err != nil {
					break
				}
				most = max(most, openFDs(t)-before)
			}
			if n := openFDs(t) - before; n > 0 || most > (mostArrived+1)*scmMaxFD {
				t.Errorf("%d descriptors stay, there were %d", n, most)
			}
		})
	}
}

// FuzzRecv sends the bytes in as many messages as there are counts of descriptors to
// go with them.
func FuzzRecv(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 'x', 0, magic >> 8, magic & 255, 'a'}, []byte{0})
	f.Add([]byte{0, 0, 0, 1, 'x', 3, magic >> 8, magic & 255, 'a'}, []byte{3, 1, 1})
	f.Add([]byte{0, 0, 0, 1, 'x', 1, magic >> 8, magic & 255, 'a'}, []byte{1})
	f.Add([]byte{255, 255, 255, 255, 'x', 0, magic >> 8, magic & 255}, []byte{9})
	f.Fuzz(func(t *testing.T, data, fds []byte) {
		h, b := newHostile(t)
		before := openFDs(t)
		go func() {
			defer h.CloseWrite()
			rest := data
			for i, n := range fds {
				part := rest[:len(rest)/(len(fds)-i)]
				if rest = rest[len(part):]; len(part) > 0 {
					h.send(part, int(n))
				}
			}
		}()
		defer func() {
			if n := openFDs(t) - before; n > 0 {
				t.Errorf("%d descriptors stay", n)
			}
		}()
		total := 0
		for {
			fr, err := b.Recv()
			closeAll(fr.FDs)
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

// Who gets little at a time holds a small buffer, and who gets much reads much at once.
func TestBufferGrowsWithUse(t *testing.T) {
	a, b := pair(t)
	get := func(frames, size, want int) {
		t.Helper()
		for range frames {
			if err := a.Send('x', nil, make([]byte, size)); err != nil {
				t.Fatal(err)
			}
		}
		for range frames {
			if f, err := b.Recv(); err != nil || len(f.Body) != size {
				t.Fatalf("%d bytes, %v", len(f.Body), err)
			}
		}
		if len(b.buf) != want {
			t.Errorf("after %d frames of %d bytes the buffer has %d, want %d", frames, size, len(b.buf), want)
		}
	}
	get(1, 100, bufferSeldom)
	get(10, 100, bufferSeldom)
	get(100, 300, bufferSize)
	get(1, 100, bufferSize)
}
