package kernel

import (
	"os"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// forEachTier runs f on every tier. One that this machine lacks is skipped,
// unless PENSTOCK_FLAGSHIP=1 says that the machine must have them all.
func forEachTier(t *testing.T, f func(t *testing.T, s Set)) {
	t.Helper()
	for _, tier := range []cpu.Tier{cpu.Generic, cpu.AVX2, cpu.AVX512VNNI} {
		t.Run(tier.String(), func(t *testing.T) {
			s := New(tier)
			if s.Tier() != tier {
				if os.Getenv("PENSTOCK_FLAGSHIP") == "1" {
					t.Fatalf("this machine lacks %v", tier)
				}
				t.Skipf("this machine lacks %v", tier)
			}
			f(t, s)
		})
	}
}

func TestTiers(t *testing.T) {
	ts := Tiers()
	if len(ts) == 0 || ts[len(ts)-1] != cpu.Generic {
		t.Fatalf("Tiers() = %v: want generic last", ts)
	}
	for i, tier := range ts {
		if i > 0 && tier >= ts[i-1] {
			t.Errorf("Tiers() = %v: not descending", ts)
		}
		if got := New(tier).Tier(); got != tier {
			t.Errorf("New(%v).Tier() = %v", tier, got)
		}
	}
	if got := New(255).Tier(); got != ts[0] {
		t.Errorf("New(255).Tier() = %v, want %v", got, ts[0])
	}
	Pause(0)
	Pause(10)
}
