package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock-llm/penstock/internal/server/serving"
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
type accessLog struct {
	log *slog.Logger
	all bool
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
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("error", x.err.Message))
		if sent != 0 && sent != x.err.Status {
			attrs = append(attrs, slog.Int("sent_status", sent)) // a stream that had begun
		}
	}
	l.log.LogAttrs(context.Background(), slog.LevelInfo, "request", attrs...)
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
const classes = 6

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

// collect sends the counters, for /metrics.
func (a *answers) collect(ch chan<- prometheus.Metric) {
	d := prometheus.NewDesc("penstock_http_requests_total", "requests by path, method and class of the status that they ended with",
		[]string{"handler", "method", "status"}, nil)
	for p, counts := range a.counts {
		name := "other"
		if p != nil {
			name = p.name
		}
		for m := range counts {
			for class := range counts[m] {
				if n := counts[m][class].Load(); n > 0 {
					ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), name, methods[m], strconv.Itoa(class)+"xx")
				}
			}
		}
	}
}
