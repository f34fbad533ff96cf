package cpu

import "github.com/klauspost/cpuid/v2"

// needs are the features that the tiers ask for. What is listed for AVX2 counts for
// the others, too.
var needs = map[Tier][]cpuid.FeatureID{
	AVX2:       {cpuid.AVX2, cpuid.FMA3, cpuid.F16C, cpuid.POPCNT},
	AVXVNNI:    {cpuid.AVXVNNI},
	AVX512VNNI: {cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.AVX512DQ, cpuid.AVX512VNNI},
}

func has(t Tier) bool { return supported(t, cpuid.CPU.Supports) }

func supported(t Tier, supports func(...cpuid.FeatureID) bool) bool {
	own, known := needs[t]
	return known && supports(needs[AVX2]...) && supports(own...)
}
