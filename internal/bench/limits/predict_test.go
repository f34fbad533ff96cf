package limits

import "testing"

// TestRate: what was measured (docs/benchmarks.md, "bench peers" and "bench steps") is
// within a factor of two of what the limits of the machine in the same minutes predict.
func TestRate(t *testing.T) {
	smol := Work{Weights: 96436224, Params: 134515008, PerToken: 23760, Context: 128}
	coder := Work{Weights: 392390656, Params: 494032768, PerToken: 12672, Context: 128}
	zen5 := Limits{Bandwidth: 70e9, Clock: 4e9, Ops: 2180e9}
	for _, c := range []struct {
		name      string
		limits    Limits
		work      Work
		sequences int
		measured  float64
	}{
		{"SmolLM2 135M, 8 sequences", zen5, smol, 8, 1428},
		{"SmolLM2 135M, 8 clients", zen5, smol, 8, 1729},
		{"Qwen2.5-Coder 0.5B, 8 clients", zen5, coder, 8, 587},
	} {
		if got := c.limits.Rate(c.work, c.sequences, 2); got < c.measured/2 || got > c.measured*2 {
			t.Errorf("%s: %.0f tokens/s predicted, %.0f measured", c.name, got, c.measured)
		}
	}
	if got := (Limits{}).Rate(smol, 1, 2); got != 0 {
		t.Errorf("without limits %v tokens/s are predicted", got)
	}
	generic := Limits{Bandwidth: 20e9, Clock: 3e9}
	if one, fast := generic.Rate(smol, 1, 2), zen5.Rate(smol, 1, 2); one <= 0 || one > fast/5 {
		t.Errorf("without an int8 unit %v tokens/s, with one %v", one, fast)
	}
	if one, eight := zen5.Rate(smol, 1, 2), zen5.Rate(smol, 8, 2); eight < 2*one || eight > 8*one {
		t.Errorf("one stream %v, eight %v", one, eight)
	}
}
