package cpu

import (
	"slices"
	"testing"

	"github.com/klauspost/cpuid/v2"
)

func TestParseTier(t *testing.T) {
	for _, tier := range []Tier{Generic, AVX2, AVX512VNNI} {
		if got, err := ParseTier(tier.String()); err != nil || got != tier {
			t.Errorf("ParseTier(%q) = %v, %v", tier.String(), got, err)
		}
	}
	if _, err := ParseTier("sse9"); err == nil {
		t.Error("ParseTier(sse9): no error")
	}
}

// TestDetect takes one feature after the other away from a processor that has
// everything: the tier must fall below the one that needs it.
func TestDetect(t *testing.T) {
	without := func(missing cpuid.FeatureID) Tier {
		return detect(func(ids ...cpuid.FeatureID) bool { return !slices.Contains(ids, missing) })
	}
	for _, id := range []cpuid.FeatureID{cpuid.AVX2, cpuid.FMA3, cpuid.F16C, cpuid.POPCNT} {
		if got := without(id); got != Generic {
			t.Errorf("without %v: tier %v, want generic", id, got)
		}
	}
	for _, id := range []cpuid.FeatureID{cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.AVX512DQ, cpuid.AVX512VNNI} {
		if got := without(id); got != AVX2 {
			t.Errorf("without %v: tier %v, want avx2", id, got)
		}
	}
	if got := without(cpuid.AMXTILE); got != AVX512VNNI {
		t.Errorf("without AMX: tier %v, want avx512vnni", got)
	}
}
