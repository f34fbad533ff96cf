package kernel

import (
	"fmt"
	"math"
	"testing"
)

// Whatever hides a NaN or an infinity says so: the stores of a cache, the queries
// of a tile, and the normalisation that makes zeros of it.
func TestNotFiniteIsReported(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		for _, typ := range kvTypes {
			for _, hd := range []int{34, 64} {
				h := fillHistory(t, s, cached{typ, hd, 40}, testRand())
				for _, bad := range []float32{0, 1e4, nan32, float32(math.Inf(1)), float32(math.Inf(-1))} {
					x := make([]float32, hd)
					for i := range x {
						x[i] = float32(i%7) - 3
					}
					x[hd-2] = bad
					name := fmt.Sprintf("%v, %d, %v", typ, hd, bad)
					finite := bad-bad == 0
					if got := s.StoreK(h.kv, 0, 3, x); got != finite {
						t.Errorf("%s: StoreK says %v", name, got)
					}
					if got := s.StoreV(h.kv, 0, 3, x); got != finite {
						t.Errorf("%s: StoreV says %v", name, got)
					}
					if got := s.RMSNorm(make([]float32, hd), x, nil, 1e-5); got != finite {
						t.Errorf("%s: RMSNorm says %v", name, got)
					}
					tile := randomTile(t, testRand(), 3, hd, 40)
					copy(tile.Q[1], x)
					want := uint8(0)
					if !finite {
						want = 2
					}
					if got := s.Attend(tile, h.kv, h.blocks, scratchOf(t, 0)); got != want {
						t.Errorf("%s: Attend says %b, want %b", name, got, want)
					}
				}
			}
		}
	})
}
