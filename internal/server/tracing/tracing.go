// Package tracing sends what happened to requests to an OpenTelemetry collector,
// over OTLP/HTTP. It is set up by the variables OTEL_… that the OpenTelemetry
// specification names, which its SDK reads; without them there is no Tracer, and
// requests cost nothing more.
//
// It does not decide what is traced: package server begins a span for each request
// that it routes to a handler, and ends it with the record of the request. Spans
// wait in a bounded queue for a goroutine of the SDK's. When the collector is away
// or slow they are dropped; a request never waits for them.
package tracing

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

// Tracer makes spans. A nil Tracer makes none.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// Wanted reports whether the environment asks for traces: it names a collector, or
// the exporter otlp. What this program cannot do is an error.
func Wanted(getenv func(string) string) (bool, error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch exporter := getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "none":
		return false, nil
	case "otlp":
	case "":
		if getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
			return false, nil
		}
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER=%s: want otlp or none", exporter)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		switch protocol := getenv(name); protocol {
		case "http/protobuf":
			return true, nil
		case "":
		default:
			return false, fmt.Errorf("%s=%s: traces are sent as http/protobuf, to port 4318 of most collectors", name, protocol)
		}
	}
	return true, nil
}

// New makes a Tracer as the environment says. problem is told, at most once a
// minute, when spans cannot be delivered.
func New(ctx context.Context, version string, problem func(error)) (*Tracer, error) {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("traces (OTEL_…): %w", err)
	}
	// What the environment says of the service comes before our own name for it.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName("penstock"), semconv.ServiceVersion(version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("traces (OTEL_RESOURCE_ATTRIBUTES): %w", err)
	}
	told := &reporting{SpanExporter: exporter, problem: problem, began: time.Now()}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(told), sdk.WithResource(about))
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/penstock-llm/penstock", trace.WithInstrumentationVersion(version))}, nil
}

// reporting is an exporter that says when it cannot deliver, at most once a minute.
type reporting struct {
	sdk.SpanExporter
	problem func(error)
	began   time.Time
	quiet   atomic.Int64 // ns since began until which nothing more is said
}

// ExportSpans sends spans to the collector. The SDK retries for a while.
func (r *reporting) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := r.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	now := int64(time.Since(r.began))
	if until := r.quiet.Load(); now >= until && r.quiet.CompareAndSwap(until, now+int64(time.Minute)) {
		r.problem(err)
	}
	return nil
}

// Shutdown sends what is left, as long as ctx allows.
func (t *Tracer) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Span is a request that is being traced. A nil Span is none.
type Span struct {
	tracer *Tracer
	ctx    context.Context
	span   trace.Span
	start  time.Time
}

// Begin begins the span of a request that came at start. Its parent is the one in
// the request's header traceparent, which also says whether it is sampled.
func (t *Tracer) Begin(r *http.Request, route string, start time.Time) *Span {
	if t == nil {
		return nil
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, r.Method+" "+route, trace.WithTimestamp(start), trace.WithSpanKind(trace.SpanKindServer))
	return &Span{tracer: t, ctx: ctx, span: span, start: start}
}

// Traceparent is the span as the header of that name has it.
func (s *Span) Traceparent() string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(s.ctx, carrier)
	return carrier["traceparent"]
}

// Valid reports whether a header traceparent has the form that W3C's Trace Context
// gives it, so that it can be passed on.
func Valid(header string) bool {
	carrier := propagation.MapCarrier{"traceparent": header}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier)).IsValid()
}
