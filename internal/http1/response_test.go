package http1_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/http1"
)

// sink is a Transport that keeps what is written.
type sink struct {
	bytes.Buffer
	writes int
	fails  error
	held   chan struct{} // not nil: writes wait for it
	calls  []string
}

func (s *sink) Write(p []byte) (int, error) {
	if s.held != nil {
		<-s.held
	}
	s.writes++
	if s.fails != nil {
		return 0, s.fails
	}
	return s.Buffer.Write(p)
}
func (s *sink) Hijack() (net.Conn, []byte, error) { return nil, nil, errors.ErrUnsupported }
func (s *sink) SetReadDeadline(d time.Time) error {
	s.calls = append(s.calls, fmt.Sprintf("read %v", d.IsZero()))
	return nil
}
func (s *sink) SetWriteDeadline(d time.Time) error {
	s.calls = append(s.calls, fmt.Sprintf("write %v", d.IsZero()))
	return nil
}
func (s *sink) CloseNotify() <-chan bool { return make(chan bool) }

func get(t testing.TB) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\nHost: h\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// An answer leaves in as few writes as it can.
func TestResponseWrites(t *testing.T) {
	for _, c := range []struct {
		name   string
		h      http.HandlerFunc
		writes int
	}{
		{"nothing", func(http.ResponseWriter, *http.Request) {}, 1},
		{"hello", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }, 1},
		{"in pieces", func(w http.ResponseWriter, _ *http.Request) {
			for range 20 {
				w.Write(text(100))
			}
		}, 1},
		{"chunks", func(w http.ResponseWriter, _ *http.Request) { w.Write(text(3000)) }, 1},
		{"a large head", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-A", strings.Repeat("a", 20_000))
			w.Write(text(100))
		}, 1},
		{"10k with its length", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10240")
			w.Write(text(10 << 10))
		}, 1},
		{"10k", func(w http.ResponseWriter, _ *http.Request) { w.Write(text(10 << 10)) }, 2},
		{"10k in two", func(w http.ResponseWriter, _ *http.Request) {
			w.Write(text(5 << 10))
			w.Write(text(5 << 10))
		}, 3},
		{"100k", func(w http.ResponseWriter, _ *http.Request) { w.Write(text(100_000)) }, 3},
	} {
		s := &sink{}
		w := http1.NewResponse(s, get(t), nil)
		c.h(w, nil)
		if !w.Finish() {
			t.Errorf("%s: the connection is lost", c.name)
		}
		if s.writes != c.writes {
			t.Errorf("%s: %d writes, want %d", c.name, s.writes, c.writes)
		}
	}
}

// A write is on the wire, at the latest, when net/http would have put it there.
func TestResponseHoldsBackNoMore(t *testing.T) {
	s := &sink{}
	w := http1.NewResponse(s, get(t), nil)
	w.Header().Set("Content-Length", "100000")
	for n := 0; n < 100_000; n += 1000 {
		w.Write(text(1000))
		if held := n - s.Len(); held > 2048+4096 {
			t.Fatalf("%d bytes are held back of %d", held, n)
		}
	}
}

// A Response that was kept reaches neither the connection nor the buffers,
// which other responses use by then.
func TestResponseKeptBeyondItsEnd(t *testing.T) {
	for _, end := range []func(*http1.Response){
		func(w *http1.Response) { w.Finish() },
		func(w *http1.Response) { w.Abort() },
		func(w *http1.Response) { w.Write(text(3000)); w.Finish() },
		func(w *http1.Response) { w.Write(text(3000)); w.Abort() },
	} {
		s := &sink{}
		w := http1.NewResponse(s, get(t), &http1.Options{ErrorLog: log.New(io.Discard, "", 0)})
		w.Header().Set("X-A", "1")
		end(w)
		before := s.String()
		others := make([]*http1.Response, 10)
		sinks := make([]sink, len(others))
		for i := range others {
			others[i] = http1.NewResponse(&sinks[i], get(t), nil)
			others[i].Header().Set("Content-Type", "a/b")
			others[i].Write([]byte("other"))
		}
		w.Write(text(10_000))
		w.WriteString("late")
		w.WriteHeader(500)
		w.WriteHeader(103)
		w.Flush()
		if err := w.FlushError(); err != nil {
			t.Error(err)
		}
		w.ReadFrom(bytes.NewReader(text(10_000)))
		if err := w.SetReadDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("SetReadDeadline: %v", err)
		}
		if err := w.SetWriteDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("SetWriteDeadline: %v", err)
		}
		w.Abort()
		if w.Finish() {
			t.Error("finished twice")
		}
		if s.String() != before || len(s.calls) > 0 {
			t.Errorf("the connection got %q and %q late", s.String()[len(before):], s.calls)
		}
		for i, o := range others {
			if !o.Finish() || !strings.HasSuffix(sinks[i].String(), "Content-Length: 5\r\n\r\nother") {
				t.Fatalf("another response became %q", sinks[i].String())
			}
		}
		for name, late := range map[string]func(){"Hijack": func() { w.Hijack() }, "CloseNotify": func() { w.CloseNotify() }} {
			func() {
				defer func() {
					if p := recover(); p != "net/http: "+name+" called after ServeHTTP finished" {
						t.Errorf("%s: panic %v", name, p)
					}
				}()
				late()
			}()
		}
	}
}

