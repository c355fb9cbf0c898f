package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A request is a span of the client's trace, and what the handler does is one within it; all are told by the time
// that the handler has stopped.
func TestTrace(t *testing.T) {
	told := tracetest.NewInMemoryExporter()
	begin(trace.WithBatcher(kept{told}))
	path, h := Handler()
	mux := http.NewServeMux()
	mux.Handle(path, h)
	r := httptest.NewRequest("GET", "/trace/Ada", nil)
	r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	if want := "Hello Ada, this is trace 0af7651916cd43dd8448eb211c80319c\n"; w.Code != 200 || w.Body.String() != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if err := Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := told.GetSpans()
	if len(spans) != 2 {
		t.Fatalf("%d spans", len(spans))
	}
	inner, outer := spans[0], spans[1]
	if inner.Name != "greet" || inner.Parent.SpanID() != outer.SpanContext.SpanID() {
		t.Errorf("%q is a child of %s", inner.Name, inner.Parent.SpanID())
	}
	if outer.Name != pattern || outer.Parent.SpanID().String() != "b7ad6b7169203331" || !outer.Parent.IsRemote() {
		t.Errorf("%q is a child of %s", outer.Name, outer.Parent.SpanID())
	}
}

// What begins is what is printed.
func TestStart(t *testing.T) {
	if err := Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// kept keeps its spans when it is shut down, for the test to look at.
type kept struct{ *tracetest.InMemoryExporter }

func (kept) Shutdown(context.Context) error { return nil }
