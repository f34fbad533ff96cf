package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock-llm/penstock/internal/alloctest"
)

// topK64 sorts everything.
func topK64(x []float32, k int) (ids []int32) {
	for i := range x {
		ids = append(ids, int32(i))
	}
	value := func(i int32) float64 {
		if v := float64(x[i]); !math.IsNaN(v) {
			return v
		}
		return math.Inf(-1)
	}
	slices.SortStableFunc(ids, func(a, b int32) int {
		switch {
		case value(a) > value(b):
			return -1
		case value(a) < value(b):
			return 1
		}
		return 0
	})
	return ids[:min(k, len(x))]
}

// logits draws values with many ties, infinities and NaN among them.
func logits(r *rapid.T, n int) []float32 {
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 1))
	steps, odd := rapid.SampledFrom([]int{1, 3, 50, 1 << 20}).Draw(r, "steps"), rapid.Bool().Draw(r, "odd")
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.IntN(steps)) / 7
		if odd {
			switch rng.IntN(20) {
			case 0:
				x[i] = float32(math.NaN())
			case 1:
				x[i] = float32(math.Inf(-1))
			case 2:
				x[i] = float32(math.Inf(1))
			}
		}
	}
	switch rapid.IntRange(0, 3).Draw(r, "order") {
	case 0:
		slices.Sort(x)
	case 1:
		slices.Sort(x)
		slices.Reverse(x)
	}
	return x
}

func TestTopK(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		rapid.Check(t, func(r *rapid.T) {
			n := rapid.IntRange(0, 3000).Draw(r, "n")
			k := rapid.IntRange(-1, 300).Draw(r, "k")
			x := placed(t, logits(r, n), rapid.Bool().Draw(r, "front"))
			vals, ids := make([]float32, max(k, 0)), make([]int32, max(k, 0))
			got, want := s.TopK(x, k, vals, ids), topK64(x, max(k, 0))
			if got != len(want) || !slices.Equal(ids[:got], want) {
				r.Fatalf("TopK(%d of %d) = %d: %v, want %v", k, n, got, ids[:got], want)
			}
			for i, id := range want {
				if v := x[id]; vals[i] != v && !(v != v && vals[i] == negInf) {
					r.Fatalf("value %d is %g, want %g", i, vals[i], v)
				}
			}
		})
	})
}

func TestTopKAllocatesNothing(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		x, vals, ids := randomRow(testRand(), 5000), make([]float32, 40), make([]int32, 40)
		if n := alloctest.PerRun(10, func() { s.TopK(x, 40, vals, ids) }); n != 0 {
			t.Errorf("%g allocations", n)
		}
	})
}

func BenchmarkSelect(b *testing.B) {
	x := randomRow(testRand(), 151936)
	for _, tier := range Tiers() {
		s := New(tier)
		for _, k := range []int{1, 40, 256} {
			vals, ids := make([]float32, k), make([]int32, k)
			b.Run(fmt.Sprintf("%v/TopK%d", tier, k), func(b *testing.B) {
				for b.Loop() {
					s.TopK(x, k, vals, ids)
				}
			})
		}
	}
}
