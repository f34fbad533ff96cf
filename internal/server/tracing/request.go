package tracing

import (
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/penstock-llm/penstock/internal/server/serving"
)

// End is how a request ended.
type End struct {
	Method, Route string
	Request       string // its id
	Status        int
	Error         *serving.Error // nil: it succeeded
	Model         string
	Runs          []serving.Run
}

// End ends the span. The phases of each run become spans below it: queue, prefill
// and decode. Prompts and answers are no part of it.
func (s *Span) End(e *End) {
	if s == nil {
		return
	}
	end := time.Now()
	if s.span.IsRecording() {
		s.describe(e)
		for i := range e.Runs {
			s.phases(&e.Runs[i])
		}
	}
	s.span.End(trace.WithTimestamp(s.at(end)))
}

// at is a moment on the clock of the span's start. Within a process only the time
// between two moments is certain: the wall clock may have been set meanwhile.
func (s *Span) at(t time.Time) time.Time { return s.start.Add(t.Sub(s.start)) }

// describe sets the attributes of the request, under the names of OpenTelemetry's
// conventions for HTTP servers and for generative models.
func (s *Span) describe(e *End) {
	attributes := []attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(e.Method), semconv.HTTPRoute(e.Route), semconv.HTTPResponseStatusCode(e.Status),
		attribute.String("penstock.request.id", e.Request), semconv.GenAIProviderNameKey.String("penstock"), operation(e.Route),
	}
	if e.Model != "" {
		attributes = append(attributes, semconv.GenAIRequestModel(e.Model), semconv.GenAIResponseModel(e.Model))
	}
	if len(e.Runs) > 0 {
		input, output, cached := 0, 0, 0
		var reasons []string
		for _, r := range e.Runs {
			input, output, cached = input+r.Prompt, output+r.Completion, cached+r.Cached
			reasons = append(reasons, r.Reason)
		}
		attributes = append(attributes, semconv.GenAIUsageInputTokens(input), semconv.GenAIUsageOutputTokens(output),
			semconv.GenAIUsageCacheReadInputTokens(cached), semconv.GenAIResponseFinishReasons(reasons...))
	}
	if e.Error != nil {
		attributes = append(attributes, semconv.ErrorTypeKey.String(errorType(e.Error)))
		if e.Status >= 500 {
			s.span.SetStatus(codes.Error, e.Error.Message)
		}
	}
	s.span.SetAttributes(attributes...)
}

func errorType(e *serving.Error) string {
	switch {
	case e.Code != "":
		return e.Code
	case e.Type != "":
		return e.Type
	default:
		return "client_closed_request"
	}
}

// operation is what a route asks the model for.
func operation(route string) attribute.KeyValue {
	for _, part := range []string{"embed", "rerank", "score", "classify", "pooling"} {
		if strings.Contains(route, part) {
			return semconv.GenAIOperationNameEmbeddings
		}
	}
	for _, part := range []string{"chat", "messages", "responses"} {
		if strings.Contains(route, part) {
			return semconv.GenAIOperationNameChat
		}
	}
	return semconv.GenAIOperationNameTextCompletion
}

// phases makes a span for each phase that a run went through.
func (s *Span) phases(r *serving.Run) {
	t := &r.Timings
	phase := func(name string, from, to time.Time, attributes ...attribute.KeyValue) {
		if from.IsZero() {
			return
		}
		if to.IsZero() {
			to = t.Finished // it ended in this phase
		}
		_, span := s.tracer.tracer.Start(s.ctx, name, trace.WithTimestamp(s.at(from)), trace.WithAttributes(attributes...))
		span.End(trace.WithTimestamp(s.at(to)))
	}
	phase("queue", t.Submitted, t.Scheduled)
	phase("prefill", t.Scheduled, t.FirstToken, semconv.GenAIUsageInputTokens(r.Prompt), semconv.GenAIUsageCacheReadInputTokens(r.Cached))
	phase("decode", t.FirstToken, t.LastToken, semconv.GenAIUsageOutputTokens(r.Completion), semconv.GenAIResponseFinishReasons(r.Reason),
		attribute.Int("penstock.steps", t.Steps))
}
