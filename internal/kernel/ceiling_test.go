package kernel

import (
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// TestRead: every pattern stays within its memory, between pages that can't be
// touched.
func TestRead(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		for _, n := range []int{0, readUnit, 3 * readUnit, 64 * readUnit} {
			b := guarded[byte](t, n, n%2 == 0)
			for _, p := range s.ReadPatterns() {
				s.Read(b, p)
			}
		}
	})
}

// TestDotCeiling: twice the rounds are twice the operations and take longer, and
// no processor does what it claims in no time.
func TestDotCeiling(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		one, two := s.DotCeiling(1), s.DotCeiling(2)
		if s.Tier() == cpu.Generic {
			if one != 0 {
				t.Errorf("%d operations on the generic tier", one)
			}
			return
		}
		if one <= 0 || two != 2*one {
			t.Errorf("%d operations in a round, %d in two", one, two)
		}
		best := 0.0
		for range 20 {
			start := time.Now()
			operations := s.DotCeiling(5000)
			best = max(best, float64(operations)/time.Since(start).Seconds())
		}
		// From a slow emulator to two 64-byte products a cycle at 8 GHz.
		if best < 1e8 || best > 2*128*8e9 {
			t.Errorf("%.3g operations/s", best)
		}
		t.Logf("%.0f GOPS", best/1e9)
	})
}
