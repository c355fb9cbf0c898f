// Package admin serves what those who watch over the service ask by HTTP: /metrics, /healthz,
// /readyz, and the page at / with its parts. It changes nothing, and never runs on the supervisor's
// loop; who asks has deadlines, and there are so many at a time.
package admin

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/andrestc/go-plugserver/internal/daemon/page"
)

// Backend is what is asked.
type Backend struct {
	Metrics http.Handler
	Page    *page.Page
	// Alive returns nil once the supervisor and the gate have answered.
	Alive func(ctx context.Context) error
	// Ready is closed once all that was there at the start was tried, and the gate accepts.
	Ready <-chan struct{}
	// Stopping is closed once the service ends.
	Stopping <-chan struct{}
}

const (
	// aliveWait bounds the wait for the supervisor and the gate.
	aliveWait = 2 * time.Second
	// mostConns is how many connections there may be at a time.
	mostConns = 64
	// grace is what is under way gets when the server ends.
	grace = 2 * time.Second
)

// Serve answers on l until ctx is done, and closes l. An error means that l broke.
func Serve(ctx context.Context, l net.Listener, b Backend) error {
	srv := &http.Server{
		Handler:           b.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       2 * time.Minute, // Prometheus comes back each minute, or sooner
		MaxHeaderBytes:    8 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		within, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		if srv.Shutdown(within) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(newBounded(l, mostConns))
	if stop() {
		srv.Close()
		return fmt.Errorf("serve admin socket %s: %w", l.Addr(), err)
	}
	<-stopped
	return nil
}

func (b Backend) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", b.Metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { say(w, b.healthy(r.Context())) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { say(w, b.ready(r.Context())) })
	b.Page.Register(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

func say(w http.ResponseWriter, wrong error) {
	if wrong != nil {
		http.Error(w, wrong.Error(), http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ok\n")
}

func (b Backend) healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, aliveWait)
	defer cancel()
	if err := b.Alive(ctx); err != nil {
		return fmt.Errorf("the supervisor and the gate do not answer: %w", err)
	}
	return nil
}

func (b Backend) ready(ctx context.Context) error {
	select {
	case <-b.Stopping:
		return fmt.Errorf("stopping")
	default:
	}
	select {
	case <-b.Ready:
		return b.healthy(ctx)
	default:
		return fmt.Errorf("starting: not every handler was tried")
	}
}
