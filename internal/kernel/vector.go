package kernel

import (
	"fmt"
	"math"
)

// Exactness of the elementwise family, tested for every tier against float64:
//
//	Add, AddScaled, Scale        correctly rounded, AddScaled within one rounding of the product
//	ExpSum, SiluMul              relative error of an element of argument x <= expRelErr + |x| * expArgErr
//	GeluMul                      error <= geluRelErr * max(|result|, |gate*up|)
//	Dot, RMSNorm, LayerNorm      error <= dotRelErr * n * Σ|terms|, the order of summation is the tier's own
//	Rope                         error <= ropeRelErr * the pair's length
//
// The tiers' results differ from each other within these bounds; one tier's
// result is a function of its arguments alone, never of their alignment.
// dst may be the same slice as an input; partly overlapping slices are not
// supported.

// RMSNorm sets dst = x / sqrt(mean(x²) + eps) * w; w nil means 1. It reports
// whether the sum of the squares of x is finite, which a NaN or an infinity in x
// prevents.
func (s Set) RMSNorm(dst, x, w []float32, eps float32) (finite bool) {
	sameLength("RMSNorm", len(x), len(dst))
	return s.RMSNormPart(dst, x, w, eps, 0)
}

// rmsScale is 1 / sqrt(mean(x²) + eps): NaN or 0 if the sum is not finite.
func (s Set) rmsScale(x []float32, eps float32) float32 {
	mean := s.dot(x, x) / float32(len(x))
	return float32(1 / math.Sqrt(float64(mean+eps)))
}

// RMSNormPart is RMSNorm of x, of which it keeps the part that begins at from and
// is as long as dst.
func (s Set) RMSNormPart(dst, x, w []float32, eps float32, from int) (finite bool) {
	if w != nil {
		sameLength("RMSNorm weight", len(x), len(w))
		w = w[from:][:len(dst)]
	}
	scale := s.rmsScale(x, eps)
	s.scaleMul(dst, x[from:][:len(dst)], w, scale)
	return scale > 0
}

// LayerNorm sets dst = (x - mean) / sqrt(variance + eps) * w + b; w and b may be
// nil.
func (s Set) LayerNorm(dst, x, w, b []float32, eps float32) {
	sameLength("LayerNorm", len(x), len(dst))
	if w != nil {
		sameLength("LayerNorm weight", len(x), len(w))
	}
	if b != nil {
		sameLength("LayerNorm bias", len(x), len(b))
	}
	layerNormGeneric(dst, x, w, b, eps)
}

// Add sets dst += x.
func (s Set) Add(dst, x []float32) {
	sameLength("Add", len(dst), len(x))
	s.add(dst, x)
}

// AddScaled sets dst += x * c.
func (s Set) AddScaled(dst, x []float32, c float32) {
	sameLength("AddScaled", len(dst), len(x))
	s.addScaled(dst, x, c)
}

// Scale sets dst *= c.
func (s Set) Scale(dst []float32, c float32) { s.scaleTo(dst, dst, c) }

// SiluMul sets dst = gate / (1 + exp(-gate)) * up.
func (s Set) SiluMul(dst, gate, up []float32) {
	sameLength("SiluMul", len(dst), len(gate))
	sameLength("SiluMul", len(dst), len(up))
	s.siluMul(dst, gate, up)
}

// GeluMul sets dst = gelu(gate) * up with the tanh approximation of GELU.
func (s Set) GeluMul(dst, gate, up []float32) {
	sameLength("GeluMul", len(dst), len(gate))
	sameLength("GeluMul", len(dst), len(up))
	s.geluMul(dst, gate, up)
}

// SiluMulRows is SiluMul of rows that are ld apart in x: of each, the first n
// values are gates and become the result, the next n are ups.
func (s Set) SiluMulRows(x []float32, rows, ld, n int) {
	for r := range rows {
		row := x[r*ld:][:2*n]
		s.siluMul(row[:n], row[:n], row[n:])
	}
}

// GeluMulRows is GeluMul of such rows.
func (s Set) GeluMulRows(x []float32, rows, ld, n int) {
	for r := range rows {
		row := x[r*ld:][:2*n]
		s.geluMul(row[:n], row[:n], row[n:])
	}
}

// Rope rotates the pairs of one head x: [n] by the angles whose cosines and
// sines are given: [n/2]. neox pairs element i with i+n/2, otherwise 2i with
// 2i+1. For partial rotation pass the part.
func (s Set) Rope(x, cos, sin []float32, neox bool) {
	if len(x) != 2*len(cos) || len(cos) != len(sin) {
		panic(fmt.Sprintf("kernel: Rope of %d values by %d cosines and %d sines", len(x), len(cos), len(sin)))
	}
	if neox {
		s.ropeHalves(x, cos, sin)
	} else {
		s.ropePairs(x, cos, sin)
	}
}

// Dot is Σ a*b.
func (s Set) Dot(a, b []float32) float32 {
	sameLength("Dot", len(a), len(b))
	return s.dot(a, b)
}

// Max is the largest element; NaN is passed over, and -Inf is the maximum of
// nothing.
func (s Set) Max(x []float32) float32 { return s.max(x) }

// ExpSum sets x = exp((x-max)*scale) and returns the sum. Results below
// exp(expMin) are exactly 0, so are those of -Inf and NaN; exp(0) is exactly 1.
// Arguments above expMax, which a real maximum excludes, give something large.
func (s Set) ExpSum(x []float32, max, scale float32) float32 { return s.expSum(x, max, scale) }

// Prefetch asks for what x occupies to be brought into the first-level cache.
// It changes no result.
func (s Set) Prefetch(x []float32) { s.prefetch(x) }

func sameLength(op string, want, got int) {
	if want != got {
		panic(fmt.Sprintf("kernel: %s: %d values against %d", op, got, want))
	}
}
