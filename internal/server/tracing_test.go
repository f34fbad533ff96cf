package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	tracecollector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-llm/penstock/internal/server/tracing"
)

// receiver is a collector that keeps the spans that it gets.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	spans   []*otlp.Span
	service string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	c := &receiver{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var sent tracecollector.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(body, &sent) != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v, not spans", r.URL.Path, err)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, resource := range sent.ResourceSpans {
			for _, a := range resource.Resource.Attributes {
				if a.Key == "service.name" {
					c.service = a.Value.GetStringValue()
				}
			}
			for _, scope := range resource.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// traced is a server whose spans go to an endpoint.
func traced(t *testing.T, endpoint string, problem func(error)) (*fixture, *tracing.Tracer) {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
	tracer, err := tracing.New(t.Context(), "test", problem)
	if err != nil {
		t.Fatal(err)
	}
	return newFixture(t, "abcdef\x00", func(c *Config, _ *engineConfig) { c.Tracer = tracer }), tracer
}

// attributes are those of a span as texts.
func attributes(s *otlp.Span) map[string]string {
	m := map[string]string{}
	for _, a := range s.Attributes {
		text := a.Value.String()
		_, text, _ = strings.Cut(text, ":")
		m[a.Key] = strings.Trim(text, `"`)
	}
	return m
}

// TestTraces: a request is a span below the one that the client names, with a span
// for each phase below it.
func TestTraces(t *testing.T) {
	c := newReceiver(t)
	f, tracer := traced(t, c.URL, func(err error) { t.Error(err) })
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	a := f.do(t, "POST", "/v1/chat/completions", "{"+hello+"}", "Traceparent", "00-"+trace+"-"+parent+"-01")
	f.do(t, "POST", "/v1/chat/completions", "{", "Traceparent", "00-"+trace+"-"+parent+"-00") // not sampled
	f.do(t, "GET", "/metrics", "")
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	byName := map[string]*otlp.Span{}
	for _, s := range c.spans {
		byName[s.Name] = s
		if hex(s.TraceId) != trace {
			t.Errorf("%s is part of the trace %s", s.Name, hex(s.TraceId))
		}
	}
	request := byName["POST /v1/chat/completions"]
	if request == nil || len(c.spans) != 4 {
		t.Fatalf("got %v", c.spans)
	}
	if got := a.header.Get("Traceparent"); got != "00-"+trace+"-"+hex(request.SpanId)+"-01" {
		t.Errorf("the answer has the traceparent %s", got)
	}
	if hex(request.ParentSpanId) != parent || request.Kind != otlp.Span_SPAN_KIND_SERVER || c.service != "penstock" {
		t.Errorf("the span %v of service %q", request, c.service)
	}
	for key, want := range map[string]string{
		"gen_ai.operation.name": "chat", "gen_ai.response.model": "org/tiny", "gen_ai.usage.output_tokens": "7", "http.response.status_code": "200",
		"http.route": "/v1/chat/completions", "gen_ai.usage.cache_read.input_tokens": "0",
	} {
		if got := attributes(request)[key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	last := request.StartTimeUnixNano
	for _, name := range []string{"queue", "prefill", "decode"} {
		s := byName[name]
		if s == nil || hex(s.ParentSpanId) != hex(request.SpanId) || s.StartTimeUnixNano < last || s.EndTimeUnixNano < s.StartTimeUnixNano || s.EndTimeUnixNano > request.EndTimeUnixNano {
			t.Errorf("%s: %v", name, s)
			continue
		}
		last = s.EndTimeUnixNano
	}
	if got := attributes(byName["decode"]); got["gen_ai.usage.output_tokens"] != "7" || !strings.Contains(got["gen_ai.response.finish_reasons"], "stop") {
		t.Errorf("decode has %v", got)
	}
}

func hex(id []byte) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for _, x := range id {
		b.WriteByte(digits[x>>4])
		b.WriteByte(digits[x&15])
	}
	return b.String()
}

// TestTracesWithoutCollector: while nobody takes the spans, requests are answered
// as ever, however many there are, and the end of the server does not wait either.
func TestTracesWithoutCollector(t *testing.T) {
	hold := make(chan struct{})
	stuck := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	defer stuck.Close()
	defer close(hold)
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	f, tracer := traced(t, stuck.URL, func(error) {})
	for range 50 {
		if a := f.post(t, "/v1/completions", `{"prompt":"abc","max_tokens":1}`); a.status != 200 {
			t.Fatalf("status %d", a.status)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tracer.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the shutdown ended with %v", err)
	}
}

// TestTracesRefused: a collector that does not want the spans is reported, once.
func TestTracesRefused(t *testing.T) {
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	problems := make(chan error, 100)
	f, tracer := traced(t, refusing.URL, func(err error) { problems <- err })
	for range 20 {
		f.post(t, "/v1/completions", `{"prompt":"abc","max_tokens":1}`)
	}
	tracer.Shutdown(t.Context())
	if err := <-problems; !strings.Contains(err.Error(), "404") || len(problems) > 0 {
		t.Errorf("told of %v and %d more", err, len(problems))
	}
}

// TestTraceparentIsPassedOn: also where there are no traces, and only if it is one.
func TestTraceparentIsPassedOn(t *testing.T) {
	var l logged
	f := newFixture(t, "abc\x00", withLog(&l))
	const header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if got := f.do(t, "POST", "/v1/completions", `{"prompt":"abc"}`, "Traceparent", header).header.Get("Traceparent"); got != header {
		t.Errorf("got %q", got)
	}
	if got := f.do(t, "POST", "/v1/completions", `{"prompt":"abc"}`, "Traceparent", "00-junk\"x").header.Get("Traceparent"); got != "" {
		t.Errorf("got %q", got)
	}
	if text := l.String(); !strings.Contains(text, "traceparent="+header) || strings.Contains(text, "junk") {
		t.Errorf("the log has %s", text)
	}
}

// TestWanted: which variables ask for traces, and which ask for what is not there.
func TestWanted(t *testing.T) {
	for _, c := range []struct {
		env  string
		want bool
		fail bool
	}{
		{"", false, false},
		{"OTEL_SERVICE_NAME=x", false, false},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", true, false},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c:4318/v1/traces", true, false},
		{"OTEL_TRACES_EXPORTER=otlp", true, false},
		{"OTEL_TRACES_EXPORTER=none OTEL_EXPORTER_OTLP_ENDPOINT=http://c", false, false},
		{"OTEL_SDK_DISABLED=true OTEL_EXPORTER_OTLP_ENDPOINT=http://c", false, false},
		{"OTEL_TRACES_EXPORTER=zipkin", false, true},
		{"OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=grpc", false, true},
		{"OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf", true, false},
	} {
		env := map[string]string{}
		for _, v := range strings.Fields(c.env) {
			name, value, _ := strings.Cut(v, "=")
			env[name] = value
		}
		got, err := tracing.Wanted(func(name string) string { return env[name] })
		if got != c.want || (err != nil) != c.fail {
			t.Errorf("%s: %v, %v", c.env, got, err)
		}
	}
}
