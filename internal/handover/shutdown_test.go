package handover

import (
	"context"
	"io"
	"log"
	"net/http"
	"runtime"
	"testing"
)

// While the last requests end, nobody is answered, and that is no fault.
func TestProbeWhileShuttingDown(t *testing.T) {
	begun, release := make(chan bool), make(chan bool)
	s := NewServer(context.Background(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-release
	}), Limits{}, log.New(testLog{t}, "", 0))
	c := dial(t, listening(t, s))
	c.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	down := make(chan error)
	go func() { down <- s.Shutdown(context.Background()) }()
	<-s.feed.done
	if err := s.Probe(context.Background()); err != nil {
		t.Error(err)
	}
	close(release)
	if err := <-down; err != nil {
		t.Error(err)
	}
}

// A handler that ends its goroutine ends its connection, also where that
// goroutine is net/http's, because an earlier request was.
func TestGoexitBehindABody(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { runtime.Goexit() })
	s := NewServer(context.Background(), mux, Limits{}, log.New(testLog{t}, "", 0))
	c := dial(t, listening(t, s))
	c.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
	if _, err := http.ReadResponse(c.br, nil); err != nil {
		t.Fatal(err)
	}
	c.write("GET /exit HTTP/1.1\r\nHost: x\r\n\r\n")
	if b, err := io.ReadAll(c.br); err != nil || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
}
