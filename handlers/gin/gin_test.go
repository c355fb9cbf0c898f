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
	if a := os.Getenv("GIN_ADDRESS"); a != "" {
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
		{"GET", "/shop", "", 200, `"Name":"Coffee"`},
		{"GET", "/shop/2", "", 200, `{"ID":"2","Name":"Coffee","Price":300}`},
		{"GET", "/shop/7", "", 404, "no such good"},
		{"GET", "/shop/1/2", "", 404, "404 page not found"}, // Gin's
		{"POST", "/shop/1/orders", `{"count": 3}`, 201, `"total":750`},
		{"POST", "/shop/1/orders", `{"count": 0}`, 400, "how many?"},
		{"DELETE", "/shop/1", "", 405, ""},
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
		if err != nil || resp.StatusCode != c.status || !strings.Contains(string(body), c.says) || resp.Header.Get("Content-Language") == "" {
			t.Errorf("%s %s: %d %q, %q, %v; want %d %q", c.method, c.path, resp.StatusCode, body, resp.Header, err, c.status, c.says)
		}
	}
}
