package kernel

import (
	"os"
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// forEachTier runs f on every tier. One that this machine lacks is skipped,
// unless it is among those that the machine must have.
func forEachTier(t *testing.T, f func(t *testing.T, s Set)) {
	t.Helper()
	for tier := cpu.Generic; tier <= cpu.I8MM; tier++ {
		t.Run(tier.String(), func(t *testing.T) {
			s := New(tier)
			if s.Tier() != tier {
				if flagship(t).Includes(tier) {
					t.Fatalf("tier %v is missing, and PENSTOCK_FLAGSHIP=%s", tier, os.Getenv("PENSTOCK_FLAGSHIP"))
				}
				t.Skipf("this machine lacks %v", tier)
			}
			f(t, s)
		})
	}
}

// forEachTile runs f on every tier, and where a tier has kernels for pairs of groups,
// without and with them. What this machine does not choose has to give the same bits.
func forEachTile(t *testing.T, f func(t *testing.T, s Set)) {
	t.Helper()
	forEachTier(t, func(t *testing.T, s Set) {
		if s.Tier() != cpu.AVX512VNNI && s.Tier() != cpu.AVX2 {
			f(t, s)
			return
		}
		for name, pairs := range map[string]pairing{"groups": noPairs, "pairs": pairsOfAll} {
			s.pairs = pairs
			t.Run(name, func(t *testing.T) { f(t, s) })
		}
	})
}

// flagship is the highest tier that this machine must have: the value of
// PENSTOCK_FLAGSHIP, which CI sets by what the system says of the processor. It
// makes a tier that is not detected, or not built, a failure.
func flagship(t *testing.T) cpu.Tier {
	name, ok := os.LookupEnv("PENSTOCK_FLAGSHIP")
	if !ok {
		return cpu.Generic
	}
	tier, err := cpu.ParseTier(name)
	if err != nil {
		t.Fatalf("PENSTOCK_FLAGSHIP: %v", err)
	}
	return tier
}

// TestFlagship: the tiers up to the flagship are here.
func TestFlagship(t *testing.T) {
	if want := flagship(t); !best().Includes(want) {
		t.Errorf("PENSTOCK_FLAGSHIP=%v, but the best tier is %v", want, best())
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

// TestTwoDotPorts: what is measured is a property of the processor, so that it comes
// out the same again, and only the tier with the instruction and AVX2 have pairs.
func TestTwoDotPorts(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		tiers := []cpu.Tier{cpu.AVX512VNNI, cpu.AVX2}
		if s.pairs != noPairs && !slices.Contains(tiers, s.Tier()) || s.pairs != New(s.Tier()).pairs {
			t.Errorf("tier %v: pairs %v", s.Tier(), s.pairs)
		}
		rows, cols := s.Tile()
		t.Logf("tile %dx%d", rows, cols)
	})
}
