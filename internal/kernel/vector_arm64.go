//go:build !purego

package kernel

import (
	"unsafe"

	"github.com/penstock-llm/penstock/internal/cpu"
)

//go:generate go -C _asm run ./neon -dir ..

// The assembly handles steps of 16 floats, the generic code the elements after them.

// steps is how many steps n floats are, and how many floats that is.
func (s Set) steps(n int) (count, floats int) {
	if s.tier == cpu.Generic {
		return 0, 0
	}
	return n / 16, n &^ 15
}

// ptr is the address of a slice's first element, of none if it is empty.
func ptr(x []float32) *float32 { return unsafe.SliceData(x) }

//go:noescape
func vecScaleMulNEON(dst, x, w *float32, n int, scale float32)

//go:noescape
func vecScaleNEON(dst, x *float32, n int, c float32)

//go:noescape
func vecAddNEON(dst, x *float32, n int)

//go:noescape
func vecAddScaledNEON(dst, x *float32, n int, c float32)

//go:noescape
func vecCentreNEON(dst, x, w, b *float32, n int, mean, scale float32)

//go:noescape
func vecDotNEON(a, b *float32, n int) float32

//go:noescape
func vecSumNEON(x *float32, n int) float32

//go:noescape
func vecSquaresNEON(x *float32, n int, mean float32) float32

//go:noescape
func vecMaxNEON(x *float32, n int, least float32) float32

//go:noescape
func vecPeakNEON(x *float32, n int) float32

//go:noescape
func vecIntsNEON(dst *int16, x *float32, n int, c float32)

//go:noescape
func vecRopeHalvesNEON(lo, hi, cos, sin *float32, n int)

//go:noescape
func vecRopePairsNEON(x, cos, sin *float32, n int)

//go:noescape
func vecSiluMulNEON(dst, gate, up *float32, n int)

//go:noescape
func vecGeluMulNEON(dst, gate, up *float32, n int)

//go:noescape
func vecGeluErfMulNEON(dst, gate, up *float32, n int)

//go:noescape
func vecSwigluOAINEON(dst, gate, up *float32, n int)

//go:noescape
func vecExpSumNEON(x *float32, n int, max, scale float32) float32

//go:noescape
func selectMassNEON(x *float32, n int, max, scale float32) float32

//go:noescape
func attendSoftcapNEON(x *float32, n int, c, twice, inverse float32)

// scaleMul sets dst = x*scale*w; w nil means 1.
func (s Set) scaleMul(dst, x, w []float32, scale float32) {
	if w == nil {
		s.scaleTo(dst, x, scale)
		return
	}
	n, done := s.steps(len(x))
	vecScaleMulNEON(ptr(dst), ptr(x), ptr(w), n, scale)
	scaleMulGeneric(dst[done:], x[done:], w[done:], scale)
}

// scaleTo sets dst = x*c.
func (s Set) scaleTo(dst, x []float32, c float32) {
	n, done := s.steps(len(x))
	vecScaleNEON(ptr(dst), ptr(x), n, c)
	scaleToGeneric(dst[done:], x[done:], c)
}

func (s Set) add(dst, x []float32) {
	n, done := s.steps(len(x))
	vecAddNEON(ptr(dst), ptr(x), n)
	addGeneric(dst[done:], x[done:])
}

func (s Set) addScaled(dst, x []float32, c float32) {
	n, done := s.steps(len(dst))
	vecAddScaledNEON(ptr(dst), ptr(x), n, c)
	addScaled(dst[done:], x[done:], c)
}

func (s Set) siluMul(dst, gate, up []float32) {
	n, done := s.steps(len(dst))
	vecSiluMulNEON(ptr(dst), ptr(gate), ptr(up), n)
	siluMulGeneric(dst[done:], gate[done:], up[done:])
}

func (s Set) swigluOAI(dst, gate, up []float32) {
	n, done := s.steps(len(dst))
	vecSwigluOAINEON(ptr(dst), ptr(gate), ptr(up), n)
	swigluOAIGeneric(dst[done:], gate[done:], up[done:])
}

func (s Set) geluMul(dst, gate, up []float32) {
	n, done := s.steps(len(dst))
	vecGeluMulNEON(ptr(dst), ptr(gate), ptr(up), n)
	geluMulGeneric(dst[done:], gate[done:], up[done:])
}

func (s Set) geluErfMul(dst, gate, up []float32) {
	n, done := s.steps(len(dst))
	vecGeluErfMulNEON(ptr(dst), ptr(gate), ptr(up), n)
	geluErfMulGeneric(dst[done:], gate[done:], up[done:])
}

// The assembly rotates in place.
func (s Set) ropeHalves(dst, x, cos, sin []float32) {
	copy(dst, x)
	lo, hi := dst[:len(cos)], dst[len(cos):]
	n, done := s.steps(len(cos))
	vecRopeHalvesNEON(ptr(lo), ptr(hi), ptr(cos), ptr(sin), n)
	ropeHalvesGeneric(dst, dst, cos, sin, done)
}

func (s Set) ropePairs(dst, x, cos, sin []float32) {
	copy(dst, x)
	n, done := s.steps(len(dst))
	vecRopePairsNEON(ptr(dst), ptr(cos), ptr(sin), n)
	ropePairsGeneric(dst[done:], dst[done:], cos[done/2:], sin[done/2:])
}

func (s Set) dot(a, b []float32) float32 {
	n, done := s.steps(len(a))
	if n == 0 {
		return dotGeneric(a, b)
	}
	return vecDotNEON(ptr(a), ptr(b), n) + dotGeneric(a[done:], b[done:])
}

func (s Set) sum(x []float32) float32 {
	n, done := s.steps(len(x))
	return vecSumNEON(ptr(x), n) + sumGeneric(x[done:])
}

func (s Set) squares(x []float32, mean float32) float32 {
	n, done := s.steps(len(x))
	return vecSquaresNEON(ptr(x), n, mean) + squaresGeneric(x[done:], mean)
}

func (s Set) centre(dst, x, w, b []float32, m moments) {
	n, done := s.steps(len(x))
	vecCentreNEON(ptr(dst), ptr(x), ptr(w), ptr(b), n, m.mean, m.scale)
	centreGeneric(dst[done:], x[done:], w[done:], b[done:], m)
}

// prefetch leaves it to the processor.
func (Set) prefetch([]float32) {}

// expCall is the most elements that one call of the exponential's assembly takes.
// Go's scheduler cannot interrupt assembly, so a call is kept to some 20 µs.
const expCall = 1 << 14

func (s Set) expSum(x []float32, max, scale float32) float32 {
	if s.tier == cpu.Generic {
		return expSumGeneric(x, max, scale)
	}
	sum := float32(0)
	for len(x) > 0 {
		part := x[:min(len(x), expCall)]
		n, done := s.steps(len(part))
		sum += vecExpSumNEON(ptr(part), n, max, scale) + expSumGeneric(part[done:], max, scale)
		x = x[len(part):]
	}
	return sum
}

func (s Set) mass(x []float32, max, scale float32) float32 {
	if s.tier == cpu.Generic {
		return massGeneric(x, max, scale)
	}
	sum := float32(0)
	for len(x) > 0 {
		part := x[:min(len(x), expCall)]
		n, done := s.steps(len(part))
		sum += selectMassNEON(ptr(part), n, max, scale) + massGeneric(part[done:], max, scale)
		x = x[len(part):]
	}
	return sum
}
