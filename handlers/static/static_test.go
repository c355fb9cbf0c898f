package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

// get asks h for path; header holds pairs of a name and a value.
func get(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func newMux(pattern string, h http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle(pattern, h)
	return mux
}

func TestEmbeddedFiles(t *testing.T) {
	mux := newMux(Handler())
	tests := []struct {
		path        string
		contentType string
		part        string
	}{
		{"/static/", "text/html", `href="style.css"`},
		{"/static/index.html", "text/html", `src="page.js"`},
		{"/static/style.css", "text/css", "body {"},
		{"/static/page.js", "javascript", "EventSource"}, // text/ or, by some systems' tables, application/
	}
	for _, tt := range tests {
		w := get(mux, "GET", tt.path)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), tt.part) {
			t.Errorf("GET %s = %d %q, want %q in it", tt.path, w.Code, w.Body, tt.part)
		}
		if got := w.Header().Get("Content-Type"); !strings.Contains(got, tt.contentType) {
			t.Errorf("GET %s has the type %q, want %q", tt.path, got, tt.contentType)
		}
		etag := w.Header().Get("ETag")
		if w := get(mux, "GET", tt.path, "If-None-Match", etag); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
			t.Errorf("GET %s with its own ETag %q = %d and %d bytes", tt.path, etag, w.Code, w.Body.Len())
		}
	}
}

func TestPathWithoutSlashIsRedirected(t *testing.T) {
	w := get(newMux(Handler()), "GET", "/static")
	if got := w.Header().Get("Location"); w.Code/100 != 3 || got != "/static/" {
		t.Errorf("GET /static = %d to %q, want a redirect to /static/", w.Code, got)
	}
}

func TestSite(t *testing.T) {
	pattern, _ := Handler()
	mux := newMux(pattern, newSite(fstest.MapFS{
		"a.txt":           {Data: []byte("first")},
		"docs/index.html": {Data: []byte("<p>docs")},
		"plain/b.txt":     {Data: []byte("b")},
	}))
	tests := []struct {
		name         string
		method, path string
		header       []string
		status       int
		body         string
	}{
		{"file", "GET", "/static/a.txt", nil, 200, "first"},
		{"head", "HEAD", "/static/a.txt", nil, 200, ""},
		{"part", "GET", "/static/a.txt", []string{"Range", "bytes=1-2"}, 206, "ir"},
		{"another ETag", "GET", "/static/a.txt", []string{"If-None-Match", `"x"`}, 200, "first"},
		{"index", "GET", "/static/docs/", nil, 200, "<p>docs"},
		{"directory without index", "GET", "/static/plain/", nil, 404, ""},
		{"directory without slash", "GET", "/static/plain", nil, 404, ""},
		{"root without index", "GET", "/static/", nil, 404, ""},
		{"no file", "GET", "/static/c.txt", nil, 404, ""},
		{"outside", "GET", "/static/..%2fstatic.go", nil, 404, ""},
		{"post", "POST", "/static/a.txt", nil, 405, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := get(mux, tt.method, tt.path, tt.header...)
			if w.Code != tt.status {
				t.Fatalf("%s %s = %d, want %d", tt.method, tt.path, w.Code, tt.status)
			}
			if w.Code < 400 && w.Body.String() != tt.body {
				t.Errorf("%s %s = %q, want %q", tt.method, tt.path, w.Body, tt.body)
			}
			if got := w.Header().Get("Cache-Control"); (w.Code < 400) != (got == "no-cache") {
				t.Errorf("%s %s = %d with Cache-Control %q", tt.method, tt.path, w.Code, got)
			}
		})
	}
}

func TestETagFollowsTheContent(t *testing.T) {
	etag := func(content string) string {
		s := newSite(fstest.MapFS{"a.txt": {Data: []byte(content)}})
		return s["a.txt"].etag
	}
	first, again, second := etag("one"), etag("one"), etag("two")
	if first != again {
		t.Errorf("the same content has the ETags %s and %s", first, again)
	}
	if first == second {
		t.Errorf("two contents share the ETag %s", first)
	}
}

// The page asks for the clock again where the browser has given up: on an
// answer that is no stream, such as 404 while the clock's handler is away.
func TestPageRecovers(t *testing.T) {
	script := get(newMux(Handler()), "GET", "/static/page.js").Body.String()
	_, onError, ok := strings.Cut(script, "clock.onerror = ")
	if onError, _, _ = strings.Cut(onError, "};"); !ok || !strings.Contains(onError, "EventSource.CLOSED) setTimeout(watchClock, ") {
		t.Errorf("where the clock is away the page gives up:\n%s", script)
	}
}
