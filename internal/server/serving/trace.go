package serving

import (
	"context"
	"time"

	"github.com/penstock-llm/penstock/internal/engine"
)

// Trace records when the stages of one generation happened. A benchmark that wants
// to know where a request's time goes puts one into the request's context, and
// reads it when the handler has returned.
type Trace struct {
	Timings engine.Timings
	Woken   time.Time // the first token was in the reader's hands
	Decoded time.Time // the last one had become text
}

type traceKey struct{}

// WithTrace returns a context that carries t.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

func traceOf(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}

func (t *Trace) woken() {
	if t != nil && t.Woken.IsZero() {
		t.Woken = time.Now()
	}
}

func (t *Trace) decoded(timings engine.Timings) {
	if t != nil {
		t.Timings, t.Decoded = timings, time.Now()
	}
}
