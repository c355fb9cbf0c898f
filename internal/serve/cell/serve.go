package cell

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/handover"
)

// own serves the requests of one of this cell's patterns.
type own struct {
	cell   *Cell
	plugin *loaded
	h      http.Handler
}

func (o *own) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began, method := handover.Began(r), r.Method // which a handler may change
	o.plugin.counts.Begin()
	answers := false
	defer func() { o.count(w, r, method, began, answers) }()
	defer func() {
		if p := recover(); p != nil {
			o.panicked(w, r, p)
			answers = true
		}
	}()
	o.serve(w, r)
	answers = true
}

// count counts a request that has ended. Where it answers, nothing said is 200.
func (o *own) count(w http.ResponseWriter, r *http.Request, method string, began time.Time, answers bool) {
	status, out := handover.Answered(w, r)
	if status == 0 && answers {
		status = http.StatusOK
	}
	if method == http.MethodHead {
		out = 0
	}
	o.plugin.counts.End(method, status, time.Since(began), handover.Received(r), out)
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
