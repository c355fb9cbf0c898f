package cell

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"

	"github.com/andrestc/go-plugserver/internal/handover"
)

// own serves the requests of one of this cell's patterns.
type own struct {
	cell   *Cell
	plugin *loaded
	h      http.Handler
}

func (o *own) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handover.Claim(r)
	o.plugin.requests.Add(1)
	o.plugin.inFlight.Add(1)
	rw := &response{ResponseWriter: w}
	defer func() {
		o.plugin.inFlight.Add(-1)
		if p := recover(); p != nil {
			o.panicked(rw, r, p)
		}
	}()
	o.h.ServeHTTP(rw, r)
}

// panicked answers 500 where nothing was answered yet; else the client has to
// see that the answer is cut short.
func (o *own) panicked(w *response, r *http.Request, p any) {
	if p == http.ErrAbortHandler {
		panic(p)
	}
	stack := debug.Stack()
	o.cell.recordOf(o.plugin.name, "error", fmt.Sprintf("panic in %s %s: %v", r.Method, r.URL.Path, p), map[string]string{
		"pattern": r.Pattern,
		"at":      panicFrame(stack),
		"stack":   string(stack),
	})
	if w.wrote {
		panic(http.ErrAbortHandler)
	}
	http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
}

// response knows whether an answer has begun. It offers all that net/http's
// own ResponseWriter does for HTTP/1, the only version that cells speak.
type response struct {
	http.ResponseWriter
	wrote bool
}

func (w *response) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.wrote = true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(p)
}

func (w *response) WriteString(s string) (int, error) {
	w.wrote = true
	return io.WriteString(w.ResponseWriter, s)
}

func (w *response) ReadFrom(r io.Reader) (int64, error) {
	w.wrote = true
	return w.ResponseWriter.(io.ReaderFrom).ReadFrom(r)
}

func (w *response) Flush() {
	w.wrote = true
	w.ResponseWriter.(http.Flusher).Flush()
}

func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.wrote = true
	return w.ResponseWriter.(http.Hijacker).Hijack()
}

// CloseNotify implements http.CloseNotifier, which older code still asks for.
func (w *response) CloseNotify() <-chan bool {
	return w.ResponseWriter.(http.CloseNotifier).CloseNotify() //lint:ignore SA1019 see above
}

// Unwrap serves http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// foreign serves the requests of every other pattern: they are another
// process's, and the gate knows whose.
type foreign struct{ cell *Cell }

func (f foreign) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := f.cell.gate(r.Context())
	if p == nil {
		handover.Claim(r)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "no gate", http.StatusServiceUnavailable)
		return
	}
	f.cell.server.HandOver(w, r, p)
}
