package handover

import (
	"net"
	"net/http"
	"reflect"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/serve/http1"
	"github.com/andrestc/go-plugserver/internal/serve/record"
)

// Began is when a request that a Server has given to a handler began to be served.
func Began(r *http.Request) time.Time {
	if x, ok := r.Context().(*requestContext); ok {
		return x.began
	}
	return time.Now()
}

// Answered says what a handler has made of w, which a Server has given to it with r: the
// final status, counter.Hijacked where it has taken the connection, 0 where it has given
// none; and the bytes of the answer's body, as it counts them.
func Answered(w http.ResponseWriter, r *http.Request) (status int, out int64) {
	if w, ok := w.(*http1.Response); ok {
		if w.Hijacked() {
			return counter.Hijacked, 0
		}
		return w.Answered()
	}
	if w, ok := w.(*record.Writer); ok {
		return w.Answered()
	}
	if w, ok := w.(*ownAnswer); ok {
		return w.status, w.written
	}
	if whole := wholeFrom(r); whole != nil && whole.stage.Load() == hijacked {
		return counter.Hijacked, 0
	}
	return answeredByNet(w)
}

// Received is how many bytes of a request's body there were: what its head says, or
// what the client has sent, chunks and all, by now.
func Received(r *http.Request) int64 {
	if r.ContentLength >= 0 {
		return r.ContentLength
	}
	if x, ok := r.Context().(*requestContext); ok && x.received != nil {
		return x.received()
	}
	if whole := wholeFrom(r); whole != nil {
		return whole.bodyRead.Load()
	}
	return 0
}

// wholeFrom returns the connection of a request that net/http's server serves, or nil.
func wholeFrom(r *http.Request) *wholeConn {
	if nc, ok := r.Context().Value(connKey{}).(net.Conn); ok {
		return wholeOf(nc)
	}
	return nil
}

// netResponse is where net/http's server keeps what it has answered (see Begun for why
// it is not wrapped).
type netResponse struct {
	of                     reflect.Type
	status, written, begun uintptr
	known                  bool
}

var lastNetResponse atomic.Pointer[netResponse]

func answeredByNet(w http.ResponseWriter) (status int, out int64) {
	v := structBelow(reflect.ValueOf(w))
	if !v.IsValid() {
		return 0, 0
	}
	f := lastNetResponse.Load()
	if f == nil || f.of != v.Type() {
		f = findNetResponse(v.Type())
		lastNetResponse.Store(f)
	}
	base := v.Addr().UnsafePointer()
	if !f.known || !*(*bool)(unsafe.Add(base, f.begun)) {
		return 0, 0
	}
	return *(*int)(unsafe.Add(base, f.status)), *(*int64)(unsafe.Add(base, f.written))
}

func findNetResponse(t reflect.Type) *netResponse {
	f := &netResponse{of: t, known: true}
	find := func(name string, kind reflect.Kind) uintptr {
		field, ok := t.FieldByName(name)
		f.known = f.known && ok && len(field.Index) == 1 && field.Type.Kind() == kind
		return field.Offset
	}
	f.status, f.written, f.begun = find("status", reflect.Int), find("written", reflect.Int64), find("wroteHeader", reflect.Bool)
	return f
}
