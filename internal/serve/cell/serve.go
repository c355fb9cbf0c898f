package cell

import (
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/andrestc/go-plugserver/internal/serve/handover"
)

// own serves the requests of one of this cell's patterns.
type own struct {
	cell   *Cell
	plugin *loaded
	h      http.Handler
}

func (o *own) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.plugin.requests.Add(1)
	o.plugin.inFlight.Add(1)
	defer func() {
		o.plugin.inFlight.Add(-1)
		if p := recover(); p != nil {
			o.panicked(w, r, p)
		}
	}()
	o.h.ServeHTTP(w, r)
}

// panicked answers 500 where nothing was answered yet; else the client has to
// see that the answer is cut short.
func (o *own) panicked(w http.ResponseWriter, r *http.Request, p any) {
	if p == http.ErrAbortHandler {
		panic(p)
	}
	stack := debug.Stack()
	o.cell.recordOf(o.plugin.name, "error", fmt.Sprintf("panic in %s %s: %v", r.Method, r.URL.Path, p), map[string]string{
		"pattern": r.Pattern,
		"at":      panicFrame(stack),
		"stack":   string(stack),
	})
	if handover.Begun(w) {
		panic(http.ErrAbortHandler)
	}
	http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
}
