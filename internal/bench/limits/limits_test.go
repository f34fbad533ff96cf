package limits

import (
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/kernel"
)

func TestBandwidth(t *testing.T) {
	for _, tier := range kernel.Tiers() {
		if l := bandwidth(kernel.New(tier), 2, 1<<20, time.Millisecond); l.Bandwidth < 1e6 || l.Pattern == "" {
			t.Errorf("%v: %+v", tier, l)
		}
	}
}

// TestDotProducts: every tier but the generic one has a ceiling.
func TestDotProducts(t *testing.T) {
	for _, tier := range kernel.Tiers() {
		ops := dotProducts(kernel.New(tier), 1, 5*time.Millisecond)
		if (ops > 0) != (tier != cpu.Generic) {
			t.Errorf("%v: %g operations/s", tier, ops)
		}
	}
}

func TestClock(t *testing.T) {
	if hz := clock(1); hz < 2e8 || hz > 1e10 {
		t.Errorf("%v Hz", hz)
	}
}

func TestBest(t *testing.T) {
	a := Limits{Bandwidth: 2, Pattern: "a", Clock: 1, Ops: 7}
	b := Limits{Bandwidth: 1, Pattern: "b", Clock: 3, Ops: 5}
	if got, want := a.Best(b), (Limits{Bandwidth: 2, Pattern: "a", Clock: 3, Ops: 7}); got != want || b.Best(a) != want {
		t.Errorf("%+v and %+v, want %+v", got, b.Best(a), want)
	}
}
