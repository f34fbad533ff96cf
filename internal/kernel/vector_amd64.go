//go:build amd64 && !purego

package kernel

import (
	"unsafe"

	"github.com/penstock-llm/penstock/internal/cpu"
)

//go:generate go run -C _asm ./vector -out ../vector_amd64.s -stubs ../vector_stubs_amd64.go -pkg kernel

// The assembly handles whole registers, the generic code the elements after them.

// registers is how many registers of s's width n floats fill, and how many
// floats that is.
func (s Set) registers(n int) (count, floats int) {
	switch s.tier {
	case cpu.AVX512VNNI:
		return n / 16, n &^ 15
	case cpu.AVX2:
		return n / 8, n &^ 7
	}
	return 0, 0
}

// ptr is the address of a slice's first element, of none if it is empty.
func ptr(x []float32) *float32 { return unsafe.SliceData(x) }

// scaleMul sets dst = x*scale*w; w nil means 1.
func (s Set) scaleMul(dst, x, w []float32, scale float32) {
	if w == nil {
		s.scaleTo(dst, x, scale)
		return
	}
	n, done := s.registers(len(x))
	switch s.tier {
	case cpu.AVX512VNNI:
		vecScaleMulAVX512(ptr(dst), ptr(x), ptr(w), n, scale)
	case cpu.AVX2:
		vecScaleMulAVX2(ptr(dst), ptr(x), ptr(w), n, scale)
	}
	scaleMulGeneric(dst[done:], x[done:], w[done:], scale)
}

// scaleTo sets dst = x*c.
func (s Set) scaleTo(dst, x []float32, c float32) {
	n, done := s.registers(len(x))
	switch s.tier {
	case cpu.AVX512VNNI:
		vecScaleAVX512(ptr(dst), ptr(x), n, c)
	case cpu.AVX2:
		vecScaleAVX2(ptr(dst), ptr(x), n, c)
	}
	scaleToGeneric(dst[done:], x[done:], c)
}

func (s Set) add(dst, x []float32) {
	n, done := s.registers(len(x))
	switch s.tier {
	case cpu.AVX512VNNI:
		vecAddAVX512(ptr(dst), ptr(x), n)
	case cpu.AVX2:
		vecAddAVX2(ptr(dst), ptr(x), n)
	}
	addGeneric(dst[done:], x[done:])
}

func (s Set) siluMul(dst, gate, up []float32) {
	n, done := s.registers(len(dst))
	switch s.tier {
	case cpu.AVX512VNNI:
		vecSiluMulAVX512(ptr(dst), ptr(gate), ptr(up), n)
	case cpu.AVX2:
		vecSiluMulAVX2(ptr(dst), ptr(gate), ptr(up), n)
	}
	siluMulGeneric(dst[done:], gate[done:], up[done:])
}

func (s Set) swigluOAI(dst, gate, up []float32) {
	n, done := s.registers(len(dst))
	switch s.tier {
	case cpu.AVX512VNNI:
		vecSwigluOAIAVX512(ptr(dst), ptr(gate), ptr(up), n)
	case cpu.AVX2:
		vecSwigluOAIAVX2(ptr(dst), ptr(gate), ptr(up), n)
	}
	swigluOAIGeneric(dst[done:], gate[done:], up[done:])
}

func (s Set) addScaled(dst, x []float32, c float32) {
	n, done := s.registers(len(dst))
	switch s.tier {
	case cpu.AVX512VNNI:
		vecAddScaledAVX512(ptr(dst), ptr(x), n, c)
	case cpu.AVX2:
		vecAddScaledAVX2(ptr(dst), ptr(x), n, c)
	}
	addScaled(dst[done:], x[done:], c)
}

func (s Set) geluMul(dst, gate, up []float32) {
	n, done := s.registers(len(dst))
	switch s.tier {
	case cpu.AVX512VNNI:
		vecGeluMulAVX512(ptr(dst), ptr(gate), ptr(up), n)
	case cpu.AVX2:
		vecGeluMulAVX2(ptr(dst), ptr(gate), ptr(up), n)
	}
	geluMulGeneric(dst[done:], gate[done:], up[done:])
}

func (s Set) geluErfMul(dst, gate, up []float32) {
	n, done := s.registers(len(dst))
	switch s.tier {
	case cpu.AVX512VNNI:
		vecGeluErfMulAVX512(ptr(dst), ptr(gate), ptr(up), n)
	case cpu.AVX2:
		vecGeluErfMulAVX2(ptr(dst), ptr(gate), ptr(up), n)
	}
	geluErfMulGeneric(dst[done:], gate[done:], up[done:])
}

