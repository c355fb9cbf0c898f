package cell

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/between/link"
)

// Every request is counted once, however its handler ends.
func TestCounted(t *testing.T) {
	c, _ := newCell(t)
	for name, tt := range map[string]struct {
		h    http.HandlerFunc
		code string
	}{
		"says nothing": {func(http.ResponseWriter, *http.Request) {}, "2xx"},
		"aborts":       {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "none"},
	} {
		l := &loaded{name: "mine", counts: new(counter.Handler)}
		func() {
			defer func() { recover() }()
			(&own{c, l, "/", tt.h}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("DELETE", "/", nil))
		}()
		got := l.counts.Read()
		for m := range got.Requests {
			for s, buckets := range got.Requests[m] {
				if n := buckets[0]; (n == 1) != (counter.Methods[m] == "DELETE" && counter.Codes[s] == tt.code) {
					t.Errorf("%s: %d of %s %s", name, n, counter.Methods[m], counter.Codes[s])
				}
			}
		}
		if got.Under() != 0 || got.Begun != 1 {
			t.Errorf("%s: %d begun, %d under way", name, got.Begun, got.Under())
		}
	}
}

// A handler gets no more at a time than it may, no larger bodies, and no longer.
func TestBounds(t *testing.T) {
	c, _ := newCell(t)
	try := func(b link.Bounds, body string, h http.HandlerFunc) *httptest.ResponseRecorder {
		t.Helper()
		l := &loaded{name: "mine", counts: new(counter.Handler), bounds: b}
		w := httptest.NewRecorder()
		(&own{c, l, "/", h}).ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader(body)))
		if n := l.running.Load(); n != 0 {
			t.Errorf("%d are still running", n)
		}
		return w
	}
	ok := func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }
	if w := try(link.Bounds{MaxBodyBytes: 3, MaxInFlight: 1, RequestTimeout: time.Hour}, "abc", ok); w.Code != 200 || w.Body.String() != "abc" {
		t.Errorf("within all: %d %q", w.Code, w.Body)
	}
	if w := try(link.Bounds{MaxBodyBytes: 3}, "abcd", ok); w.Code != 413 || w.Header().Get("Connection") != "close" {
		t.Errorf("too large: %d, %v", w.Code, w.Header())
	}
	var read error
	try(link.Bounds{MaxBodyBytes: 3}, "", func(w http.ResponseWriter, r *http.Request) {})
	l := &loaded{name: "mine", counts: new(counter.Handler), bounds: link.Bounds{MaxBodyBytes: 3, MaxInFlight: 1}}
	r := httptest.NewRequest("POST", "/", strings.NewReader("abcd"))
	r.ContentLength = -1 // chunked
	inner := httptest.NewRecorder()
	outer := &own{c, l, "/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, read = io.ReadAll(r.Body)
		(&own{c, l, "/", http.HandlerFunc(ok)}).ServeHTTP(inner, httptest.NewRequest("GET", "/", nil))
	})}
	outer.ServeHTTP(httptest.NewRecorder(), r)
	if tooLarge := (*http.MaxBytesError)(nil); !errors.As(read, &tooLarge) {
		t.Errorf("chunked, and too large: %v", read)
	}
	if inner.Code != 503 || inner.Header().Get("Retry-After") != "1" {
		t.Errorf("the second at a time: %d, %v", inner.Code, inner.Header())
	}
	var ended error
	try(link.Bounds{RequestTimeout: time.Millisecond}, "", func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		ended = r.Context().Err()
	})
	if !errors.Is(ended, context.DeadlineExceeded) {
		t.Errorf("too long: %v", ended)
	}
}
