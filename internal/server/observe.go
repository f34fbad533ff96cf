package server

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/penstock-llm/penstock/internal/metrics"
	"github.com/penstock-llm/penstock/internal/server/promtext"
	"github.com/penstock-llm/penstock/internal/server/serving"
	"github.com/penstock-llm/penstock/internal/server/tracing"
)

// observer sees the start and the end of every request, whatever its path and
// however it ends. Logs and metrics are observers.
type observer interface {
	began(call *serving.Call)
	// ended is told the status that was sent; 0: none, the client was gone.
	ended(x *exchange, sent int)
}

// final is the status that a request ended with. It is not the one that was
// sent if a stream failed after its first byte.
func (x *exchange) final(sent int) int {
	if x.err != nil {
		return x.err.Status
	}
	return sent
}

// accessLog writes one line for each request, if that is wanted, and one for
// each internal error in any case.
//
// Texts of clients and models are not in it unless that is asked for. Messages of
// errors may repeat a client's words, so of what the client did wrong it has the code
// only; the client has the message.
type accessLog struct {
	log     *slog.Logger
	all     bool
	prompts bool
}

func (*accessLog) began(*serving.Call) {}

func (l *accessLog) ended(x *exchange, sent int) {
	call := x.call
	if x.err != nil && x.err.Cause != nil {
		attrs := []slog.Attr{slog.String("path", call.R.URL.Path), slog.String("request", call.ID), slog.String("error", x.err.Cause.Error())}
		var p *serving.PanicError
		if errors.As(x.err.Cause, &p) {
			attrs = append(attrs, slog.String("stack", string(p.Stack)))
		}
		l.log.LogAttrs(context.Background(), slog.LevelError, "request failed", attrs...)
	}
	if !l.all || !l.log.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", call.R.Method), slog.String("path", call.R.URL.Path), slog.Int("status", x.final(sent)),
		slog.Duration("time", time.Since(call.Start)), slog.String("request", call.ID), slog.String("client", call.Client.Name),
		slog.String("address", call.Address),
	}
	attrs = append(attrs, generated(call)...)
	if call.Trace != "" {
		attrs = append(attrs, slog.String("traceparent", call.Trace))
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("error", l.reason(x.err)))
		if sent != 0 && sent != x.err.Status {
			attrs = append(attrs, slog.Int("sent_status", sent)) // a stream that had begun
		}
	}
	for _, said := range call.Record.Said() {
		attrs = append(attrs, slog.String("prompt", said.Prompt), slog.String("answer", said.Answer))
	}
	l.log.LogAttrs(context.Background(), slog.LevelInfo, "request", attrs...)
}

// reason is what the log says of an error.
func (l *accessLog) reason(err *serving.Error) string {
	if l.prompts || err.Status >= 500 || err.Type == "" {
		return err.Message // the server's own words
	}
	return cmp.Or(err.Code, err.Type)
}

// generated is what the engine did for a request: tokens of all its generations
// together, the longest wait in the queue, and the time from the request's arrival
// to the first token of any.
func generated(call *serving.Call) []slog.Attr {
	runs := call.Record.Runs()
	if len(runs) == 0 {
		return nil
	}
	var prompt, cached, output int
	var queue, first time.Duration
	var reasons []string
	for i := range runs {
		r := &runs[i]
		prompt, cached, output = prompt+r.Prompt, cached+r.Cached, output+r.Completion
		queue = max(queue, r.Timings.Queued())
		if at := r.Timings.FirstToken.Sub(call.Start); !r.Timings.FirstToken.IsZero() && (first == 0 || at < first) {
			first = at
		}
		if !slices.Contains(reasons, r.Reason) {
			reasons = append(reasons, r.Reason)
		}
	}
	attrs := []slog.Attr{slog.String("model", call.Record.Model()), slog.Int("prompt_tokens", prompt), slog.Int("cached_tokens", cached),
		slog.Int("output_tokens", output), slog.Duration("queue", queue)}
	if first > 0 {
		attrs = append(attrs, slog.Duration("ttft", first))
	}
	if len(runs) > 1 {
		attrs = append(attrs, slog.Int("runs", len(runs)))
	}
	return append(attrs, slog.String("finish", strings.Join(reasons, ",")))
}

// shapes counts how many answers requests ask for, and how long the longest is.
type shapes struct{ choices, longest *metrics.Histogram }

func newShapes() *shapes {
	return &shapes{
		choices: metrics.NewHistogram(1, 2, 5, 10, 20),
		longest: metrics.NewHistogram(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000),
	}
}

func (*shapes) began(*serving.Call) {}

func (s *shapes) ended(x *exchange, _ int) {
	if x.err != nil {
		return
	}
	choices, longest := 0, 0
	for _, r := range x.call.Record.Runs() {
		if r.Completion > 0 { // not an embedding
			choices, longest = choices+1, max(longest, r.Completion)
		}
	}
	if choices > 0 {
		s.choices.Observe(float64(choices))
		s.longest.Observe(float64(longest))
	}
}

// spans ends the spans of requests that are traced.
type spans struct{}

func (spans) began(*serving.Call) {}

func (spans) ended(x *exchange, sent int) {
	if x.span == nil {
		return
	}
	call := x.call
	x.span.End(&tracing.End{
		Method: call.R.Method, Route: x.path.name, Request: call.ID, Status: x.final(sent), Error: x.err,
		Model: call.Record.Model(), Runs: call.Record.Runs(),
	})
}

// methods are the values of the method label. Others count as the last, so that
// no client can make new series.
var methods = [...]string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"}

func methodIndex(method string) int {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for i, m := range methods {
		if m == method {
			return i
		}
	}
	return len(methods) - 1
}

// classes is the number of classes of status, of which 0 stays empty.
const classes = len(statuses)

// statuses are the values of the status label.
var statuses = [...]string{"0xx", "1xx", "2xx", "3xx", "4xx", "5xx"}

// answers counts requests by path, method and class of status.
type answers struct {
	running atomic.Int64
	counts  map[*path]*[len(methods)][classes]atomic.Uint64 // read-only; nil: paths without a route
}

func newAnswers(paths []*path) *answers {
	a := &answers{counts: map[*path]*[len(methods)][classes]atomic.Uint64{}}
	for _, p := range append(paths[:len(paths):len(paths)], nil) {
		a.counts[p] = new([len(methods)][classes]atomic.Uint64)
	}
	return a
}

func (a *answers) began(*serving.Call) { a.running.Add(1) }

func (a *answers) ended(x *exchange, sent int) {
	a.running.Add(-1)
	class := min(x.final(sent)/100, classes-1)
	if class < 1 { // aborted without a status
		class = classes - 1
	}
	a.counts[x.path][methodIndex(x.call.R.Method)][class].Add(1)
}

// collect writes the counters, for /metrics.
func (a *answers) collect(page *promtext.Page) {
	f := page.Family("penstock_", "http_requests_total", promtext.Counter, "requests by path, method and class of the status that they ended with")
	for p, counts := range a.counts {
		name := "other"
		if p != nil {
			name = p.name
		}
		for m := range counts {
			for class := range counts[m] {
				if n := counts[m][class].Load(); n > 0 {
					f.Value(float64(n), "handler", name, "method", methods[m], "status", statuses[class])
				}
			}
		}
	}
}
