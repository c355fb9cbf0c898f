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
	if a := os.Getenv("LABSTACK_ADDRESS"); a != "" {
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
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/notes", "", 200, `"ada":"The Analytical Engine weaves"`},
		{"GET", "/notes/grace", "", 200, "A ship in port is safe"},
		{"GET", "/notes/bob", "", 404, `{"message":"no such note"}`},
		{"GET", "/notes/a/b", "", 404, `{"message":"no such note"}`}, // Echo's last parameter takes all
		{"POST", "/notes/checks", `{"text": "four"}`, 201, `{"bytes":4}`},
		{"POST", "/notes/checks", `{"text": `, 400, `"message"`},
		{"DELETE", "/notes/ada", "", 405, ""},
	} {
		r, err := http.NewRequest(c.method, url+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || !strings.Contains(string(body), c.says) || resp.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s %s: %d %q, %q, %v; want %d %q", c.method, c.path, resp.StatusCode, body, resp.Header, err, c.status, c.says)
		}
	}
}
