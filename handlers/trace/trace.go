// Trace is a handler whose requests are spans of OpenTelemetry's, by otelhttp: of the trace that the client's traceparent
// names, or of a new one. They are printed, as JSON, and so reach the log under the handler's name; in otlptracehttp's
// place of stdouttrace they go where OTEL_EXPORTER_OTLP_ENDPOINT says, which Environment= in plugserverd.conf(5) sets.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
)

// provider is of this version of the handler alone: its process is its own, so OpenTelemetry's globals are, too.
var provider *trace.TracerProvider

// Start runs once, before Handler.
func Start(context.Context) error {
	printed, err := stdouttrace.New(stdouttrace.WithWriter(os.Stdout))
	if err != nil {
		return err
	}
	begin(trace.WithBatcher(printed)) // off the path of requests
	return nil
}

func begin(to trace.TracerProviderOption) {
	provider = trace.NewTracerProvider(to)
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
}

// Stop runs after the last request: what was not told of yet is told now.
func Stop(ctx context.Context) error { return provider.Shutdown(ctx) }

// pattern names the spans, and is what the server routes by.
const pattern = "GET /trace/{name}"

// Handler returns the pattern and the function that serves it, inside of a span.
func Handler() (string, http.Handler) {
	return pattern, otelhttp.NewHandler(http.HandlerFunc(greet), pattern)
}

func greet(w http.ResponseWriter, r *http.Request) {
	_, span := otel.Tracer("plugserver.example/trace").Start(r.Context(), "greet")
	defer span.End()
	name := r.PathValue("name")
	span.SetAttributes(attribute.String("greeted", name))
	fmt.Fprintf(w, "Hello %s, this is trace %s\n", name, span.SpanContext().TraceID())
}

func main() {}
