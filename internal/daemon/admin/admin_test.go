package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/daemon/events"
	"github.com/andrestc/go-plugserver/internal/daemon/page"
	"github.com/andrestc/go-plugserver/internal/daemon/rates"
)

func serve(t *testing.T, b Backend) (address string, end func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, b) }()
	return l.Addr().String(), func() error { cancel(); return <-done }
}

// It answers what it is for, with what holds then, and nothing else.
func TestServe(t *testing.T) {
	ready, stopping := make(chan struct{}), make(chan struct{})
	watched := page.New(page.Config{
		Overview: func(context.Context) (st api.Status, _ map[string][]api.Past, _ error) { return st, nil, nil },
		Rates:    rates.New(nil), Events: events.New(nil), Stopping: stopping,
	})
	var wrong error
	address, end := serve(t, Backend{
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "up 1\n") }),
		Page:    watched, Alive: func(context.Context) error { return wrong }, Ready: ready, Stopping: stopping,
	})
	ask := func(method, path string, status int, says string) {
		t.Helper()
		r, _ := http.NewRequest(method, "http://"+address+path, nil)
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != status || !strings.Contains(string(body), says) || !strings.Contains(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s %s: %s %q, want %d and %q", method, path, resp.Status, body, status, says)
		}
	}
	ask("GET", "/metrics", 200, "up 1")
	ask("GET", "/", 200, `href="readyz"`)
	ask("GET", "/assets/page.css", 200, "")
	ask("GET", "/assets/page.js", 200, "EventSource")
	ask("GET", "/assets/icon.svg", 200, "<svg")
	ask("HEAD", "/", 200, "")
	ask("GET", "/healthz", 200, "ok")
	ask("GET", "/readyz", 503, "not every handler was tried")
	close(ready)
	ask("GET", "/readyz", 200, "ok")
	wrong = errors.New("no gate")
	ask("GET", "/healthz", 503, "no gate")
	ask("GET", "/readyz", 503, "no gate")
	wrong = nil
	close(stopping)
	ask("GET", "/readyz", 503, "stopping")
	ask("GET", "/events", 503, "stopping")
	ask("GET", "/healthz", 200, "ok")
	ask("POST", "/", 405, "")
	ask("POST", "/events", 405, "")
	ask("GET", "/assets/", 404, "")
	ask("GET", "/assets/page.html", 404, "")
	ask("GET", "/anything", 404, "")
	ask("POST", "/metrics", 405, "")
	ask("GET", "/metrics/", 404, "")
	ask("GET", "/debug/pprof/", 404, "")
	if err := end(); err != nil {
		t.Error(err)
	}
}

// A stream of events lives longer than what bounds other requests, and the end does not wait
// for it.
func TestStreamEnds(t *testing.T) {
	watched := page.New(page.Config{Events: events.New(nil)})
	address, end := serve(t, Backend{Metrics: http.NotFoundHandler(), Page: watched})
	resp, err := http.Get("http://" + address + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	began := time.Now()
	if err := end(); err != nil || time.Since(began) >= grace {
		t.Errorf("the end took %v, %v", time.Since(began), err)
	}
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Errorf("the stream does not end in order: %v", err)
	}
}

// Clients that say nothing keep others out for as long as they may, and no longer: the end does
// not wait for them.
func TestBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := newBounded(l, 1)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	dial()
	first, err := b.Accept()
	if err != nil {
		t.Fatal(err)
	}
	dial()
	second := make(chan net.Conn)
	go func() {
		c, _ := b.Accept()
		second <- c
	}()
	select {
	case <-second:
		t.Fatal("there are two")
	case <-time.After(20 * time.Millisecond):
	}
	first.Close()
	first.Close() // gives back one slot
	if c := <-second; c == nil {
		t.Fatal("no second")
	}
	go b.Close()
	if _, err := b.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}
