package http1_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/http1"
)

// sink is a Transport that keeps what is written.
type sink struct {
	bytes.Buffer
	writes int
	fails  error
	held   chan struct{} // not nil: writes wait for it
	last   func()        // if not nil, called by Unwatch
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
func (s *sink) Unwatch() {
	if s.last != nil {
		s.last()
	}
}
func (s *sink) Gone() {}

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

// What the head has promised holds, also where the server has begun to shut
// down since: a client that was told nothing sends its next request.
func TestResponseWhileTheServerEnds(t *testing.T) {
	keep := true
	w := http1.NewResponse(&sink{}, get(t), &http1.Options{KeepAlives: func() bool { return keep }})
	w.Flush()
	keep = false
	if !w.Finish() {
		t.Error("the connection is not kept")
	}
}

// It offers what net/http's offers in this release, method by method.
func TestResponseOffersWhatNetHTTPOffers(t *testing.T) {
	ours := reflect.TypeFor[*http1.Response]()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		theirs := reflect.TypeOf(w)
		for i := range theirs.NumMethod() {
			m := theirs.Method(i)
			o, ok := ours.MethodByName(m.Name)
			if !ok {
				t.Errorf("no method %s", m.Name)
				continue
			}
			have, want := reflect.ValueOf(&http1.Response{}).Method(o.Index).Type(), reflect.ValueOf(w).Method(i).Type()
			if have != want {
				t.Errorf("%s is a %v, want %v", m.Name, have, want)
			}
		}
		if theirs.NumMethod() < 10 {
			t.Errorf("%v has %d methods only", theirs, theirs.NumMethod())
		}
	}))
	defer s.Close()
	res, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
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

// A goroutine of the handler that writes once its answer has left gets an error, and
// ends the connection, as with net/http: the length does not hold.
func TestResponseWrittenToAfterwards(t *testing.T) {
	s := &sink{}
	w := http1.NewResponse(s, get(t), nil)
	io.WriteString(w, "hello")
	s.last = func() {
		if _, err := io.WriteString(w, "too late"); !errors.Is(err, http.ErrContentLength) {
			t.Errorf("write: %v", err)
		}
	}
	if w.Finish() {
		t.Error("the connection is kept")
	}
	if !strings.HasSuffix(s.String(), "\r\n\r\nhello") {
		t.Errorf("%q", s.String())
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
