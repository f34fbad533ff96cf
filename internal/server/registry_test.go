package server

import (
	"context"
	"testing"
	"time"
)

// Whoever unloads the models waits for the requests that use them.
func TestShutdownWaitsForLeases(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t, "x")
		lease, err := f.app.Models.Acquire(t.Context(), "tiny")
		if err != nil || lease.Name != "tiny" || lease.ID != "org/tiny" {
			t.Fatalf("got %+v, %v", lease, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := f.app.Models.Idle(ctx); err == nil {
			t.Error("the registry is idle while there is a lease")
		}
		time.AfterFunc(20*time.Millisecond, lease.Release)
		if err := f.Shutdown(t.Context()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if _, err := f.app.Models.Acquire(t.Context(), ""); err == nil || err.Status != 503 {
			t.Errorf("a lease after the shutdown: %v", err)
		}
		gone, stop := context.WithCancel(t.Context())
		stop()
		if _, err := f.app.Models.Acquire(gone, ""); err == nil || err.Status != 499 {
			t.Errorf("a lease for a client that is gone: %v", err)
		}
	})
}