// A goroutine that the handler has left behind writes while the response ends,
// and beyond: other responses are as they should be.
func TestResponseWithAStrayWriter(t *testing.T) {
	var strays sync.WaitGroup
	for range 200 {
		w := http1.NewResponse(&sink{}, get(t), nil)
		strays.Add(1)
		go func() {
			defer strays.Done()
			for range 20 {
				w.Write(text(700))
				w.Header()
				w.Flush()
				w.SetWriteDeadline(time.Time{})
			}
		}()
		w.WriteString("x")
		w.Finish()
		s := &sink{}
		o := http1.NewResponse(s, get(t), nil)
		o.WriteString("other")
		if !o.Finish() || !strings.HasSuffix(s.String(), "\r\n\r\nother") {
			t.Fatalf("another response became %q", s.String())
		}
	}
	strays.Wait()
}

// What ends a write that hangs does not wait for it.
func TestResponseWhileAWriteHangs(t *testing.T) {
	s := &sink{held: make(chan struct{})}
	w := http1.NewResponse(s, get(t), nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Write(text(10_000))
	}()
	for !w.Begun() {
		time.Sleep(time.Millisecond)
	}
	w.Header()
	w.CloseNotify()
	w.SetReadDeadline(time.Time{})
	w.SetWriteDeadline(time.Now())
	close(s.held)
	<-done
	w.Finish()
	if got := strings.Join(s.calls, ", "); got != "read true, write false, write true, read true" {
		t.Errorf("deadlines: %s", got)
	}
}

// An error stays, and ends the connection.
func TestResponseAfterAWriteError(t *testing.T) {
	broken := errors.New("broken")
	s := &sink{fails: broken}
	w := http1.NewResponse(s, get(t), nil)
	if n, err := w.Write(text(10_000)); n != 0 || err != broken {
		t.Errorf("write: %d, %v", n, err)
	}
	for i, err := range []error{second(w.Write(text(1))), second(w.WriteString("a")), w.FlushError()} {
		if err != broken {
			t.Errorf("%d: %v", i, err)
		}
	}
	if w.Finish() {
		t.Error("the connection is kept")
	}
	if s.writes != 1 {
		t.Errorf("%d writes", s.writes)
	}
}

// The date is that of the second in which the answer is given.
func TestResponseDate(t *testing.T) {
	for range 2 {
		s := &sink{}
		before := time.Now().Truncate(time.Second)
		http1.NewResponse(s, get(t), nil).Finish()
		after := time.Now()
		res, err := http.ReadResponse(bufio.NewReader(s), nil)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := http.ParseTime(res.Header.Get("Date")); err != nil || d.Before(before) || d.After(after) {
			t.Errorf("dated %v, between %v and %v: %v", d, before, after, err)
		}
		time.Sleep(time.Until(before.Add(time.Second)))
	}
}

func second(_ int, err error) error { return err }

// A connection that cannot be given leaves the answer as it was.
func TestResponseHijackRefused(t *testing.T) {
	s := &sink{}
	w := http1.NewResponse(s, get(t), nil)
	if _, _, err := w.Hijack(); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if w.Hijacked() || w.Begun() {
		t.Error("the response is over")
	}
	w.WriteString("hello")
	if !w.Finish() || !strings.HasSuffix(s.String(), "hello") {
		t.Errorf("%q", s.String())
	}
}

// What ReadFrom still sends when the handler has returned would get into the
// next answer.
func TestResponseWithACopyUnderWay(t *testing.T) {
	s := &sink{}
	w := http1.NewResponse(s, get(t), nil)
	w.Header().Set("Content-Length", "512")
	r, source := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.ReadFrom(r)
	}()
	source.Write(text(512))
	source.Write(text(1)) // once this is taken, the copy is the transport's
	if w.Finish() {
		t.Error("the connection is kept")
	}
	source.Close()
	<-done
}
