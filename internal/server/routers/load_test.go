package routers

import (
	"testing"
	"time"
)

// The rate is that between two answers at least a second apart; others repeat it.
func TestThroughput(t *testing.T) {
	var m throughput
	start := time.Unix(1000, 0)
	for _, step := range []struct {
		after  time.Duration
		tokens uint64
		want   float64
	}{
		{0, 50, 0}, {500 * time.Millisecond, 60, 0}, {2 * time.Second, 90, 20}, {2500 * time.Millisecond, 400, 20}, {4 * time.Second, 490, 200}, {6 * time.Second, 490, 0}, {8 * time.Second, 3, 0},
	} {
		if got := m.since(start.Add(step.after), step.tokens); got != step.want {
			t.Errorf("after %v: %v, want %v", step.after, got, step.want)
		}
	}
}
