package handover

import (
	"context"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/counter"
)

// What a handler has answered is known whoever has served it: this package, or net/http's
// server.
func TestAnswered(t *testing.T) {
	type told struct {
		status  int
		in, out int64
	}
	ends := make(chan told, 1)
	mux := http.NewServeMux()
	for path, h := range map[string]http.HandlerFunc{
		"/nothing": func(w http.ResponseWriter, r *http.Request) {},
		"/ok":      func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") },
		"/teapot":  func(w http.ResponseWriter, r *http.Request) { http.Error(w, "I", http.StatusTeapot) },
		"/early": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNoContent)
		},
		"/file": func(w http.ResponseWriter, r *http.Request) {
			io.Copy(w, strings.NewReader(strings.Repeat("x", 100_000)))
		},
		"/hijack": func(w http.ResponseWriter, r *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			c.Close()
		},
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if Began(r).IsZero() {
				t.Error("it never began")
			}
			io.Copy(io.Discard, r.Body)
			h(w, r)
			status, out := Answered(w, r)
			ends <- told{status, Received(r), out}
		})
	}
	s := NewServer(context.Background(), nil, Limits{}, log.New(testLog{t}, "", 0))
	s.Mux = func() Mux { return mux }
	address := listening(t, s)
	const chunked = "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
	for path, want := range map[string]told{
		"/nothing": {0, 0, 0}, "/ok": {200, 0, 5}, "/teapot": {418, 0, 2}, "/early": {204, 0, 0}, "/file": {200, 0, 100_000}, "/hijack": {counter.Hijacked, 0, 0},
	} {
		for how, request := range map[string]string{
			"GET":     "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n",
			"POST":    "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd",
			"chunked": "POST " + path + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
		} {
			want.in = map[string]int64{"GET": 0, "POST": 4, "chunked": int64(len(chunked))}[how]
			c := dial(t, address)
			c.write(request)
			go io.Copy(io.Discard, c.conn)
			if got := <-ends; got != want {
				t.Errorf("%s %s: %+v, want %+v", how, path, got, want)
			}
		}
	}
}
