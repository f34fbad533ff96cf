package kernel

import (
	"fmt"
	"math"
)

// Exactness of the elementwise family, tested for every tier against float64:
//
//	Add, Scale             correctly rounded
//	AddScaled              error <= 2^-23 * (|dst| + |x*c|)
//	SwigluOAIRows          error <= (expRelErr + 1.702*|gate|*expArgErr) * |result|
//	ExpSum, SiluMulRows    relative error of an element of argument x <= expRelErr + |x| * expArgErr
//	GeluErfMulRows         error <= 3e-5 * |up|, of GELU as it is defined
//	GeluMulRows            error <= geluRelErr * max(|result|, |gate*up|)
//	RMSNorm, LayerNorm,
//	DotRow                 error of the sum <= dotRelErr * n * Σ|terms|, the order of summation is the tier's own
//	Rope                   error <= ropeRelErr * the pair's length
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

// RMSNormPart computes RMSNorm of x, and writes only a part of it to dst: the
// len(dst) elements from from on.
func (s Set) RMSNormPart(dst, x, w []float32, eps float32, from int) (finite bool) {
	if w != nil {
		sameLength("RMSNorm weight", len(x), len(w))
		w = w[from:][:len(dst)]
	}
	scale := s.rmsScale(x, eps)
	s.scaleMul(dst, x[from:][:len(dst)], w, scale)
	return scale > 0
}

// moments are what a layer normalisation needs to know of a row.
type moments struct{ mean, scale float32 }

// Affine is the end of a layer normalisation: [n] weights and biases, and what is
// added to the variance.
type Affine struct {
	W, B []float32
	Eps  float32
}

// LayerNorm computes (x - mean(x)) / sqrt(variance(x) + eps) * w + b, and writes a
// part of it to dst: the len(dst) elements from from on. It reports whether the
// variance is finite, which a NaN or an infinity in x prevents.
func (s Set) LayerNorm(dst, x []float32, a *Affine, from int) (finite bool) {
	sameLength("LayerNorm weight", len(x), len(a.W))
	sameLength("LayerNorm bias", len(x), len(a.B))
	m := moments{mean: s.sum(x) / float32(len(x))}
	variance := s.squares(x, m.mean) / float32(len(x))
	m.scale = float32(1 / math.Sqrt(float64(variance+a.Eps)))
	n := len(dst)
	s.centre(dst, x[from:][:n], a.W[from:][:n], a.B[from:][:n], m)
	return m.scale > 0
}

// Add sets dst += x.
func (s Set) Add(dst, x []float32) {
	sameLength("Add", len(dst), len(x))
	s.add(dst, x)
}

// AddScaled sets dst += x*c.
func (s Set) AddScaled(dst, x []float32, c float32) {
	sameLength("AddScaled", len(dst), len(x))
	s.addScaled(dst, x, c)
}

// Scale sets dst *= c.
func (s Set) Scale(dst []float32, c float32) { s.scaleTo(dst, dst, c) }

// SiluMulRows sets gate = gate / (1 + exp(-gate)) * up in each of the rows of x,
// which begin ld values apart: the first n values of a row are the gates, the
// next n the ups.
func (s Set) SiluMulRows(x []float32, rows, ld, n int) {
	for r := range rows {
		row := x[r*ld:][:2*n]
		s.siluMul(row[:n], row[:n], row[n:])
	}
}

// SwigluOAIRows sets gate = g / (1 + exp(-1.702g)) * (u + 1), with g = min(gate, 7) and
// u = up within [-7, 7], in rows that lie as for SiluMulRows: gpt-oss's activation.
func (s Set) SwigluOAIRows(x []float32, rows, ld, n int) {
	for r := range rows {
		row := x[r*ld:][:2*n]
		s.swigluOAI(row[:n], row[:n], row[n:])
	}
}

// GeluMulRows sets gate = gelu(gate) * up in rows that lie as for SiluMulRows,
// with the tanh approximation of GELU.
func (s Set) GeluMulRows(x []float32, rows, ld, n int) {
	for r := range rows {
		row := x[r*ld:][:2*n]
		s.geluMul(row[:n], row[:n], row[n:])
	}
}

// GeluErfMulRows is GeluMulRows with GELU as it is defined: g times the normal
// distribution's integral up to g.
func (s Set) GeluErfMulRows(x []float32, rows, ld, n int) {
	for r := range rows {
		row := x[r*ld:][:2*n]
		s.geluErfMul(row[:n], row[:n], row[n:])
	}
}

// ones are the ups of rows without any.
var ones = func() (x [rowWidth]float32) {
	for i := range x {
		x[i] = 1
	}
	return x
}()

// rowWidth is the longest row that GeluRows and GeluErfRows take.
const rowWidth = 256

// GeluRows sets x = gelu(x) in the first n values of rows that begin ld values
// apart, with the tanh approximation.
func (s Set) GeluRows(x []float32, rows, ld, n int) {
	for r := range rows {
		row := x[r*ld:][:n]
		s.geluMul(row, row, ones[:n])
	}
}

// SiluRows is GeluRows with SiLU: x / (1 + exp(-x)).
func (s Set) SiluRows(x []float32, rows, ld, n int) {
	for r := range rows {
		row := x[r*ld:][:n]
		s.siluMul(row, row, ones[:n])
	}
}

// GeluErfRows is GeluRows with GELU as it is defined.
func (s Set) GeluErfRows(x []float32, rows, ld, n int) {
	for r := range rows {
		row := x[r*ld:][:n]
		s.geluErfMul(row, row, ones[:n])
	}
}

// Rope sets dst to one head x: [n], its pairs rotated by the angles whose cosines
// and sines are given: [n/2]. dst may be x. neox pairs element i with i+n/2,
// otherwise 2i with 2i+1. For partial rotation pass the part.
func (s Set) Rope(dst, x, cos, sin []float32, neox bool) {
	if len(dst) != len(x) || len(x) != 2*len(cos) || len(cos) != len(sin) {
		panic(fmt.Sprintf("kernel: Rope of %d values to %d by %d cosines and %d sines", len(x), len(dst), len(cos), len(sin)))
	}
	if neox {
		s.ropeHalves(dst, x, cos, sin)
	} else {
		s.ropePairs(dst, x, cos, sin)
	}
}

// ExpSum sets x = exp((x-max)*scale) and returns the sum. Results below
// exp(expMin) are exactly 0, and so are those of -Inf and NaN; exp(0) is exactly 1.
// Arguments above expMax count as expMax; if max is the maximum, there are none.
func (s Set) ExpSum(x []float32, max, scale float32) float32 { return s.expSum(x, max, scale) }

// Prefetch asks the processor to bring x into the first-level cache. It changes no
// result.
func (s Set) Prefetch(x []float32) { s.prefetch(x) }

func sameLength(op string, want, got int) {
	if want != got {
		panic(fmt.Sprintf("kernel: %s: %d values against %d", op, got, want))
	}
}
