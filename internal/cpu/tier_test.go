package cpu

import "testing"

// everyTier is what ParseTier knows.
var everyTier = []Tier{Generic, AVX2, AVXVNNI, AVX512VNNI, DotProd, I8MM}

func TestParseTier(t *testing.T) {
	for _, tier := range everyTier {
		if got, err := ParseTier(tier.String()); err != nil || got != tier {
			t.Errorf("ParseTier(%q) = %v, %v", tier.String(), got, err)
		}
	}
	if _, err := ParseTier("sse9"); err == nil {
		t.Error("ParseTier(sse9): no error")
	}
}

// TestTiers: they ascend from the generic one to what Detect says.
func TestTiers(t *testing.T) {
	all := Tiers()
	if all[0] != Generic || all[len(all)-1] != Detect() {
		t.Errorf("tiers %v, the best %v", all, Detect())
	}
	for i, tier := range all[1:] {
		if tier <= all[i] {
			t.Errorf("tiers %v do not ascend", all)
		}
	}
}

// TestIncludes: a tier includes itself, its base and the generic one, and no tier of
// another architecture.
func TestIncludes(t *testing.T) {
	for _, tier := range everyTier {
		if !tier.Includes(tier) || !tier.Includes(Generic) || !tier.Includes(tier.Base()) {
			t.Errorf("%v does not include itself, %v or generic", tier, tier.Base())
		}
	}
	for _, c := range []struct{ t, other Tier }{{AVX512VNNI, AVXVNNI}, {AVX2, AVXVNNI}, {DotProd, I8MM}, {I8MM, AVX2}, {AVX512VNNI, DotProd}, {Generic, AVX2}} {
		if c.t.Includes(c.other) {
			t.Errorf("%v includes %v", c.t, c.other)
		}
	}
	if !AVX512VNNI.Includes(AVX2) {
		t.Error("avx512vnni does not include avx2")
	}
}
