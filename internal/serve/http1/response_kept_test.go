package http1_test

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/http1"
)

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
