package handover

import (
	"context"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// requestContext is the context of a request that net/http's server does not
// serve. It costs nothing until somebody looks at it: only then is the client's
// end watched, and only then is there something to cancel.
type requestContext struct {
	base   context.Context
	server *http.Server
	local  net.Addr
	began  time.Time
	eager  bool // net/http has looked at the client during the request before
	// watch begins to watch the client, and returns what ends that. It
	// calls gone, from any goroutine, where the client is gone. With now, it
	// has looked once before it returns.
	watch func(now bool, gone func()) (stop func())

	received  func() int64 // bytes of the request's body by now; or nil
	elsewhere bool         // the request is another process's; owned by the request's goroutine

	chosen, alternates bool // see divided.go
	copied             bool // see copyTo

	mu     sync.Mutex // guards the rest; never held while calling watch
	inner  context.Context
	cancel context.CancelFunc
	looked bool
	over   bool
	free   bool      // the client is not to be watched any more
	left   bool      // the client is gone
	notify chan bool // gets a value when it is; nil until asked for
	stop   func()
}

// Deadline implements context.Context.
func (x *requestContext) Deadline() (time.Time, bool) { return x.base.Deadline() }

// Done implements context.Context.
func (x *requestContext) Done() <-chan struct{} { return x.look().Done() }

// Err implements context.Context.
func (x *requestContext) Err() error { return x.look().Err() }

// Value implements context.Context.
func (x *requestContext) Value(key any) any {
	switch key {
	case http.ServerContextKey:
		return x.server
	case http.LocalAddrContextKey:
		return x.local
	}
	// Package context asks with a key of this type for what can be cancelled.
	if _, ok := key.(*int); ok {
		return x.made().Value(key)
	}
	return x.base.Value(key)
}

func (x *requestContext) String() string { return "request of " + http.LocalAddrContextKey.String() }

// made returns the context that can be cancelled.
func (x *requestContext) made() context.Context {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.inner == nil {
		x.inner, x.cancel = context.WithCancel(x.base)
		if x.over {
			x.cancel()
		}
	}
	return x.inner
}

// young is how long net/http's server takes, at the least, to notice that the
// client of a request is gone.
const young = 500 * time.Microsecond

// look returns it, and has the client watched.
func (x *requestContext) look() context.Context {
	inner := x.made()
	x.mu.Lock()
	first := !x.looked && !x.free && !x.left && x.watch != nil
	x.looked = true
	x.mu.Unlock()
	if !first {
		return inner
	}
	// Where the request is young, net/http's look-ahead has not come round to
	// see anything yet.
	stop := x.watch(x.eager || time.Since(x.began) > young, x.Gone)
	x.mu.Lock()
	free := x.free
	if !free {
		x.stop = stop
	}
	x.mu.Unlock()
	if free {
		stop()
	}
	return inner
}

// end cancels the context when its handler has returned.
func (x *requestContext) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	if x.cancel != nil {
		x.cancel()
	}
}

// Unwatch implements http1.Transport: it ends the watching for good. Whoever has the
// connection from now on reads it, and sets its deadlines. It comes after the
// answer, as in net/http.
func (x *requestContext) Unwatch() {
	x.mu.Lock()
	stop, looked := x.stop, x.looked
	x.stop, x.free = nil, true
	x.mu.Unlock()
	if looked {
		// Who waits for the context is on its way. With net/http it gets there first:
		// the server waits for another goroutine here.
		runtime.Gosched()
	}
	if stop != nil {
		stop()
	}
}

// Gone implements http1.Transport: it notes that the client is.
func (x *requestContext) Gone() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.inner == nil {
		x.inner, x.cancel = context.WithCancel(x.base)
	}
	x.cancel()
	if !x.left && x.notify != nil {
		x.notify <- true
	}
	x.left = true
}

// canceled reports whether the context has ended before its request, or with it
// because of the client.
func (x *requestContext) canceled() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.left
}

// CloseNotify implements http1.Transport.
func (x *requestContext) CloseNotify() <-chan bool {
	x.mu.Lock()
	if x.notify == nil {
		x.notify = make(chan bool, 1)
		if x.left {
			x.notify <- true
		}
	}
	x.mu.Unlock()
	x.look()
	return x.notify
}
