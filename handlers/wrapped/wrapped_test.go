package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// All that is around the handler is around each of its patterns.
func TestWrapped(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("s3cret\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	ask := func(path string, header ...string) *httptest.ResponseRecorder {
		mux := http.NewServeMux()
		for pattern, h := range Handlers() {
			mux.Handle(pattern, h)
		}
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("X-Request-Id", "abc")
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}
	for _, shown := range []string{"Bearer ", "Bearer s3cret"} { // nobody knows a token yet
		if w := ask("/wrapped/private", "Authorization", shown); w.Code != 401 || w.Header().Get("X-Request-Id") != "abc" {
			t.Errorf("%s: %d, %v", shown, w.Code, w.Header())
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if w := ask("/wrapped"); w.Body.String() != "Hello, this is request abc\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask("/wrapped/private", "Authorization", "Bearer s3cret"); w.Body.String() != "Hello the owner, this is request abc\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask("/wrapped", "Accept-Encoding", "gzip", "Origin", "https://example.com"); w.Header().Get("Content-Encoding") != "gzip" || w.Header().Get("Access-Control-Allow-Origin") != "https://example.com" {
		t.Errorf("%v", w.Header())
	}
}