func (s Set) ropeHalves(dst, x, cos, sin []float32) {
	lo, hi := x[:len(cos)], x[len(cos):]
	n, done := s.registers(len(cos))
	switch s.tier {
	case cpu.AVX512VNNI:
		vecRopeHalvesAVX512(ptr(dst), ptr(lo), ptr(hi), ptr(cos), ptr(sin), n)
	case cpu.AVX2:
		vecRopeHalvesAVX2(ptr(dst), ptr(lo), ptr(hi), ptr(cos), ptr(sin), n)
	}
	ropeHalvesGeneric(dst, x, cos, sin, done)
}

func (s Set) ropePairs(dst, x, cos, sin []float32) {
	n, done := s.registers(len(x))
	switch s.tier {
	case cpu.AVX512VNNI:
		vecRopePairsAVX512(ptr(dst), ptr(x), ptr(cos), ptr(sin), n)
	case cpu.AVX2:
		vecRopePairsAVX2(ptr(dst), ptr(x), ptr(cos), ptr(sin), n)
	}
	ropePairsGeneric(dst[done:], x[done:], cos[done/2:], sin[done/2:])
}

func (s Set) dot(a, b []float32) float32 {
	n, done := s.registers(len(a))
	switch s.tier {
	case cpu.AVX512VNNI:
		return vecDotAVX512(ptr(a), ptr(b), n) + dotGeneric(a[done:], b[done:])
	case cpu.AVX2:
		return vecDotAVX2(ptr(a), ptr(b), n) + dotGeneric(a[done:], b[done:])
	}
	return dotGeneric(a, b)
}

func (s Set) sum(x []float32) float32 {
	n, done := s.registers(len(x))
	switch s.tier {
	case cpu.AVX512VNNI:
		return vecSumAVX512(ptr(x), n) + sumGeneric(x[done:])
	case cpu.AVX2:
		return vecSumAVX2(ptr(x), n) + sumGeneric(x[done:])
	}
	return sumGeneric(x)
}

func (s Set) squares(x []float32, mean float32) float32 {
	n, done := s.registers(len(x))
	switch s.tier {
	case cpu.AVX512VNNI:
		return vecSquaresAVX512(ptr(x), n, mean) + squaresGeneric(x[done:], mean)
	case cpu.AVX2:
		return vecSquaresAVX2(ptr(x), n, mean) + squaresGeneric(x[done:], mean)
	}
	return squaresGeneric(x, mean)
}

func (s Set) centre(dst, x, w, b []float32, m moments) {
	n, done := s.registers(len(x))
	switch s.tier {
	case cpu.AVX512VNNI:
		vecCentreAVX512(ptr(dst), ptr(x), ptr(w), ptr(b), n, m.mean, m.scale)
	case cpu.AVX2:
		vecCentreAVX2(ptr(dst), ptr(x), ptr(w), ptr(b), n, m.mean, m.scale)
	}
	centreGeneric(dst[done:], x[done:], w[done:], b[done:], m)
}

func (s Set) prefetch(x []float32) {
	if s.tier != cpu.Generic {
		vecPrefetch(ptr(x), (len(x)+15)/16)
	}
}

// expCall is the most elements that one call of the exponential's assembly takes.
// Go's scheduler cannot interrupt assembly, so a call is kept to some 20 µs.
const expCall = 1 << 15

func (s Set) expSum(x []float32, max, scale float32) float32 {
	if s.tier == cpu.Generic {
		return expSumGeneric(x, max, scale)
	}
	return s.sumExp(x, max, scale, true)
}

func (s Set) mass(x []float32, max, scale float32) float32 {
	if s.tier == cpu.Generic {
		return massGeneric(x, max, scale)
	}
	return s.sumExp(x, max, scale, false)
}

// sumExp sums the exponentials; with keep they also replace their arguments.
func (s Set) sumExp(x []float32, max, scale float32, keep bool) float32 {
	sum := float32(0)
	for len(x) > 0 {
		part := x[:min(len(x), expCall)]
		n, done := s.registers(len(part))
		wide := s.tier == cpu.AVX512VNNI
		switch {
		case keep && wide:
			sum += vecExpSumAVX512(ptr(part), n, max, scale)
		case keep:
			sum += vecExpSumAVX2(ptr(part), n, max, scale)
		case wide:
			sum += selectMassAVX512(ptr(part), n, max, scale)
		default:
			sum += selectMassAVX2(ptr(part), n, max, scale)
		}
		if rest := part[done:]; keep {
			sum += expSumGeneric(rest, max, scale)
		} else {
			sum += massGeneric(rest, max, scale)
		}
		x = x[len(part):]
	}
	return sum
}
