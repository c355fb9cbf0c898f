package proc

import (
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/transcript"
	"golang.org/x/sys/unix"
)

// outletOf returns an outlet, where to print, what comes out, and what is closed once it has ended.
func outletOf(t *testing.T) (o *outlet, w *os.File, heard chan string, ended chan struct{}) {
	t.Helper()
	heard, ended = make(chan string, 100), make(chan struct{})
	o, w, err := newOutlet(func(line string) { heard <- line }, func() { close(ended) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return o, w, heard, ended
}

// A line is heard once it has ended, in however many pieces it comes.
func TestLinesInPieces(t *testing.T) {
	_, w, heard, ended := outletOf(t)
	for _, piece := range []string{"one\ntw", "o", "\r\n\nthree\nfo", "ur"} {
		io.WriteString(w, piece)
		for range strings.Count(piece, "\n") {
			switch line := <-heard; line {
			case "one", "two", "", "three":
			default:
				t.Errorf("heard %q", line)
			}
		}
	}
	w.Close()
	if line := <-heard; line != "four" {
		t.Errorf("the last line, which did not end, is %q", line)
	}
	<-ended
}

// What is cut goes out with what has come, be it read at that moment or not.
func TestCut(t *testing.T) {
	for range 100 {
		o, w, heard, ended := outletOf(t)
		io.WriteString(w, "one\ntwo")
		if line := <-heard; line != "one" {
			t.Errorf("heard %q", line)
		}
		o.cut()
		<-ended
		if line := <-heard; line != "two" {
			t.Errorf("heard %q", line)
		}
		if n, err := w.Write([]byte("x")); err == nil {
			t.Errorf("%d bytes were written to nobody", n)
		}
	}
}

// One who prints without end is cut, too.
func TestCutFlood(t *testing.T) {
	heard, ended := make(chan struct{}, 1), make(chan struct{})
	o, w, err := newOutlet(func(line string) {
		select {
		case heard <- struct{}{}:
		default:
		}
	}, func() { close(ended) })
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for _, err := w.WriteString("x\n"); err == nil; _, err = w.WriteString("x\n") {
		}
		w.Close()
	}()
	<-heard
	o.cut()
	<-ended
}

// What cannot be waited for any more ends, as what is cut does.
func TestOutletWithoutWatch(t *testing.T) {
	o, _, heard, ended := outletOf(t)
	var other [2]int // which is not watched
	if err := unix.Pipe2(other[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other[0])
	defer unix.Close(other[1])
	if err := unix.Dup3(other[0], o.fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	unix.Write(other[1], []byte("one"))
	go o.read()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("it is read again and again")
	}
	if line := <-heard; line != "one" {
		t.Errorf("heard %q", line)
	}
}

func TestSplit(t *testing.T) {
	var got []string
	o := &outlet{heard: func(line string) { got = append(got, line) }}
	var buf line
	text := strings.Repeat("x", len(buf)-2) + "\ny"
	if n := o.split(&buf, copy(buf[:], text)); n != 1 || buf[0] != 'y' {
		t.Errorf("%d bytes are left", n)
	}
	full := strings.Repeat("z", len(buf))
	if n := o.split(&buf, copy(buf[:], full)); n != 0 {
		t.Errorf("%d bytes are left", n)
	}
	if want := []string{text[:len(buf)-2], full}; !slices.Equal(got, want) {
		t.Errorf("%d lines", len(got))
	}
	if len(buf) != transcript.MaxLine {
		t.Errorf("a line is cut after %d bytes", len(buf))
	}
}

// Children that say nothing cost no goroutine.
func TestQuietChildren(t *testing.T) {
	start(t, "deaf") // epoll's goroutine
	before := runtime.NumGoroutine()
	for range 5 {
		start(t, "deaf")
	}
	// What has started them ends first (os/exec).
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine() - before; n > 0 {
		t.Errorf("%d goroutines more", n)
	}
}
