package cell

import (
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/andrestc/go-plugserver/internal/between/access"
	"github.com/andrestc/go-plugserver/internal/serve/handover"
)

// own serves the requests of one of this cell's patterns.
type own struct {
	cell    *Cell
	plugin  *loaded
	pattern string
	h       http.Handler
}

func (o *own) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// What a handler may change is read before.
	r.RemoteAddr = o.cell.proxies.Client(r)
	e := access.Entry{Began: handover.Began(r)}
	if o.logged(r) {
		e.Client, e.Asked = r.RemoteAddr, access.AskedBy(r)
	} else {
		e.Asked.Method = r.Method
	}
	o.plugin.counts.Begin(e.Asked.Method, e.Began)
	answers := false
	defer func() { o.count(&e, w, r, answers) }()
	defer func() {
		if p := recover(); p != nil {
			o.panicked(w, r, p)
			answers = true
		}
	}()
	o.serve(w, r)
	answers = true
}

// logged reports whether the request has its line in the access log.
func (o *own) logged(r *http.Request) bool {
	s := o.cell.server
	return s != nil && s.Access != nil && !o.plugin.bounds.Unlogged && !handover.Copied(r)
}

// count counts and logs a request that has ended. Where it answers, nothing said is 200.
func (o *own) count(e *access.Entry, w http.ResponseWriter, r *http.Request, answers bool) {
	handover.Finished(e, w, r, answers)
	o.plugin.counts.End(e.Asked.Method, e.Began, e.Status, e.Took, handover.Received(r), e.Bytes)
	if o.logged(r) {
		e.Handler, e.Version, e.Pattern = o.plugin.name, *o.plugin.version.Load(), o.pattern
		o.cell.server.Access.Add(e)
	}
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
