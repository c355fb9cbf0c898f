package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
)

// Backend is what the supervisor offers. Its methods are called from many
// goroutines; they return soon after ctx ends.
type Backend interface {
	Status(ctx context.Context) (api.Status, error)
	// Reload returns once the directory is reconciled.
	Reload(ctx context.Context) (api.Reload, error)
	// Release tries the handler's newest file again, though it crashed too
	// often, and returns as Reload does.
	Release(ctx context.Context, name string) (api.Reload, error)
	// Settle looks at the directory, and returns once the newest file of the
	// handler was tried, builds included, and what came of it is in force.
	// Nothing under that name is an outcome, not an error.
	Settle(ctx context.Context, name string) (api.Outcome, error)
	// History returns the versions of the handler that can be served.
	History(ctx context.Context, name string) (api.History, error)
	// Rollback serves an earlier version of the handler, and returns once it
	// is live or was refused. The version is one of History's, or "" for the
	// one before the current.
	Rollback(ctx context.Context, name, version string) (api.Outcome, error)
	// Canary does something about a handler's canary, a word of canary's on these terms, and returns once that is in force.
	Canary(ctx context.Context, name, do, terms string) (api.Outcome, error)
	// Restart gives the handler a new process, and returns once it serves.
	Restart(ctx context.Context, name string) (api.Outcome, error)
	// Enable and Disable say whether the handler's file is to be served, from one start to the
	// next, and return as Settle does.
	Enable(ctx context.Context, name string) (api.Outcome, error)
	Disable(ctx context.Context, name string) (api.Outcome, error)
	// Show returns what is set for a handler, whether there is one or not.
	Show(ctx context.Context, name string) (api.Shown, error)
	// Metrics returns how the service does.
	Metrics(ctx context.Context) (api.Metrics, error)
	// Events returns those that followed the one of that number, as far as they are
	// remembered. With wait it returns once there is one, or none after a while.
	Events(ctx context.Context, since uint64, wait bool) (api.Events, error)
}

// limits is how long a client may take, and how much it may send.
type limits struct {
	header time.Duration // to send a request's head
	read   time.Duration // to send a request
	write  time.Duration // to take an answer
	idle   time.Duration // between requests
	grace  time.Duration // to finish once the server stops
	body   int64         // bytes; no request needs any
}

var defaultLimits = limits{
	header: 5 * time.Second,
	read:   10 * time.Second,
	write:  10 * time.Second,
	idle:   30 * time.Second,
	grace:  2 * time.Second,
	body:   4 << 10,
}

// Serve answers on l until ctx ends, then cancels what is under way, waits for
// it up to 2 s, closes l and returns nil. An error means that l broke. Only
// root and who else may are answered.
func Serve(ctx context.Context, l net.Listener, b Backend, version api.Version, who Operators) error {
	return serve(ctx, l, b, version, who.check(l.Addr().String()), defaultLimits)
}

// routes are what can be asked of the daemon.
func routes(b Backend, version api.Version) map[string]route {
	return map[string]route{
		"/v1/status": {http.MethodGet, func(ctx context.Context, _ url.Values) (any, error) { return status(ctx, b) }},
		"/v1/reload": {http.MethodPost, func(ctx context.Context, _ url.Values) (any, error) {
			return whole(b.Reload(ctx))
		}},
		"/v1/release": {http.MethodPost, func(ctx context.Context, q url.Values) (any, error) {
			return whole(b.Release(ctx, q.Get("name")))
		}},
		"/v1/settle": {http.MethodPost, func(ctx context.Context, q url.Values) (any, error) {
			return outcome(b.Settle(ctx, q.Get("name")))
		}},
		"/v1/history": {http.MethodGet, func(ctx context.Context, q url.Values) (any, error) {
			h, err := b.History(ctx, q.Get("name"))
			if h.Versions == nil {
				h.Versions = []api.Past{}
			}
			return h, err
		}},
		"/v1/rollback": {http.MethodPost, func(ctx context.Context, q url.Values) (any, error) {
			return outcome(b.Rollback(ctx, q.Get("name"), q.Get("version")))
		}},
		"/v1/canary": {http.MethodPost, func(ctx context.Context, q url.Values) (any, error) {
			return outcome(b.Canary(ctx, q.Get("name"), q.Get("do"), q.Get("terms")))
		}},
		"/v1/restart": {http.MethodPost, func(ctx context.Context, q url.Values) (any, error) {
			return outcome(b.Restart(ctx, q.Get("name")))
		}},
		"/v1/enable": {http.MethodPost, func(ctx context.Context, q url.Values) (any, error) {
			return outcome(b.Enable(ctx, q.Get("name")))
		}},
		"/v1/disable": {http.MethodPost, func(ctx context.Context, q url.Values) (any, error) {
			return outcome(b.Disable(ctx, q.Get("name")))
		}},
		"/v1/show":    {http.MethodGet, func(ctx context.Context, q url.Values) (any, error) { return b.Show(ctx, q.Get("name")) }},
		"/v1/metrics": {http.MethodGet, func(ctx context.Context, _ url.Values) (any, error) { return b.Metrics(ctx) }},
		"/v1/events": {http.MethodGet, func(ctx context.Context, q url.Values) (any, error) {
			since, _ := strconv.ParseUint(q.Get("since"), 10, 64) // none: from the first on
			e, err := b.Events(ctx, since, q.Get("wait") != "")
			if e.Events == nil {
				e.Events = []api.Event{}
			}
			return e, err
		}},
		"/v1/version": {http.MethodGet, func(context.Context, url.Values) (any, error) { return version, nil }},
	}
}

