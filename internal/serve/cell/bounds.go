package cell

import (
	"context"
	"errors"
	"net/http"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/serve/handover"
)

// serve has the handler answer, within its bounds.
func (o *own) serve(w http.ResponseWriter, r *http.Request) {
	b := o.plugin.bounds
	if b == (link.Bounds{}) {
		o.h.ServeHTTP(w, r)
		return
	}
	if b.MaxInFlight > 0 {
		defer o.plugin.running.Add(-1)
		if o.plugin.running.Add(1) > int64(b.MaxInFlight) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "the handler serves as many requests as it may", http.StatusServiceUnavailable)
			return
		}
	}
	if b.MaxBodyBytes > 0 {
		if r.ContentLength > b.MaxBodyBytes {
			w.Header().Set("Connection", "close") // what it sends is not read
			http.Error(w, "the request's body is too large", http.StatusRequestEntityTooLarge)
			return
		}
		if r.ContentLength != 0 {
			r.Body = http.MaxBytesReader(w, r.Body, b.MaxBodyBytes)
		}
	}
	if b.RequestTimeout == 0 {
		o.h.ServeHTTP(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), b.RequestTimeout)
	defer cancel()
	o.h.ServeHTTP(w, r.WithContext(ctx))
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && !handover.Begun(w) {
		http.Error(w, "the handler took too long", http.StatusServiceUnavailable)
	}
}
