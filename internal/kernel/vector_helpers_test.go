package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
)

func testRand() *rand.Rand { return rand.New(rand.NewPCG(20, 26)) }

// randomRow is n normally distributed values.
func randomRow(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// within reports whether got is at most bound away from want; NaN is not.
func within(got float32, want, bound float64) bool { return math.Abs(float64(got)-want) <= bound }

// sameBits compares bit patterns, so that NaN equals itself.
func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}