func serve(ctx context.Context, l net.Listener, b Backend, version api.Version, check func(net.Conn) error, lim limits) error {
	h := &handler{
		ctx:    ctx,
		limits: lim,
		routes: routes(b, version),
	}
	srv := &http.Server{
		Handler:                      h,
		DisableGeneralOptionsHandler: true, // it would answer before the peer is checked
		// No WriteTimeout: it would count the time a reload takes.
		ReadHeaderTimeout: lim.header,
		ReadTimeout:       lim.read,
		IdleTimeout:       lim.idle,
		MaxHeaderBytes:    8 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, checkedKey{}, checked{check(c)})
		},
	}
	stopped := make(chan struct{}) // closed once the server has shut down
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.Background(), lim.grace)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close() // somebody is silent or slow: not our loss
		}
	})
	err := srv.Serve(steady{l, ctx.Done()})
	if stop() {
		srv.Close()
		return fmt.Errorf("serve control socket %q: %w", l.Addr().String(), err)
	}
	<-stopped
	return nil
}

type checkedKey struct{}

// checked is why the peer of a connection is not answered, or nil.
type checked struct{ err error }

// route is one endpoint.
type route struct {
	method string
	answer func(context.Context, url.Values) (any, error)
}

type handler struct {
	ctx    context.Context // of the server: ends when it stops
	limits limits
	routes map[string]route // by path
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	code, answer := h.answer(w, r)
	body, err := json.Marshal(answer)
	if err != nil {
		code, body = http.StatusInternalServerError, []byte(`{"error":"encode the answer: see the log of plugserverd"}`)
	}
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(h.limits.write))
	w.Header().Set("Content-Type", "application/json")
	if code >= 400 {
		w.Header().Set("Connection", "close")
	}
	w.WriteHeader(code)
	w.Write(append(body, '\n')) // an error is the client's: nobody is left to tell
}

// answer returns the status code and what to encode.
func (h *handler) answer(w http.ResponseWriter, r *http.Request) (int, any) {
	if err := r.Context().Value(checkedKey{}).(checked).err; err != nil {
		return http.StatusForbidden, api.Error{Message: err.Error()}
	}
	route, ok := h.routes[r.URL.Path]
	if !ok {
		return http.StatusNotFound, api.Error{Message: fmt.Sprintf("plugserverd has no %q; plugserverctl may be newer than the daemon", r.URL.Path)}
	}
	if r.Method != route.method {
		w.Header().Set("Allow", route.method)
		return http.StatusMethodNotAllowed, api.Error{Message: fmt.Sprintf("%q takes %s, not %q", r.URL.Path, route.method, r.Method)}
	}
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, h.limits.body)); err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return http.StatusRequestEntityTooLarge, api.Error{Message: fmt.Sprintf("%q takes no body", r.URL.Path)}
		}
		return http.StatusBadRequest, api.Error{Message: "read the request: " + err.Error()}
	}
	// The request is whole. Left alone, its read deadline would cancel a reload
	// that takes longer; without one, only the client's leaving does.
	http.NewResponseController(w).SetReadDeadline(time.Time{})

	answer, err := route.answer(r.Context(), r.URL.Query())
	switch {
	case err == nil:
		return http.StatusOK, answer
	case h.ctx.Err() != nil:
		return http.StatusServiceUnavailable, api.Error{Message: "plugserverd is stopping"}
	default:
		return http.StatusInternalServerError, api.Error{Message: err.Error()}
	}
}

// status is b's, with no nil lists: they would be null in the answer.
func status(ctx context.Context, b Backend) (api.Status, error) {
	st, err := b.Status(ctx)
	if err != nil {
		return st, err
	}
	if st.Daemon.Listeners == nil {
		st.Daemon.Listeners = []string{}
	}
	// Copied: the backend's own list may be shared.
	st.Handlers = append([]api.Handler{}, st.Handlers...)
	for i := range st.Handlers {
		if st.Handlers[i].Patterns == nil {
			st.Handlers[i].Patterns = []string{}
		}
	}
	return st, nil
}

// outcome is the backend's, with no nil list.
func outcome(o api.Outcome, err error) (api.Outcome, error) {
	if o.Handler != nil && o.Handler.Patterns == nil {
		h := *o.Handler
		h.Patterns = []string{}
		o.Handler = &h
	}
	return o, err
}

// whole leaves no nil map: it would be null in the answer.
func whole(re api.Reload, err error) (api.Reload, error) {
	if re.Refused == nil {
		re.Refused = map[string]api.Refusal{}
	}
	return re, err
}
