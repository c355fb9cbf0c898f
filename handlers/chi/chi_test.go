package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// address is of a server of the handler: net/http's, or one that runs elsewhere.
func address(t *testing.T) string {
	if a := os.Getenv("CHI_ADDRESS"); a != "" {
		return "http://" + a
	}
	mux := http.NewServeMux()
	for pattern, h := range Handlers() {
		mux.Handle(pattern, h)
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func TestRouter(t *testing.T) {
	url := address(t)
	for _, c := range []struct {
		method, path string
		status       int
		says         string
	}{
		{"GET", "/books", 200, `"Title":"Compilers"`},
		{"GET", "/books/", 200, `"Title":"Compilers"`},
		{"GET", "/books/2", 200, `{"ID":"2","Title":"Compilers","Author":"Grace"}`},
		{"GET", "/books/7", 404, "no such book"},
		{"GET", "/books/two", 404, "404 page not found"}, // chi's
		{"GET", "/books/by/Ada", 200, "Mathematical"},
		{"GET", "/books/by/Bob", 200, "[]"},
		{"DELETE", "/books/2", 405, ""},
		{"GET", "/books/covers/2.png", 404, "no cover of /books/covers/2.png"},
	} {
		r, err := http.NewRequest(c.method, url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || !strings.Contains(string(body), c.says) || resp.Header.Get("Content-Language") != "en" {
			t.Errorf("%s %s: %d %q, %q, %v; want %d %q", c.method, c.path, resp.StatusCode, body, resp.Header, err, c.status, c.says)
		}
	}
}
