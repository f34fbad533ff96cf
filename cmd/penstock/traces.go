package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/penstock-llm/penstock/internal/server/tracing"
)

// newTracer makes what sends traces, if the variables OTEL_… ask for them.
func newTracer(ctx context.Context, log *slog.Logger) (*tracing.Tracer, error) {
	wanted, err := tracing.Wanted(os.Getenv)
	if err != nil {
		return nil, &usageError{err, "penstock serve"}
	}
	if !wanted {
		return nil, nil
	}
	return tracing.New(ctx, version(), func(err error) { log.Warn("traces are not delivered", "error", err) })
}

// endTraces sends the spans that are left. A collector that is away does not hold
// up the end of the program.
func endTraces(t *tracing.Tracer, log *slog.Logger) {
	const patience = 3 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := t.Shutdown(ctx); err != nil {
		log.Warn("the last traces were not delivered", "error", err)
	}
}
