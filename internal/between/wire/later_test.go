package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// polledPair returns a connected pair that the runtime waits for.
func polledPair(t *testing.T) (a, b *Conn) {
	t.Helper()
	fa, fb, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []struct {
		f *os.File
		c **Conn
	}{{fa, &a}, {fb, &b}} {
		if *end.c, err = FromFile(end.f); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// laterOf has each frame that comes to c told, by a goroutine that is there only for it.
func laterOf(c *Conn) (frames chan string, ended chan error) {
	frames, ended = make(chan string, 100), make(chan error, 1)
	var hear func()
	hear = func() {
		for {
			f, err := c.Recv()
			if err != nil {
				ended <- err
				return
			}
			frames <- string(f.Body)
			if c.Later(hear) {
				return
			}
		}
	}
	if !c.Later(hear) {
		go hear()
	}
	return frames, ended
}

func TestLater(t *testing.T) {
	a, b := polledPair(t)
	frames, ended := laterOf(b)
	for range 100 {
		for _, body := range []string{"one", "two", string(make([]byte, 3*bufferSize)), "", "five"} {
			if err := a.Send('x', nil, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{"one", "two", string(make([]byte, 3*bufferSize)), "", "five"} {
			if got := <-frames; got != want {
				t.Fatalf("got %.10q of %d bytes, want %.10q of %d", got, len(got), want, len(want))
			}
		}
	}
	a.CloseWrite()
	if err := <-ended; err != io.EOF {
		t.Errorf("the end is %v", err)
	}
}

// A frame that has come in part is waited for where that is read.
func TestLaterInTheMiddle(t *testing.T) {
	a, b := polledPair(t)
	frames, _ := laterOf(b)
	frame, err := appendFrame(nil, 'x', 0, [][]byte{[]byte("whole")})
	if err != nil {
		t.Fatal(err)
	}
	two := append(frame, frame[:9]...) // the second comes in part
	a.uc.Write(two)
	if got := <-frames; got != "whole" {
		t.Errorf("got %q", got)
	}
	a.uc.Write(frame[9:])
	if got := <-frames; got != "whole" {
		t.Errorf("got %q", got)
	}
}

// Who waits has no memory to read into, and hears of the end whoever closes.
func TestLaterAndClose(t *testing.T) {
	for _, end := range []func(a, b *Conn) error{
		func(a, b *Conn) error { return a.Close() }, func(a, b *Conn) error { return b.Close() },
		func(a, b *Conn) error { return b.CloseRead() },
	} {
		a, b := polledPair(t)
		a.Send('x', nil, []byte("before"))
		if f, err := b.Recv(); err != nil || string(f.Body) != "before" {
			t.Fatal(f, err)
		}
		told := make(chan struct{})
		if !b.Later(func() { close(told) }) || b.room != nil || b.buf != nil {
			t.Error("nobody waits, or with memory")
		}
		if err := end(a, b); err != nil {
			t.Error(err)
		}
		<-told
		if _, err := b.Recv(); !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("the end is %v", err)
		}
		b.Close()
		if b.Later(func() { t.Error("called") }) {
			t.Error("somebody waits for what is closed")
		}
	}
}

// Nobody waits any more where nothing comes; what comes then, or in part before, is received all the same.
func TestQuiet(t *testing.T) {
	a, b := polledPair(t)
	frame, err := appendFrame(nil, 'x', 0, [][]byte{[]byte("body")})
	if err != nil {
		t.Fatal(err)
	}
	receive := func() string {
		t.Helper()
		f, err := b.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return string(f.Body)
	}
	for range 3 {
		a.uc.Write(append(frame, frame[:9]...))
		if got := receive(); got != "body" {
			t.Errorf("got %q", got)
		}
		b.Quiet()
		b.Quiet() // there is a part of a frame
		var written sync.WaitGroup
		written.Add(1)
		go func() {
			defer written.Done()
			a.uc.Write(frame[9:])
		}()
		if got := receive(); got != "body" {
			t.Errorf("got %q", got)
		}
		written.Wait()
		b.Quiet()
		a.uc.Write(frame)
		if got := receive(); got != "body" {
			t.Errorf("got %q", got)
		}
		b.Quiet() // something has come since the last
		a.uc.Write(frame)
		if got := receive(); got != "body" {
			t.Errorf("got %q", got)
		}
		b.Quiet()
		b.Quiet()
		if _, err := b.Recv(); err != ErrQuiet {
			t.Fatalf("got %v, want %v", err, ErrQuiet)
		}
		told := make(chan struct{})
		if !b.Later(func() { close(told) }) {
			t.Fatal("nobody waits")
		}
		b.Quiet() // who rests is left alone
		b.Quiet()
		a.uc.Write(frame)
		<-told
		if got := receive(); got != "body" {
			t.Errorf("got %q", got)
		}
	}
}

// Who waits at that moment is interrupted, and loses nothing of the stream: neither where it is, nor which descriptors belong to what.
func TestQuietWhileWaiting(t *testing.T) {
	a, b := polledPair(t)
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 30 { // as many bytes as a frame has
		got := make(chan error)
		go func() {
			_, err := b.Recv()
			got <- err
		}()
		for waiting := true; waiting; {
			select {
			case err := <-got:
				if waiting = false; err != ErrQuiet {
					t.Fatalf("got %v, want %v", err, ErrQuiet)
				}
			case <-time.After(time.Millisecond):
				b.Quiet()
			}
		}
	}
	if b.w != 0 || b.end != 0 {
		t.Errorf("%d bytes are there, of %d", b.w, b.end)
	}
	if err := a.Send('x', []int{int(f.Fd())}, []byte("body")); err != nil {
		t.Fatal(err)
	}
	frame, err := b.Recv()
	if err != nil || string(frame.Body) != "body" || len(frame.FDs) != 1 {
		t.Errorf("got %+v, %v", frame, err)
	}
	closeAll(frame.FDs)
}

// After an error it is an error to go on, and nothing worse.
func TestRecvAgain(t *testing.T) {
	a, b := polledPair(t)
	b.Send('x', nil, []byte("nobody reads this")) // so that a's end resets the connection
	a.Close()
	for range 3 {
		if _, err := b.Recv(); err == nil {
			t.Error("no error")
		}
	}
}

// Who waits for the end of the other side alone does until then, however quiet it is.
func TestDiscardAndQuiet(t *testing.T) {
	a, b := polledPair(t)
	ended := make(chan struct{})
	go func() {
		b.Discard()
		close(ended)
	}()
	for range 20 {
		b.Quiet()
		select {
		case <-ended:
			t.Fatal("it goes on while the other side is there")
		case <-time.After(time.Millisecond):
		}
	}
	a.Close()
	<-ended
}
