package cpu

import (
	"slices"
	"testing"

	"github.com/klauspost/cpuid/v2"
)

// TestSupported takes one feature after the other away from a processor that has
// everything: the tiers that need it must go, and no others.
func TestSupported(t *testing.T) {
	without := func(missing cpuid.FeatureID) (tiers []Tier) {
		for _, tier := range everyTier[1:] {
			if supported(tier, func(ids ...cpuid.FeatureID) bool { return !slices.Contains(ids, missing) }) {
				tiers = append(tiers, tier)
			}
		}
		return tiers
	}
	check := func(id cpuid.FeatureID, want ...Tier) {
		t.Helper()
		if got := without(id); !slices.Equal(got, want) {
			t.Errorf("without %v: tiers %v, want %v", id, got, want)
		}
	}
	for _, id := range []cpuid.FeatureID{cpuid.AVX2, cpuid.FMA3, cpuid.F16C, cpuid.POPCNT} {
		check(id)
	}
	for _, id := range []cpuid.FeatureID{cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.AVX512DQ, cpuid.AVX512VNNI} {
		check(id, AVX2, AVXVNNI)
	}
	check(cpuid.AVXVNNI, AVX2, AVX512VNNI)
	check(cpuid.AMXTILE, AVX2, AVXVNNI, AVX512VNNI)
}
